"""The whole machine on a trial of the bundled corpus, as a user runs it."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path
from typing import Any

import mlflow
import nbformat
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from nbclient import NotebookClient

from checkout import ROOT, Project, make_project
from model_server import post, served
from relevance_distillery.labeler.inference import Labeler

PAIRS = pd.DataFrame(
    {
        "query": ["travel policy emea 2026", "parental leave", "what broke in inc-2417"],
        "text": [
            "Hotels in EMEA are paid up to 170 euros a night. Book in Tripline, 14 days ahead.",
            "The pager rota of the platform team changes on Mondays.",
            "Clock skew between consumers let two ships be given the same berth.",
        ],
        "title": ["Travel policy EMEA 2026", "Pager rota", "RCA INC-2417"],
    }
)

SMALL = (
    "distillation.training.max_train_pairs=48,distillation.training.max_head_pairs=48,"
    "distillation.training.max_evaluation_pairs=16,distillation.training.max_calibration_pairs=64,"
    "distillation.training.max_null_pairs=24,distillation.training.evaluations_per_epoch=1,"
    "distillation.training.max_length=64,"
    "reporting.calibration_pairs=40,reporting.resamples=200,reporting.permutations=200,"
    "reporting.cost.throughput_pairs=16"
)
"""The same work on less."""

NOTEBOOK = ROOT / "notebooks" / "explore_labels.ipynb"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after `kedro run` on twenty documents."""
    project = make_project(tmp_path_factory.mktemp("trial") / "project", store=False)
    project.kedro("run", f"--params=limit=20,{SMALL}", fresh=True)
    return project


def _client(project: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.path}/mlflow.db")


def _agreement(project: Project) -> dict[str, Any]:
    return json.loads(project.newest("08_reporting/agreement.json").read_text())


def test_one_command_leaves_a_labeler_a_report_and_its_lineage(trial: Project) -> None:
    agreement = _agreement(trial)
    assert agreement["benchmark"]["human"] is False
    assert set(agreement["judges"]) >= {"student", "teacher", "base"}
    page = trial.newest("08_reporting/report.html").read_text()
    assert "No grades by people" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert json.loads(trial.newest("08_reporting/cost.json").read_text())

    version = _client(trial).get_model_version_by_alias("relevance-labeler", "champion")
    assert int(version.version) == 1
    assert version.tags
    runs = _client(trial).search_runs(
        [experiment.experiment_id for experiment in _client(trial).search_experiments()]
    )
    tracked = [run for run in runs if run.data.tags.get("mlflow.runName") == "__default__"]
    assert len(tracked) == 1
    assert 20 <= len(tracked[0].data.metrics) <= 30
    assert "version.labels" in tracked[0].data.tags
    assert tracked[0].data.tags["runner"] == "SequentialRunner"
    assert tracked[0].data.tags["kedro_command"] == f"kedro run --params=limit=20,{SMALL}"
    assert {"documents", "labels"} <= {one.dataset.name for one in tracked[0].inputs.dataset_inputs}


def test_no_text_goes_to_mlflow(trial: Project) -> None:
    queries = pd.read_parquet(trial.newest("03_primary/queries.parquet"))["text"]
    long_queries = [query for query in queries if len(query) > 15][:40]
    haystack = b"".join(
        path.read_bytes()
        for path in (trial.path / "mlruns").rglob("*")
        if path.is_file() and path.suffix in {".json", ".yaml", ".yml", ".txt", ".csv", ""}
    )
    haystack += (trial.path / "mlflow.db").read_bytes()
    assert not [query for query in long_queries if query.encode() in haystack]


def test_a_stage_that_goes_on_with_a_trial_knows_what_the_trial_left_out(trial: Project) -> None:
    node = "reporting.select_benchmark_pairs"
    done = trial.kedro("run", "--pipeline=report", f"--nodes={node}")
    assert "limit=20 leaves out, as a trial does" in done.stdout
    assert "not in the corpus" not in done.stdout


def test_every_candidate_is_labelled_or_listed(trial: Project) -> None:
    candidates = pd.read_parquet(trial.newest("04_feature/candidates.parquet"))
    labels = pd.read_parquet(trial.newest("05_model_input/labels.parquet"))
    failures = pd.read_parquet(trial.newest("05_model_input/failures.parquet"))
    pairs = candidates.drop_duplicates(["query_id", "passage_id"])
    assert len(labels) + len(failures) == len(pairs)


def test_file_python_model_and_http_give_the_same_grades(trial: Project) -> None:
    PAIRS.to_csv(trial.path / "pairs.csv", index=False)
    done = trial.kedro("run", "--pipeline=score", "--params=pairs=pairs.csv,scored=scored.csv")
    assert "pairs/s" in done.stdout.strip().splitlines()[-1]
    scored = pd.read_csv(trial.path / "scored.csv")
    assert scored["query"].tolist() == PAIRS["query"].tolist()

    folder = trial.newest("06_models/labeler")
    direct = Labeler.load(folder).grade(PAIRS)
    assert scored["grade"].tolist() == direct["grade"].tolist()
    assert np.allclose(scored["expected_grade"], direct["expected_grade"], atol=1e-4)

    mlflow.set_tracking_uri(f"sqlite:///{trial.path}/mlflow.db")
    loaded = mlflow.pyfunc.load_model("models:/relevance-labeler@champion").predict(PAIRS)
    assert loaded["grade"].tolist() == direct["grade"].tolist()

    environment = trial.environment | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    with served("models:/relevance-labeler@champion", trial.path, environment) as address:
        answer = post(address, {"dataframe_records": PAIRS.to_dict("records")})
        assert [row["grade"] for row in answer["predictions"]] == direct["grade"].tolist()
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(address, {"dataframe_records": [{"query": "no text"}]})
        assert refused.value.code == 400


def test_outputs_are_not_in_git() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


def test_the_notebook_shows_labels_and_disagreements(
    trial: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in trial.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DISTILLERY_PROJECT", str(trial.path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()

    shown = "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert "NOT graded by people" in shown
    for grade_name in ("irrelevant", "perfectly relevant"):
        assert grade_name in shown
    assert "student_grade" in shown
    assert "seen" in shown
