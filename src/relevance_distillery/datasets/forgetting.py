"""Handles on what is stored, for taking a document out of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from relevance_distillery.documents.forgetting import ForgottenDocuments, StoredFiles


class ForgottenDocumentsDataset(AbstractDataset[None, ForgottenDocuments]):
    """Gives the list of documents that were deleted and stay out of later runs.

    Examples:
        ```yaml
        forgotten_documents:
          type: relevance_distillery.datasets.forgetting.ForgottenDocumentsDataset
          filepath: data/02_intermediate/forgotten.json
        ```

        >>> ForgottenDocumentsDataset(filepath="forgotten.json").load().ids()
    """

    def __init__(self, *, filepath: str | os.PathLike, metadata: dict[str, Any] | None = None):
        """Name the file.

        Args:
            filepath: A JSON list of ids; an absent file is an empty list.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> ForgottenDocuments:
        """A handle; the file is read when it is asked."""
        return ForgottenDocuments(self._filepath)

    def save(self, data: None) -> None:
        """Refuse: ids are added through the handle."""
        raise DatasetError("The list of forgotten documents is written through its handle.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class StoredFilesDataset(AbstractDataset[None, StoredFiles]):
    """Gives all stored tables of some folders at once.

    Examples:
        ```yaml
        stored_files:
          type: relevance_distillery.datasets.forgetting.StoredFilesDataset
          folders: [data/02_intermediate, data/05_model_input]
          derived: [data/04_feature/bm25_index]
        ```

        >>> StoredFilesDataset(folders=["data/02_intermediate"]).load().traces("handbook.md")
    """

    def __init__(
        self,
        *,
        folders: list[str],
        derived: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        """Name folders and files.

        Args:
            folders: Folders of tables, versioned or not.
            derived: Files or folders that hold words of all documents at once.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._folders = [Path(folder) for folder in folders]
        self._derived = [Path(path) for path in derived or []]
        self.metadata = metadata

    def load(self) -> StoredFiles:
        """A handle; nothing is read before it is asked."""
        return StoredFiles(self._folders, self._derived)

    def save(self, data: None) -> None:
        """Refuse: tables are rewritten through the handle."""
        raise DatasetError("Stored tables are rewritten through their handle.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"folders": [str(folder) for folder in self._folders]}
