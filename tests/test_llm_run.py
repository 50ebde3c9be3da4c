"""`kedro run --env=llm` from documents to the report, against a server that breaks on purpose."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_models
from checkout import Project, make_project

sys.path.insert(0, str(Path(__file__).parent / "llm"))
from fault_server import FaultPlan, FaultServer

SECRET = "planted-secret-3f9b27c4d1"
PLAN = FaultPlan(
    shares={"429": 0.05, "500": 0.05, "html": 0.03, "gibberish": 0.04, "off_scale": 0.03},
    wait=0.05,
    key=SECRET,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str, int]:
    """The project after the run, what the run said, and how many requests came."""
    folder = tmp_path_factory.mktemp("llm")
    project = make_project(folder / "project")
    base = tiny_models.encoder(folder / "tiny-bert")
    parameters = {
        "model": "tiny-chat",
        "max_cost_usd": 1,
        "limit": 80,
        "max_queries": 40,
        "base_model": base,
        "synthesis.filters.round_trip_k": "null",
        "distillation.training.max_train_pairs": 40,
        "distillation.training.epochs": 1,
        "reporting.resamples": 100,
        "reporting.permutations": 100,
        "reporting.cost.throughput_pairs": 8,
    }
    (project.path / "conf" / "llm" / "globals.yml").write_text(
        "prices:\n  tiny-chat: {usd_per_million_input: 1.0, usd_per_million_output: 2.0}\n"
    )
    typed = ",".join(f"{name}={value}" for name, value in parameters.items())
    with FaultServer(PLAN) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_BASE_URL", server.url)
        environment.setenv("OPENAI_API_KEY", SECRET)
        done = project.kedro("run", "--env=llm", f"--params={typed}")
        return project, done.stdout, len(server.records())


@pytest.mark.slow
def test_labels_and_failures_are_the_candidates(finished: tuple[Project, str, int]) -> None:
    project, _, requests = finished
    labels = pd.read_parquet(project.newest("05_model_input/labels.parquet"))
    failures = pd.read_parquet(project.newest("05_model_input/failures.parquet"))
    candidates = pd.read_parquet(project.newest("04_feature/candidates.parquet"))
    pairs = candidates.drop_duplicates(["query_id", "passage_id"])
    assert len(labels) + len(failures) == len(pairs)
    assert set(labels["judge"]) == {"llm:tiny-chat"}
    assert set(failures["status"]) <= {"unparseable", "invalid"}
    assert len(failures)
    assert labels["probabilities"].notna().all()
    assert labels["cost_usd"].gt(0).any()
    assert requests > len(labels)
    queries = pd.read_parquet(project.newest("03_primary/queries.parquet"))
    assert queries["generator"].str.contains("tiny-chat").any()


@pytest.mark.slow
def test_the_report_compares_with_the_teacher_that_was_paid(
    finished: tuple[Project, str, int],
) -> None:
    project, _, _ = finished
    agreement = json.loads(project.newest("08_reporting/agreement.json").read_text())
    assert {"student", "teacher"} <= set(agreement["judges"])
    cost = json.loads(project.newest("08_reporting/cost.json").read_text())
    assert cost["judges"]["teacher"]["usd_basis"] == "measured"
    assert cost["judges"]["teacher"]["usd_per_1000_labels"] > 0


@pytest.mark.slow
def test_the_key_is_nowhere_and_the_address_has_no_text(
    finished: tuple[Project, str, int],
) -> None:
    project, said, _ = finished
    assert SECRET not in said
    files = [path for path in project.path.rglob("*") if path.is_file()]
    assert {"mlflow.db", "label_ledger.sqlite", "report.html"} <= {path.name for path in files}
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_the_cap_counts_queries_labels_and_failures(finished: tuple[Project, str, int]) -> None:
    project, _, _ = finished
    report = json.loads((project.path / "data/05_model_input/labeling_report.json").read_text())
    synthesis = json.loads(
        (project.path / "data/02_intermediate/synthesis_report.json").read_text()
    )
    assert report["spent_usd"] > report["cost_usd"] + synthesis["llm"]["cost_usd"] > 0


@pytest.mark.slow
def test_more_prompts_ask_only_what_is_new_and_the_report_says_what_they_gained(
    finished: tuple[Project, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _, _ = finished
    before = pd.read_parquet(project.newest("05_model_input/labels.parquet"))
    pairs = json.loads((project.path / "data/05_model_input/labeling_report.json").read_text())
    typed = "model=tiny-chat,prompts=2,max_cost_usd=2,reporting.resamples=100"
    small = "distillation.training.max_train_pairs=40,distillation.training.epochs=1"
    quick = f"{typed},reporting.permutations=100,reporting.cost.throughput_pairs=8,{small}"
    base = project.path.parent / "tiny-bert"
    with FaultServer(PLAN) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        project.kedro("run", "--env=llm", "--pipeline=label", f"--params={quick}")
        labels = pd.read_parquet(project.newest("05_model_input/labels.parquet"))
        asked = len(server.asked())
        options = ("--pipelines=distill,report", f"--params={quick},base_model={base}")
        project.kedro("run", "--env=llm", *options)
    assert 0 < asked <= pairs["pairs"]
    report = json.loads((project.path / "data/05_model_input/labeling_report.json").read_text())
    assert [row["prompt"] for row in report["prompts"]] == ["grade.jinja2", "grade-2.jinja2"]
    assert report["newly_judged"] == asked
    assert report["cost_usd"] > pairs["cost_usd"]
    both = before.merge(labels, on=["query_id", "passage_id"])
    first, mean = (np.stack(both[f"probabilities_{side}"].tolist()) for side in "xy")
    assert np.abs(first - mean).max() == pytest.approx(0.3, abs=0.01)

    cost = json.loads(project.newest("08_reporting/cost.json").read_text())
    usd = cost["prompts"]
    assert usd["asked"] == 2
    total = cost["judges"]["teacher"]["usd_per_1000_labels"]
    assert usd["first_usd_per_1000_labels"] < total
    agreement = json.loads(project.newest("08_reporting/agreement.json").read_text())
    gain = agreement["combining"]
    assert gain["answers"] == 2
    assert set(gain["gain"]) == {"quadratic_kappa", "pairwise_accuracy"}
    page = project.newest("08_reporting/report.html").read_text()
    assert "What several answers gained" in page
    assert "Each label of the teacher asked 2 prompts" in page
