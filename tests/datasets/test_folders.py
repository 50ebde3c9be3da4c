"""The BM25 index as a catalog entry."""

from __future__ import annotations

import pandas as pd
import pytest
from kedro.io import DatasetError, Version

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.datasets import BM25IndexDataset, FolderDataset
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


def test_after_a_kill_between_the_renames_mining_writes_the_index_again(tmp_path):
    dataset = BM25IndexDataset(filepath=tmp_path / "bm25")
    dataset.save(index_of("some words"))
    (tmp_path / "bm25").rename(tmp_path / ".bm25.old")

    assert not dataset.exists()
    dataset.save(index_of("other words"))
    assert hits(dataset.load(), "other") == ["0"]
    assert [path.name for path in tmp_path.iterdir()] == ["bm25"]


def test_a_half_written_index_does_not_exist(tmp_path):
    (tmp_path / "bm25").mkdir()
    dataset = BM25IndexDataset(filepath=tmp_path / "bm25")

    assert not dataset.exists()
    with pytest.raises((UserError, DatasetError)):
        dataset.load()


def test_a_folder_is_taken_over_or_left_where_it_was(tmp_path):
    for keeps in (False, True):
        source = tmp_path / f"work-{keeps}" / "retriever"
        source.mkdir(parents=True)
        (source / "retriever.json").write_text("{}")
        dataset = FolderDataset(
            filepath=str(tmp_path / str(keeps) / "retriever"),
            holds="retriever.json",
            made_by="train_retriever",
            keeps_source=keeps,
            version=Version(None, "v1"),
        )
        dataset.save(source)
        assert (dataset.load() / "retriever.json").read_text() == "{}"
        assert source.exists() == keeps
