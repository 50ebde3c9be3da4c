from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset, Version
from kedro.pipeline import Node, Pipeline

from relevance_distillery.datasets import TextFileDataset
from relevance_distillery.hooks.checks import known_parameters
from relevance_distillery.hooks.closing import ClosingLinesHooks
from relevance_distillery.hooks.tracking import (
    MlflowHook,
    TrackingHooks,
    flat_numbers,
    logs_text,
    table_digest,
)
from relevance_distillery.reporting.settings import ReportingParameters

ROOT = Path(__file__).parents[1]


def test_known_parameters_are_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "parameters.yml").write_text(
        "mining:\n  depth: ${runtime_params:depth, ${globals:depth}}\n  k: 3\n"
    )
    assert known_parameters(tmp_path) == ({"depth"}, {"mining"})


def test_the_parameters_of_the_design_are_known() -> None:
    names, groups = known_parameters(ROOT / "conf")
    assert {
        "documents",
        "queries",
        "human_judgments",
        "benchmark",
        "train_set",
        "judge",
        "limit",
        "pairs",
        "scored",
        "base_model",
        "promotion",
        "recipe",
    } <= names
    assert "synthesis" in groups


def test_only_numbers_become_metrics() -> None:
    tree = {"judges": {"student": {"kappa": {"estimate": 0.4, "low": None}}}, "human": False}
    assert flat_numbers(tree, "agreement") == {"agreement.judges.student.kappa.estimate": 0.4}


def test_a_digest_follows_content_and_order() -> None:
    table = pd.DataFrame({"a": [1, 2], "p": [[0.5, 0.5], None]})
    assert table_digest(table) == table_digest(table.copy())
    assert table_digest(table) != table_digest(table.iloc[::-1])
    assert table_digest(table) != table_digest(table.rename(columns={"a": "b"}))


def test_names_of_metrics_fit_into_mlflow() -> None:
    (name,) = flat_numbers({"judges": {"<" * 300: {"kappa": 0.4}}}, "agreement")
    assert len(name) == 250
    assert "<" not in name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ReportingParameters(), False),
        (ReportingParameters(log_text=True), True),
        ({"log_text": True}, True),
        ({"log_text": "true"}, False),
        ({}, False),
    ],
)
def test_text_is_logged_only_when_asked(given: Any, said: bool) -> None:
    assert logs_text(DataCatalog({"params:reporting": MemoryDataset(given)})) is said
    assert logs_text(DataCatalog({})) is False


def _finished(folder: Path, log_text: bool) -> tuple[Pipeline, DataCatalog]:
    """A run that wrote both renderings of a report."""
    node = Node(lambda: None, inputs=None, outputs=["report", "report_without_text"], name="write")
    entries: dict[str, Any] = {
        name: TextFileDataset(
            filepath=str(folder / name / "report.html"), version=Version(None, None)
        )
        for name in ("report", "report_without_text")
    }
    entries["params:reporting"] = MemoryDataset(ReportingParameters(log_text=log_text))
    catalog = DataCatalog(entries)
    catalog["report"].save("with a secret")
    catalog["report_without_text"].save("without")
    return Pipeline([node]), catalog


@pytest.mark.parametrize(("log_text", "kept"), [(False, "without"), (True, "with a secret")])
def test_one_rendering_of_the_report_is_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_text: bool, kept: str
) -> None:
    artifacts: list[Path] = []
    monkeypatch.setattr(mlflow, "active_run", lambda: "a run")
    monkeypatch.setattr(mlflow, "set_tag", lambda *_: None)
    monkeypatch.setattr(mlflow, "end_run", lambda *_: None)
    monkeypatch.setattr(mlflow, "log_artifact", lambda path: artifacts.append(Path(path)))
    pipeline, catalog = _finished(tmp_path, log_text)
    hooks = TrackingHooks()
    hooks._is_mlflow_enabled = True
    monkeypatch.setattr(MlflowHook, "after_pipeline_run", lambda *_, **__: None)
    hooks.after_pipeline_run({}, pipeline, catalog)
    assert [(path.name, path.read_text()) for path in artifacts] == [("report.html", kept)]


def test_the_closing_lines_name_the_whole_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, catalog = _finished(tmp_path, log_text=False)
    with caplog.at_level("INFO"):
        ClosingLinesHooks().after_pipeline_run(pipeline, catalog)
    (line,) = caplog.messages
    assert line.startswith("report")
    assert "without_text" not in line


def test_many_metrics_go_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, float]] = []
    monkeypatch.setattr(mlflow, "active_run", lambda: "a run")
    monkeypatch.setattr(mlflow, "log_metrics", calls.append)
    hooks = TrackingHooks()
    hooks._is_mlflow_enabled = True
    judges = {f"j{n}": {"kappa": 0.5, "bias": 0.1} for n in range(600)}
    hooks.after_dataset_saved("agreement", {"judges": judges, "slices": {"folder": [{"n": 1}]}})
    hooks.after_dataset_saved("robustness", {"pairs": 3})
    hooks.after_dataset_saved("report", {"pairs": 3})
    assert [len(call) for call in calls] == [1000, 200, 1]
    assert calls[-1] == {"robustness.pairs": 3.0}
