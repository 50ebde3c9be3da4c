"""Domain objects as read-only catalog entries."""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class HandleDataset(AbstractDataset[None, Any]):
    """What a class or function makes of keyword arguments, such as a ledger or a prompt.

    It is imported when a node asks for the entry. The entry always counts as existing: what is
    missing is reported by the handle itself, which knows what to do about it.
    """

    def __init__(
        self,
        *,
        handle: str | Callable[..., Any],
        metadata: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        """Remember what to make: a class, function or class method, or its dotted name.

        Kedro takes a relative `path` or `filepath` as relative to the project's folder.
        """
        self._handle, self._arguments = handle, arguments
        self.metadata = metadata

    def load(self) -> Any:
        """Make the object, or raise what it raises."""
        handle = resolve_name(self._handle) if isinstance(self._handle, str) else self._handle
        return handle(**self._arguments)

    def save(self, data: None) -> None:
        """Refuse."""
        raise DatasetError(f"{self._title} is a read-only handle: it cannot be saved")

    @property
    def _title(self) -> str:
        name = self._handle if isinstance(self._handle, str) else self._handle.__qualname__
        return name.removeprefix("relevance_distillery.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"handle": self._title, **self._arguments}
