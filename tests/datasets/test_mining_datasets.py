"""The index, the ledger and recorded grades as datasets."""

from __future__ import annotations

import pandas as pd
import pytest
from kedro.io import DatasetError

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.datasets.bm25_index import BM25IndexDataset
from relevance_distillery.datasets.grades import RecordedGradesDataset
from relevance_distillery.datasets.ledger import LedgerDataset
from relevance_distillery.errors import UserError


def index_of(*texts: str) -> BM25Channel:
    return BM25Channel.build(
        pd.DataFrame({"passage_id": [str(n) for n in range(len(texts))], "text": list(texts)})
    )


def hits(index: BM25Channel, text: str) -> list[str]:
    return index.search(pd.DataFrame({"query_id": ["q"], "text": [text]}), 9)["passage_id"].tolist()


def test_an_index_is_saved_loaded_and_replaced(tmp_path):
    dataset = BM25IndexDataset(filepath=tmp_path / "features" / "bm25")
    assert not dataset.exists()
    dataset.save(index_of("old words"))
    assert dataset.exists()
    mapped = dataset.load()
    dataset.save(index_of("new words", "newer words"))

    assert hits(dataset.load(), "new") == ["0"]
    # Whoever still has the old index mapped can go on.
    assert hits(mapped, "old") == ["0"]
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["bm25"]


def test_an_unchanged_index_is_not_written_again(tmp_path):
    dataset = BM25IndexDataset(filepath=tmp_path / "bm25")
    dataset.save(index_of("some words"))
    before = (tmp_path / "bm25" / "index.json").stat().st_ino
    dataset.save(index_of("some words"))

    assert (tmp_path / "bm25" / "index.json").stat().st_ino == before


def test_a_kill_between_the_renames_loses_nothing(tmp_path):
    dataset = BM25IndexDataset(filepath=tmp_path / "bm25")
    dataset.save(index_of("some words"))
    (tmp_path / "bm25").rename(tmp_path / ".bm25.old")
    (tmp_path / ".bm25.tmp").mkdir()

    assert hits(dataset.load(), "some") == ["0"]
    dataset.save(index_of("other words"))
    assert hits(dataset.load(), "other") == ["0"]


def test_a_half_written_index_does_not_exist(tmp_path):
    (tmp_path / "bm25").mkdir()
    dataset = BM25IndexDataset(filepath=tmp_path / "bm25")

    assert not dataset.exists()
    with pytest.raises((UserError, DatasetError)):
        dataset.load()


def test_the_ledger_is_a_handle(tmp_path):
    dataset = LedgerDataset(filepath=tmp_path / "ledger.sqlite")

    assert dataset.exists()
    assert not (tmp_path / "ledger.sqlite").exists()
    assert dataset.load().counts() == {"verdicts": 0, "failures": 0}
    with pytest.raises(DatasetError, match="handle"):
        dataset.save(object())


def test_recorded_grades_are_empty_without_a_file(tmp_path):
    assert RecordedGradesDataset().load().grades.empty
    path = tmp_path / "mine.tsv"
    path.write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n")

    found = RecordedGradesDataset(filepath=str(path)).load()
    assert (found.name, found.grades["grade"].tolist()) == ("mine", [2])
