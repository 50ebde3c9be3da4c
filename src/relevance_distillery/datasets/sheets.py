"""Sheets that go out to graders, and sheets that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.errors import UserError
from relevance_distillery.io.atomic import write_text
from relevance_distillery.people.sheets import Sheet


class SheetDataset(AbstractDataset[Sheet, None]):
    """A sheet for graders, with its key and its instructions beside it.

    Example:
        ```yaml
        grading_sheet:
          type: relevance_distillery.datasets.sheets.SheetDataset
          filepath: data/08_reporting/grading_sheet.csv
        ```

        ```python
        SheetDataset(filepath="sheet.csv").save(Sheet({"": "query,…", ".key.csv": "…"}))
        ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Name the file.

        Args:
            filepath: The sheet; files beside it take its name without the ending.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._filepath = Path(str(filepath)).expanduser()
        self.metadata = metadata

    def load(self) -> None:
        """Never: what comes back is `ReturnedSheetsDataset`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("sheets are read by the entry returned_sheets")

    def save(self, data: Sheet) -> None:
        """Write all files, unless a sheet stands there that somebody may be filling in.

        Raises:
            UserError: Another sheet has that name.
        """
        content = data.files[""].encode("utf-8")
        if self._filepath.exists() and self._filepath.read_bytes() != content:
            raise UserError(
                f"{self._filepath}: another sheet stands there and may hold grades; give a new "
                'name with --params="sheet=FILE", or move the old one'
            )
        for suffix, text in data.files.items():
            path = self._filepath.with_name(self._filepath.stem + suffix)
            write_text(path if suffix else self._filepath, text)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class ReturnedSheetsDataset(AbstractDataset[None, list[Path]]):
    """The files of sheets that came back, read by whoever imports them.

    Example:
        ```yaml
        returned_sheets:
          type: relevance_distillery.datasets.sheets.ReturnedSheetsDataset
          filepath: "ann.csv;bob.csv"
        ```

        ```python
        ReturnedSheetsDataset(filepath="ann.csv;bob.csv").load()
        ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Name the files.

        Args:
            filepath: One file, or several separated by `;`.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._files = [
            Path(part.strip()).expanduser() for part in str(filepath).split(";") if part.strip()
        ]
        self.metadata = metadata

    def load(self) -> list[Path]:
        """The files, in the order given, each once.

        Raises:
            UserError: None was given.
        """
        if not self._files:
            raise UserError('no sheet was given; name it with --params="sheet=FILE"')
        return list(dict.fromkeys(self._files))

    def save(self, data: None) -> None:
        """Never: people fill sheets in.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("sheets that came back are read only")

    def _exists(self) -> bool:
        # A wrong path deserves the reader's message.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": "; ".join(map(str, self._files))}
