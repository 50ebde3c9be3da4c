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


class FolderDataset(AbstractVersionedDataset[Path, Path]):
    """A model's folder, which loads as its path: what is in it is read by the model's own class.

    Saving takes a folder over: its files are hard-linked where that is possible and copied where
    it is not, so that the source stays whole until the target is complete.
    """

    def __init__(
        self,
        *,
        filepath: str,
        holds: str,
        made_by: str,
        keeps_source: bool = False,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """`holds` is a file that shows a folder to be one; `made_by` the pipeline to run else.

        With `keeps_source` the folder that was saved stays where it is.
        """
        self._holds, self._made_by, self._keeps_source = holds, made_by, keeps_source
        self.metadata = metadata
        super().__init__(filepath=PurePosixPath(filepath), version=version)

    def load(self) -> Path:
        """The folder; UserError where the file is not in it."""
        folder = Path(str(self._get_load_path()))
        if not (folder / self._holds).is_file():
            what = self._holds.partition(".")[0]
            raise UserError(f"{folder}: no {what}; run kedro run --pipeline={self._made_by}")
        return folder

    def save(self, data: Path) -> None:
        """Take a finished folder over; unless the source is kept, `data` is gone afterwards."""
        with replacing(Path(str(self._get_save_path()))) as partial:
            shutil.copytree(data, partial, copy_function=_link_or_copy)
        if not self._keeps_source:
            shutil.rmtree(data)

    def _exists(self) -> bool:
        try:
            return (Path(str(self._get_load_path())) / self._holds).is_file()
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
