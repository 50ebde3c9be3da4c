"""The labeler's folder as a versioned catalog entry."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, DatasetError, Version

from relevance_distillery.errors import UserError
from relevance_distillery.io.atomic import replacing


class LabelerDataset(AbstractVersionedDataset[Path, Path]):
    """A labeler's artifact folder, written whole or not at all.

    It loads as the path of the folder, since weights are read by `Labeler.load`. Saving takes
    a folder over: it is moved where that is possible and copied where it is not.

    Example:
        ```yaml
        labeler:
          type: relevance_distillery.datasets.labeler.LabelerDataset
          filepath: data/06_models/labeler
          versioned: true
        ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """See the example.

        Args:
            filepath: Folder; with versions `filepath/<version>/labeler`.
            version: Which version to load and save.
            metadata: For plugins, not read here.
        """
        self.metadata = metadata
        super().__init__(filepath=PurePosixPath(filepath), version=version)

    def load(self) -> Path:
        """The artifact folder."""
        folder = Path(str(self._get_load_path()))
        if not (folder / "labeler.json").is_file():
            raise UserError(f"{folder}: no labeler; run kedro run --pipeline=distill")
        return folder

    def save(self, data: Path) -> None:
        """Take an artifact folder over.

        Args:
            data: The finished folder; it is gone afterwards.
        """
        target = Path(str(self._get_save_path()))
        # A copy keeps the source whole until the target stands, should the run be killed here.
        with replacing(target) as partial:
            shutil.copytree(data, partial, copy_function=_link_or_copy)
        shutil.rmtree(data)

    def _exists(self) -> bool:
        try:
            return (Path(str(self._get_load_path())) / "labeler.json").is_file()
        except DatasetError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


def _link_or_copy(source: str, target: str) -> str:
    """A hard link costs nothing; other file systems get a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
