"""The file of graded pairs, which scoring writes part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class ScoredDataset(AbstractDataset[Path, Path]):
    """Where `scored=FILE` says: the same rows, in order, with their grades.

    Scoring writes through the handle `scoring_output`, since the file may be larger than
    memory; saving here only takes note of it.

    Example:
        ```yaml
        scored:
          type: relevance_distillery.datasets.scored.ScoredDataset
          filepath: ${runtime_params:scored, null}
        ```
    """

    def __init__(self, *, filepath: str | None, metadata: dict[str, Any] | None = None) -> None:
        """See the example.

        Args:
            filepath: The file; None where none was named, which scoring refuses.
            metadata: For plugins, not read here.
        """
        self._filepath = Path(str(filepath)).expanduser() if filepath is not None else None
        self.metadata = metadata

    def load(self) -> Path:
        """Where the graded pairs are."""
        if self._filepath is None or not self._filepath.is_file():
            raise DatasetError(
                f"scored={self._filepath}: no such file; run kedro run --pipeline=score"
            )
        return self._filepath

    def save(self, data: Path) -> None:
        """Check that the file is there."""
        if data != self._filepath or not data.is_file():
            raise DatasetError(f"{data}: was not written to {self._filepath}")

    def _exists(self) -> bool:
        return self._filepath is not None and self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
