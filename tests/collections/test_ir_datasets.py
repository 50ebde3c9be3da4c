"""Benchmarks by an identifier of ir_datasets, with data sets of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ir_datasets
import pytest

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.collections.irdatasets import identifier
from relevance_distillery.datasets import BenchmarkDataset
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

NAME = "harbour/2026/judged"


class Collection:
    """A registered data set that notes which documents were asked for."""

    def __init__(self, made: Any) -> None:
        self._made, self.asked = made, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def docs_store(self) -> Any:
        store = self._made.docs_store()
        original = store.get_many_iter

        def get_many_iter(names: list[str]) -> Any:
            self.asked += list(names)
            return original(names)

        store.get_many_iter = get_many_iter
        return store


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    documents = "".join(f"d{number}\ttext of berth {number}\n" for number in range(50))
    (tmp_path / "docs.tsv").write_text(documents)
    (tmp_path / "queries.tsv").write_text("1\tberth fees\n2\twho signs\n3\tnever judged\n")
    (tmp_path / "qrels.txt").write_text("1 0 d3 3\n1 0 d4 -2\n2 0 d3 0\n2 0 d7 1\n")
    made = Collection(
        ir_datasets.create_dataset(
            docs_tsv=str(tmp_path / "docs.tsv"),
            queries_tsv=str(tmp_path / "queries.tsv"),
            qrels_trec=str(tmp_path / "qrels.txt"),
        )
    )
    registered = ir_datasets.registry._registered
    monkeypatch.setitem(registered, NAME, made)
    return made


@pytest.mark.parametrize("texts_needed", [True, False])
def test_judged_documents_alone_are_fetched(collection: Collection, texts_needed: bool) -> None:
    found = load_benchmark(f"ir_datasets:{NAME}", SCALE, texts_needed=texts_needed)
    assert (found.name, found.kind, found.human) == (NAME, "own_corpus", True)
    assert found.judgments["grade"].tolist() == [3, 0, 0, 1]
    assert found.queries["text"].tolist() == ["berth fees", "who signs"]
    assert found.documents is not None
    assert sorted(found.documents["document_id"]) == ["d3", "d4", "d7"]
    assert found.documents["text"].str.startswith("text of berth").all()
    assert sorted(collection.asked) == ["d3", "d4", "d7"]
    assert "1 grades below 0" in found.notes[0]


@pytest.mark.usefixtures("collection")
def test_in_the_catalog_and_beside_another_benchmark(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("query,document_id,grade\nberths,d1,2\n")
    # Kedro puts the project's folder in front of what it takes for a relative path.
    place = f"{tmp_path}/project/ir_datasets:{NAME};{tmp_path}/own.csv"
    found = BenchmarkDataset(filepath=place).load()
    assert [one.name for one in found.everything] == [NAME, "own"]


def test_unknown_and_without_grades() -> None:
    with pytest.raises(UserError, match="nowhere/x: there is no such data set"):
        load_benchmark("ir_datasets:nowhere/x", SCALE)
    with pytest.raises(UserError, match="msmarco-passage: has no qrels"):
        load_benchmark("ir_datasets:msmarco-passage", SCALE)


def test_a_download_that_fails_is_one_line(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Iterator[Any]:
        raise OSError("no route\nto host")
        yield

    monkeypatch.setattr(collection, "qrels_iter", fail, raising=False)
    with pytest.raises(UserError, match=r"its qrels cannot be read \(OSError: no route to host\)"):
        load_benchmark(f"ir_datasets:{NAME}", SCALE)


def test_documents_that_fail_are_left_out_where_grades_are_enough(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise OSError("licence needed")

    monkeypatch.setattr(collection, "docs_store", fail, raising=False)
    found = load_benchmark(f"ir_datasets:{NAME}", SCALE, texts_needed=False)
    assert found.documents is None
    assert "licence needed" in found.notes[-1]
    with pytest.raises(UserError, match="its documents cannot be read"):
        load_benchmark(f"ir_datasets:{NAME}", SCALE)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(UserError, match=r"needs the extra `ir-datasets`: pip install"):
        load_benchmark(f"ir_datasets:{NAME}", SCALE)


@pytest.mark.parametrize(
    ("location", "name"),
    [("ir_datasets:a/b", "a/b"), ("/x/y/ir_datasets:a/b/", "a/b"), ("/x/ir_datasets/a", None)],
)
def test_identifiers(location: str, name: str | None) -> None:
    assert identifier(location) == name
