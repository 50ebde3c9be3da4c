"""Tables, JSON, text and figures on disk, written whole or not at all.

Kedro's own datasets write straight to the final path: a run killed in between leaves a
torn file, and in a versioned entry that torn file is the newest version, which the next
run reads. These subclasses write beside it and rename.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from kedro_datasets._typing import TablePreview
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.plotly import JSONDataset as PlotlyJSONDataset
from kedro_datasets.text import TextDataset


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a neighbour of `path`, then renames the neighbour to `path`.

    Args:
        path: Where the file shall stand; its folder is made.
        write: Writes the complete content to the path that it is given.

    Raises:
        OSError: It cannot be written; `filename` is `path`, which a user knows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The leading dot and the process number keep it out of every glob and every other run.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


class TableDataset(ParquetDataset):
    """A Parquet table, written whole or not at all; options as `pandas.ParquetDataset`."""

    def save(self, data: pd.DataFrame) -> None:
        """Writes `data`; the index is never stored.

        Args:
            data: The table.
        """
        write_whole(
            Path(self._get_save_path()),
            lambda path: data.to_parquet(path, index=False, **self._save_args),
        )

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows for Kedro-Viz, which cannot show arrays in cells (probabilities).

        Args:
            nrows: How many rows.
        """
        shown: dict[str, Any] = dict(super().preview(nrows))
        shown["data"] = [
            [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in row]
            for row in shown["data"]
        ]
        return TablePreview(shown)


class JSONFileDataset(JSONDataset):
    """A JSON file, written whole or not at all; refuses NaN, which is not JSON."""

    def save(self, data: Any) -> None:
        """Writes `data` with two spaces of indentation.

        Args:
            data: What `json` can write.
        """
        text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        write_whole(
            Path(self._get_save_path()), lambda path: path.write_text(text, encoding="utf-8")
        )


class TextFileDataset(TextDataset):
    """A text file in UTF-8, written whole or not at all."""

    def save(self, data: str) -> None:
        """Writes `data`.

        Args:
            data: The whole text.
        """
        write_whole(
            Path(self._get_save_path()), lambda path: path.write_text(data, encoding="utf-8")
        )


class FigureDataset(PlotlyJSONDataset):
    """A plotly figure as JSON, written whole or not at all; Kedro-Viz previews it."""

    def save(self, data: go.Figure) -> None:
        """Writes `data`.

        Args:
            data: The figure.
        """
        write_whole(
            Path(self._get_save_path()),
            lambda path: path.write_text(data.to_json(), encoding="utf-8"),
        )
