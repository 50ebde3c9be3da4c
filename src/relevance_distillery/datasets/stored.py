"""What an earlier run left, for whoever can do without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from relevance_distillery.io.versions import newest_version, versions


class StoredTableDataset(AbstractDataset[None, pd.DataFrame]):
    """The newest version of a versioned table, without rows where there is none.

    Example:
        ```yaml
        stored_queries:
          type: relevance_distillery.datasets.stored.StoredTableDataset
          filepath: data/03_primary/queries.parquet
        ```

        ```python
        queries = StoredTableDataset(filepath="data/03_primary/queries.parquet").load()
        ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Remember the place.

        Args:
            filepath: The versioned Parquet entry.
            metadata: Anything; ignored here, read by Kedro-Viz.
        """
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """The table; empty when no version of it can be read."""
        for file in versions(self._filepath):
            try:
                return pd.read_parquet(file)
            except (OSError, ValueError):
                continue
        return pd.DataFrame()

    def save(self, data: None) -> None:
        """Refuse: the versioned entry writes it."""
        raise DatasetError("A stored table is written by the entry of the table itself.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class StoredJSONDataset(AbstractDataset[None, dict[str, Any]]):
    """A JSON object that another entry writes, empty where there is none.

    Of a versioned entry it is the newest version.

    Example:
        ```yaml
        stored_plan:
          type: relevance_distillery.datasets.stored.StoredJSONDataset
          filepath: data/08_reporting/plan.json
        ```

        ```python
        plan = StoredJSONDataset(filepath="data/08_reporting/plan.json").load()
        ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Remember the place.

        Args:
            filepath: The other entry's.
            metadata: Anything; ignored here, read by Kedro-Viz.
        """
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """The object; empty when it cannot be read."""
        file = newest_version(self._filepath)
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def save(self, data: None) -> None:
        """Refuse: another entry writes it."""
        raise DatasetError("A stored object is written by the entry of the object itself.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
