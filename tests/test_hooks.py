from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import mlflow
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset, Version
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from relevance_distillery import cli
from relevance_distillery.datasets import FigureDataset, TextFileDataset
from relevance_distillery.hooks.checks import known_parameters
from relevance_distillery.hooks.closing import ClosingLinesHooks
from relevance_distillery.hooks.headlines import MOST, flat_numbers, headlines, training_curve
from relevance_distillery.hooks.tracking import (
    MlflowHook,
    TrackingHooks,
    logs_text,
    table_digest,
)
from relevance_distillery.reporting.charts import plotly_figure
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
    assert flat_numbers(tree) == {"judges.student.kappa.estimate": 0.4}


def test_a_digest_follows_content_and_order() -> None:
    table = pd.DataFrame({"a": [1, 2], "p": [[0.5, 0.5], None]})
    assert table_digest(table) == table_digest(table.copy())
    assert table_digest(table) != table_digest(table.iloc[::-1])
    assert table_digest(table) != table_digest(table.rename(columns={"a": "b"}))


def test_names_of_metrics_fit_into_mlflow() -> None:
    tree = {"judges": {"<" * 300: {"pairs_per_second": 0.4}}}
    (name,) = headlines("cost", tree)
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


METRICS = {
    name: {"estimate": 0.5, "low": 0.4, "high": 0.6}
    for name in ("quadratic_kappa", "kappa", "accuracy", "ndcg_at_10", "spearman")
}
LLM = {"cost_usd": 0.2, "cost_usd_this_run": 0.1, "actual_over_planned": 1.1, "calls": 3}
PRICES = {"usd_per_1000_labels": 0.1, "pairs_per_second": 20.0, "pairs_a_run": 24}
RUN: dict[str, Any] = {
    "synthesis_report": {"queries": {"total": 9, "kept": {"short": 9}}, "llm": LLM},
    "labeling_report": {"failed": 0, "labelled": 90, "grades": {"0": 50, "1": 40}, **LLM},
    "agreement": {
        "benchmark": {
            "name": "house",
            "digest": "f00d",
            "pairs": 240,
            "queries": 24,
            "human": True,
        },
        "judges": {"student": METRICS, "teacher": METRICS, "base": METRICS, "bm25": {}},
        "student_minus_teacher": METRICS,
        "student_minus_base": METRICS,
        "human_ceiling": METRICS,
        "confusion": {"student": {"accuracy": 0.5}},
        "calibration": {"student": {"ece": {"estimate": 0.1}}},
    },
    "cost": {
        "judges": {"student": PRICES, "teacher": PRICES},
        "break_even": {"labels": 4000, "training_usd": 0.1},
    },
}
TRAINING = {
    "before_training": {"quadratic_kappa": 0.4, "loss": 0.7},
    "early_stopping": [
        {"step": 13, "quadratic_kappa": 0.5, "loss": 0.69, "train_loss": 1.2},
        {"step": 25, "quadratic_kappa": 0.6, "loss": 0.68, "train_loss": 1.1},
    ],
}


def test_a_run_has_thirty_metrics_at_most_and_the_deciding_ones_among_them() -> None:
    found = {name: v for table, data in RUN.items() for name, v in headlines(table, data).items()}
    by_step = {name for _, known in training_curve(TRAINING) for name in known}
    assert len(found) + len(by_step) <= 30
    assert by_step == {"training.loss", "training.held_out_quadratic_kappa"}
    for side in ("estimate", "low", "high"):
        for what in ("judges.student", "judges.teacher", "student_minus_teacher"):
            assert f"agreement.{what}.quadratic_kappa.{side}" in found
    assert {
        "cost.judges.student.usd_per_1000_labels",
        "cost.judges.teacher.usd_per_1000_labels",
        "cost.judges.student.pairs_per_second",
        "cost.break_even.labels",
        "labeling.cost_usd",
        "labeling.actual_over_planned",
        "synthesis.llm.cost_usd_this_run",
    } <= set(found)


def test_many_judges_and_tables_without_headlines_stay_within_the_limit() -> None:
    judges = {f"judge-{n}.v1": METRICS for n in range(600)}
    assert len(headlines("agreement", {"judges": judges})) == MOST
    systems = {f"s{n}": {"measures": {"ndcg@10": METRICS["kappa"]}} for n in range(600)}
    assert len(headlines("system_evaluation", {"systems": systems})) == MOST
    assert headlines("report", {"pairs": 3}) == headlines("agreement", "text") == {}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[mlflow.MlflowClient]:
    """An MLflow of its own, with an active run."""
    before, uri = mlflow.get_tracking_uri(), f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("e", artifact_location=f"{tmp_path}/artifacts")
    mlflow.set_tracking_uri(uri)
    mlflow.start_run(experiment_id=experiment)
    yield client
    mlflow.end_run()
    mlflow.set_tracking_uri(before)


def tracked(client: mlflow.MlflowClient) -> Any:
    active = mlflow.active_run()
    assert active is not None
    return client.get_run(active.info.run_id)


def test_a_run_in_mlflow(
    server: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MlflowHook, "before_node_run", lambda *_, **__: None)
    monkeypatch.setattr(MlflowHook, "after_pipeline_run", lambda *_, **__: None)
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(MlflowHook, "before_pipeline_run", lambda *_, **k: said.append(k))
    table = pd.DataFrame({"query_id": ["q1", "q2"] * 80, "text": ["a secret question"] * 160})
    entries: dict[str, Any] = {
        "cost_plot": FigureDataset(
            filepath=str(tmp_path / "cost_plot.json"), version=Version(None, None)
        )
    }
    catalog = DataCatalog(entries)
    node = Node(lambda: None, inputs=None, outputs=["cost_plot"], name="draw")
    hooks = TrackingHooks()
    hooks._is_mlflow_enabled = True

    asked = {"runner": str(SequentialRunner()), "pipeline_names": ["report", "distill"]}
    hooks.before_pipeline_run(asked, Pipeline([node]), catalog)
    hooks.before_node_run(node, catalog, {"queries": table}, is_async=False)
    promotion = {"name": "relevance-labeler", "version": "2", "champion": "1"}
    for name, data in (RUN | {"training_facts": TRAINING, "promotion": promotion}).items():
        hooks.after_dataset_saved(name, data)
    catalog["cost_plot"].save(plotly_figure("Agreement against price"))
    hooks.after_pipeline_run({}, Pipeline([node]), catalog)
    run = tracked(server)

    assert said[0]["run_params"]["runner"] == "SequentialRunner"
    assert said[0]["run_params"]["pipeline_names"] == ["distill", "report"]
    assert len(run.data.metrics) <= 30
    assert run.data.tags["benchmark"] == "house f00d"
    assert run.data.tags["labeler"] == "relevance-labeler 2"
    assert run.data.tags["labeler_in_use"] == "no"
    curve = server.get_metric_history(run.info.run_id, "training.held_out_quadratic_kappa")
    assert [(point.step, point.value) for point in curve] == [(0, 0.4), (13, 0.5), (25, 0.6)]
    (dataset,) = (one.dataset for one in run.inputs.dataset_inputs)
    assert (dataset.name, dataset.digest) == ("queries", table_digest(table))
    assert json.loads(dataset.profile) == {"num_rows": 160}
    assert "text" in dataset.schema
    assert "secret" not in str(dataset)
    kept = {one.path for one in server.list_artifacts(run.info.run_id)}
    assert {"figures.html", "labeling_report.json", "training_facts.json"} <= kept
    page = next((tmp_path / "artifacts").rglob("figures.html")).read_text()
    assert "Agreement against price" in page
    assert "src=" not in page.replace('src="data:', "").split("<script", 1)[0]


def test_a_run_that_is_stopped_while_it_writes_ends_as_killed(
    server: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracked(server).info.run_id

    def write(**_: Any) -> None:
        connection = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "kedro_run", SimpleNamespace(callback=write))
    with pytest.raises(click.ClickException, match="stopped; finished tables"):
        cli._run()
    assert server.get_run(run).info.status == "KILLED"
