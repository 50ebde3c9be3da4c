"""Folders as catalog entries, written whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io.core import AbstractDataset, AbstractVersionedDataset, DatasetError, Version

from relevance_distillery.errors import UserError
from relevance_distillery.io.files import replacing

if TYPE_CHECKING:
    from relevance_distillery.channels.bm25 import BM25Channel


class LabelerDataset(AbstractVersionedDataset[Path, Path]):
    """A labeler's artifact folder, which loads as its path: weights are read by `Labeler.load`.

    Saving takes a folder over: its files are hard-linked where that is possible and copied where
    it is not, so that the source stays whole until the target is complete.
    """

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        super().__init__(filepath=PurePosixPath(filepath), version=version)

    def load(self) -> Path:
        """The artifact folder; UserError where there is no labeler in it."""
        folder = Path(str(self._get_load_path()))
        if not (folder / "labeler.json").is_file():
            raise UserError(f"{folder}: no labeler; run kedro run --pipeline=distill")
        return folder

    def save(self, data: Path) -> None:
        """Take a finished artifact folder over; `data` is gone afterwards."""
        with replacing(Path(str(self._get_save_path()))) as partial:
            shutil.copytree(data, partial, copy_function=_link_or_copy)
        shutil.rmtree(data)

    def _exists(self) -> bool:
        try:
            return (Path(str(self._get_load_path())) / "labeler.json").is_file()
        except DatasetError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


class BM25IndexDataset(AbstractDataset["BM25Channel", "BM25Channel"]):
    """Saves and memory-maps a `BM25Channel`; an index of the same fingerprint is left as it is."""

    def __init__(
        self, *, filepath: str | os.PathLike, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> BM25Channel:
        """Open the index; UserError where the folder holds none that can be read."""
        from relevance_distillery.channels.bm25 import BM25Channel

        return BM25Channel.load(self._filepath)

    def save(self, data: BM25Channel) -> None:
        """Write the index, unless the same one is there."""
        if self._fingerprint() != data.fingerprint:
            with replacing(self._filepath) as partial:
                data.save(partial)

    def _fingerprint(self) -> str | None:
        from relevance_distillery.channels.bm25 import read_facts

        try:
            return str(read_facts(self._filepath)["fingerprint"])
        except (OSError, ValueError, KeyError):
            return None

    def _exists(self) -> bool:
        return self._fingerprint() is not None

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def _link_or_copy(source: str, target: str) -> str:
    """A hard link costs nothing; other file systems get a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
