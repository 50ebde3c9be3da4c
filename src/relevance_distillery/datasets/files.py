"""Tables, JSON, text, figures and sheets on disk, written whole or not at all.

Kedro's own datasets write straight to the final path: a run killed in between leaves a
torn file, and in a versioned entry that torn file is the newest version, which the next
run reads. These subclasses write beside it and rename.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import PlotlyPreview, TablePreview
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.text import TextDataset

from relevance_distillery.errors import UserError
from relevance_distillery.io.files import replacing, undamaged, write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go


class StoredFile:
    """A file that is refused by its name where it is half written or damaged."""

    remedy: Callable[[], str] = staticmethod(lambda: "run the stage again that makes it")
    """What to do then; a run's hooks know the stage."""
    _get_load_path: Callable[[], Any]
    _glance: Callable[[Path], Any]
    """Reads as much as shows whether the file is whole."""

    def check(self) -> None:
        """Look whether the file is whole; UserError where it is not."""
        self._read(self._glance)

    def _read(self, read: Callable[[Path], Any]) -> Any:
        path = Path(self._get_load_path())
        with undamaged(path, self.remedy):
            return read(path)


class TableDataset(StoredFile, ParquetDataset):
    """A Parquet table, written whole or not at all; options as `pandas.ParquetDataset`."""

    # It stands at the end of a file.
    _glance = staticmethod(pq.read_metadata)

    def load(self) -> pd.DataFrame:
        """Read it; UserError where it is damaged."""
        return self._read(partial(pd.read_parquet, **self._load_args))

    def save(self, data: pd.DataFrame) -> None:
        """Writes `data`; the index is never stored."""
        with replacing(Path(self._get_save_path())) as partial:
            data.to_parquet(partial, index=False, **self._save_args)

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows for Kedro-Viz, which cannot show arrays in cells (probabilities)."""
        shown: dict[str, Any] = dict(super().preview(nrows))
        shown["data"] = [
            [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in row]
            for row in shown["data"]
        ]
        return TablePreview(shown)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


class JSONFileDataset(StoredFile, JSONDataset):
    """A JSON file, written whole or not at all; refuses NaN, which is not JSON."""

    _glance = staticmethod(_read_json)

    def load(self) -> Any:
        """Read it; UserError where it is damaged."""
        return self._read(self._glance)

    def save(self, data: Any) -> None:
        """Writes `data` with two spaces of indentation."""
        text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        write_text(Path(self._get_save_path()), text)


class TextFileDataset(TextDataset):
    """A text file in UTF-8, written whole or not at all."""

    def save(self, data: str) -> None:
        """Writes `data`."""
        write_text(Path(self._get_save_path()), data)


class FigureDataset(JSONDataset):
    """A plotly figure as JSON, written whole or not at all; Kedro-Viz previews it."""

    def load(self) -> Any:
        """Reads the figure, a `plotly.graph_objects.Figure`."""
        import plotly.io

        return plotly.io.from_json(Path(self._get_load_path()).read_text(encoding="utf-8"))

    def save(self, data: go.Figure) -> None:
        """Writes `data`."""
        write_text(Path(self._get_save_path()), data.to_json())

    def preview(self) -> PlotlyPreview:
        """The figure, for Kedro-Viz."""
        return PlotlyPreview(_read_json(Path(self._get_load_path())))


class SheetDataset(AbstractDataset[dict[str, str], None]):
    """A sheet for graders; key and instructions beside it take its name without the ending."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(str(filepath)).expanduser()
        self.metadata = metadata

    def load(self) -> None:
        """Refuse: what comes back is the entry `returned_sheets`."""
        raise DatasetError("sheets are read by the entry returned_sheets")

    def save(self, data: dict[str, str]) -> None:
        """Write all files; UserError where another sheet is there that somebody may fill in."""
        content = data[""].encode("utf-8")
        if self._filepath.exists() and self._filepath.read_bytes() != content:
            raise UserError(
                f"{self._filepath}: another sheet is there and may hold grades; give a new "
                'name with --params="sheet=FILE", or move the old one'
            )
        for suffix, text in data.items():
            beside = self._filepath.with_name(self._filepath.stem + suffix)
            write_text(beside if suffix else self._filepath, text)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
