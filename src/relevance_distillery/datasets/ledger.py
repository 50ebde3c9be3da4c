"""The label ledger as a dataset: a handle that nodes read and write through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from relevance_distillery.judges.ledger.ledger import Ledger


class LedgerDataset(AbstractDataset[None, Ledger]):
    """Gives the `Ledger` of a SQLite file, which is made on first use.

    Examples:
        ```yaml
        label_ledger:
          type: relevance_distillery.datasets.LedgerDataset
          filepath: data/05_model_input/label_ledger.sqlite
        ```

        >>> ledger = LedgerDataset(filepath="data/05_model_input/label_ledger.sqlite").load()
        >>> ledger.counts()
    """

    def __init__(self, *, filepath: str | os.PathLike, metadata: dict[str, Any] | None = None):
        """Name the file.

        Args:
            filepath: The SQLite file.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Ledger:
        """A handle; the file is opened when it is first asked."""
        return Ledger(self._filepath)

    def save(self, data: None) -> None:
        """Refuse: the ledger is written answer by answer, through its handle."""
        raise DatasetError("The label ledger is written through its handle, not saved.")

    def _exists(self) -> bool:
        # An absent file is an empty ledger, so no stage has to be run before.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
