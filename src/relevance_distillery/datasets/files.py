"""Tables, JSON, text and figures on disk, written whole or not at all.

Kedro's own datasets write straight to the final path: a run killed in between leaves a
torn file, and in a versioned entry that torn file is the newest version, which the next
run reads. These subclasses write beside it and rename.
"""

from __future__ import annotations

import json
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

from relevance_distillery.io.atomic import replacing, write_text


class TableDataset(ParquetDataset):
    """A Parquet table, written whole or not at all; options as `pandas.ParquetDataset`."""

    def save(self, data: pd.DataFrame) -> None:
        """Writes `data`; the index is never stored.

        Args:
            data: The table.
        """
        with replacing(Path(self._get_save_path())) as partial:
            data.to_parquet(partial, index=False, **self._save_args)

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
        write_text(Path(self._get_save_path()), text)


class TextFileDataset(TextDataset):
    """A text file in UTF-8, written whole or not at all."""

    def save(self, data: str) -> None:
        """Writes `data`.

        Args:
            data: The whole text.
        """
        write_text(Path(self._get_save_path()), data)


class FigureDataset(PlotlyJSONDataset):
    """A plotly figure as JSON, written whole or not at all; Kedro-Viz previews it."""

    def save(self, data: go.Figure) -> None:
        """Writes `data`.

        Args:
            data: The figure.
        """
        write_text(Path(self._get_save_path()), data.to_json())
