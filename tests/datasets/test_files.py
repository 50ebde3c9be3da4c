from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import Version

from relevance_distillery.cli import one_line
from relevance_distillery.datasets import JSONFileDataset, TableDataset, TextFileDataset
from relevance_distillery.errors import UserError


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


@pytest.mark.parametrize("cut", [0, 4, 0.5, -1])
def test_a_half_written_table_is_refused_by_its_name_before_it_is_read(
    tmp_path: Path, cut: float
) -> None:
    path = tmp_path / "passages.parquet"
    dataset = TableDataset(filepath=str(path))
    dataset.save(pd.DataFrame({"text": ["Hotels are booked by the office."] * 9}))
    dataset.check()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut) if cut == 0.5 else int(cut)])
    with pytest.raises(UserError, match=r"passages\.parquet: half written or damaged; run the"):
        dataset.check()


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_damage_inside_a_table_is_refused_by_its_name(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "passages.parquet"
    dataset = TableDataset(filepath=str(path), save_args={"compression": compression})
    dataset.save(pd.DataFrame({"text": ["Hotels are booked by the office."] * 9}))
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)
    dataset.remedy = lambda: "run `kedro run --pipeline=synthesize` again"
    dataset.check()
    with pytest.raises(Exception, match="damaged") as raised:
        dataset.load()
    assert one_line(raised.value) == (
        f"{path}: half written or damaged; run `kedro run --pipeline=synthesize` again"
    )


@pytest.mark.parametrize("content", [b"", b'{"judge": "embe', b"\xff\xfe\x00"])
def test_half_written_json_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "judge_state.json").write_bytes(content)
    dataset = JSONFileDataset(filepath=str(tmp_path / "judge_state.json"))
    for read in (dataset.check, dataset.load):
        with pytest.raises(Exception, match=r"judge_state\.json: half written or damaged"):
            read()
