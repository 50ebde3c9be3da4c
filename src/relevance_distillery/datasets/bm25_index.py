"""A BM25 index in a folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.channels.bm25 import BM25Channel, read_facts


class BM25IndexDataset(AbstractDataset[BM25Channel, BM25Channel]):
    """Saves and memory-maps a `BM25Channel`.

    The folder is written beside its place and renamed; an index of the same fingerprint is
    left as it is. When a run is killed between the two renames, the next one puts the old
    folder back.

    Examples:
        ```yaml
        bm25_index:
          type: relevance_distillery.datasets.BM25IndexDataset
          filepath: data/04_feature/bm25_index
        ```

        >>> dataset = BM25IndexDataset(filepath="data/04_feature/bm25_index")
        >>> dataset.save(BM25Channel.build(passages))
        >>> dataset.load().search(queries, k=10)
    """

    def __init__(self, *, filepath: str | os.PathLike, metadata: dict[str, Any] | None = None):
        """Name the folder.

        Args:
            filepath: The folder of the index.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> BM25Channel:
        """Open the index.

        Raises:
            UserError: The folder holds no index that can be read.
        """
        self._recover()
        return BM25Channel.load(self._filepath)

    def save(self, data: BM25Channel) -> None:
        """Write the index, unless the same one is there."""
        self._recover()
        if self._fingerprint() == data.fingerprint:
            return
        fresh, old = self._beside("tmp"), self._beside("old")
        shutil.rmtree(fresh, ignore_errors=True)
        data.save(fresh)
        if self._filepath.exists():
            self._filepath.rename(old)
        fresh.rename(self._filepath)
        shutil.rmtree(old, ignore_errors=True)

    def _beside(self, suffix: str) -> Path:
        return self._filepath.with_name(f".{self._filepath.name}.{suffix}")

    def _recover(self) -> None:
        old = self._beside("old")
        if old.exists() and not self._filepath.exists():
            old.rename(self._filepath)
        shutil.rmtree(old, ignore_errors=True)

    def _fingerprint(self) -> str | None:
        try:
            return str(read_facts(self._filepath)["fingerprint"])
        except (OSError, ValueError, KeyError):
            return None

    def _exists(self) -> bool:
        self._recover()
        return self._fingerprint() is not None

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
