"""A file of pairs that may be given or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.datasets.pairs import PairsFile
from relevance_distillery.errors import UserError


@dataclass(frozen=True)
class GivenPairs:
    """Where pairs are, if anywhere.

    Attributes:
        path: The file; None where none was named.
    """

    path: str | None = None

    def open(self) -> PairsFile:
        """The file, looked at but not read.

        Raises:
            UserError: None was named, or as `PairsFile`.
        """
        if not self.path:
            raise UserError(
                'prior says what to expect of pairs: give them too, --params="pairs=FILE,prior=…"'
            )
        return PairsFile(Path(self.path).expanduser())


class GivenPairsDataset(AbstractDataset[None, GivenPairs]):
    """The file of pairs that `pairs=FILE` names, for those who can do without one.

    Example:
        ```yaml
        recalibration_pairs:
          type: relevance_distillery.datasets.given_pairs.GivenPairsDataset
          location: ${runtime_params:pairs, null}
        ```

        ```python
        GivenPairsDataset(location="pairs.csv").load().open().columns
        ```
    """

    def __init__(
        self, *, location: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Remember the place.

        Args:
            location: As `pairs.PairsDataset` takes it. Not called `filepath`, which Kedro would
                look for in the project.
            metadata: Passed through, for Kedro-Viz.
        """
        self._location = None if location is None else str(location)
        self.metadata = metadata

    def load(self) -> GivenPairs:
        """The handle; what is missing is reported when it is opened."""
        return GivenPairs(self._location)

    def save(self, data: None) -> None:
        """Pairs are given, never made.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("pairs are read only")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"location": self._location}
