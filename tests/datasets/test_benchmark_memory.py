from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from relevance_distillery.datasets import BenchmarkDataset
from relevance_distillery.errors import UserError
from relevance_distillery.hooks.benchmark_memory import BenchmarkMemoryHooks


def _node(inputs: list[str]) -> Node:
    outputs = "documents" if "raw_documents" in inputs else "out"
    return Node(lambda *given: 0, inputs=inputs, outputs=outputs, name="some_node")


def _benchmark(folder: Path, filepath: str | None) -> BenchmarkDataset:
    return BenchmarkDataset(filepath=filepath, memory=str(folder / "benchmark_source.json"))


def _run(benchmark: BenchmarkDataset, inputs: list[str], given: dict[str, str]) -> None:
    hooks, node = BenchmarkMemoryHooks(), _node(inputs)
    catalog = DataCatalog({"benchmark": benchmark, "raw_documents": MemoryDataset(1)})
    hooks.before_pipeline_run({"runtime_params": given}, Pipeline([node]), catalog)
    hooks.after_node_run(node)


def test_a_stage_alone_uses_the_benchmark_of_the_documents(tmp_path: Path) -> None:
    _run(_benchmark(tmp_path, "mine.csv"), ["raw_documents", "benchmark"], {"documents": "d"})
    later = _benchmark(tmp_path, "the/sample")
    _run(later, ["benchmark"], {})
    assert str(later._describe()["filepath"]) == "mine.csv"


def test_a_half_written_memory_is_named(tmp_path: Path) -> None:
    (tmp_path / "benchmark_source.json").write_text('{"filepath": "mi')
    with pytest.raises(UserError, match=r"benchmark_source\.json: half written or damaged; run"):
        _run(_benchmark(tmp_path, "the/sample"), ["benchmark"], {})


def test_a_named_benchmark_is_not_replaced(tmp_path: Path) -> None:
    _run(_benchmark(tmp_path, "mine.csv"), ["raw_documents", "benchmark"], {"documents": "d"})
    named = _benchmark(tmp_path, "other.csv")
    _run(named, ["benchmark"], {"human_judgments": "other.csv"})
    assert str(named._describe()["filepath"]) == "other.csv"


def test_documents_without_judgments_are_remembered_as_such(tmp_path: Path) -> None:
    _run(_benchmark(tmp_path, None), ["raw_documents", "benchmark"], {"documents": "d"})
    later = _benchmark(tmp_path, "the/sample")
    _run(later, ["benchmark"], {})
    assert later._describe()["filepath"] is None


def test_a_plan_that_only_looks_at_documents_is_not_remembered(tmp_path: Path) -> None:
    _run(_benchmark(tmp_path, "mine.csv"), ["raw_documents", "benchmark"], {"documents": "d"})
    hooks, catalog = BenchmarkMemoryHooks(), DataCatalog({"benchmark": _benchmark(tmp_path, "x")})
    node = Node(lambda *given: 0, ["raw_documents", "benchmark"], "planned", name="plan")
    hooks.before_pipeline_run({"runtime_params": {"documents": "x"}}, Pipeline([node]), catalog)
    hooks.after_node_run(node)
    later = _benchmark(tmp_path, "the/sample")
    _run(later, ["benchmark"], {})
    assert str(later._describe()["filepath"]) == "mine.csv"


def test_without_a_memory_nothing_changes(tmp_path: Path) -> None:
    benchmark = _benchmark(tmp_path, "the/sample")
    _run(benchmark, ["benchmark"], {})
    assert str(benchmark._describe()["filepath"]) == "the/sample"


def test_several_benchmarks_and_their_columns_are_remembered(tmp_path: Path) -> None:
    memory = str(tmp_path / "benchmark_source.json")
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"term,sku,stars\n{name} query,d1,2\n")
    names = {"query": "term", "document_id": "sku", "grade": "stars"}
    both = f"{tmp_path}/one.csv;{tmp_path}/two.csv"
    BenchmarkDataset(filepath=both, columns=names, memory=memory).remember()
    later = BenchmarkDataset(filepath="the/sample", memory=memory)
    later.recall()
    assert [one.name for one in later.load().everything] == ["one", "two"]


def test_a_note_of_an_older_release_is_understood(tmp_path: Path) -> None:
    memory = tmp_path / "benchmark_source.json"
    memory.write_text('{"filepath": "mine.csv", "queries": null}')
    later = BenchmarkDataset(filepath="the/sample", memory=str(memory))
    later.recall()
    assert str(later._describe()["filepath"]) == "mine.csv"
