from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import Version

from relevance_distillery.datasets import JSONFileDataset, TableDataset, TextFileDataset


def test_a_broken_version_is_no_version(tmp_path: Path) -> None:
    dataset = TableDataset(filepath=str(tmp_path / "t.parquet"), version=Version(None, "v1"))
    dataset.save(pd.DataFrame({"a": [1]}))
    (tmp_path / "t.parquet" / "v2").mkdir()
    (tmp_path / "t.parquet" / "v2" / ".t.parquet.99.partial").write_bytes(b"PAR1")
    newest = TableDataset(filepath=str(tmp_path / "t.parquet"), version=Version(None, None))
    assert newest.load()["a"].tolist() == [1]


def test_nan_is_not_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="JSON compliant"):
        JSONFileDataset(filepath=str(tmp_path / "x.json")).save({"kappa": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_text_round_trip(tmp_path: Path) -> None:
    dataset = TextFileDataset(filepath=str(tmp_path / "deep" / "x.html"))
    dataset.save("Straße")
    assert dataset.load() == "Straße"


def test_a_preview_is_json_even_with_lists_in_cells(tmp_path: Path) -> None:
    dataset = TableDataset(filepath=str(tmp_path / "labels.parquet"))
    dataset.save(pd.DataFrame({"grade": [3, 0], "probabilities": [[0.1, 0.9], None]}))
    assert json.loads(json.dumps(dataset.preview()))["data"] == [[3, [0.1, 0.9]], [0, None]]
