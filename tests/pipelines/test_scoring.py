"""The pipeline `score`: graders by name, and how far a batch is from training."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

import tiny_models
from checkout import start_script
from relevance_distillery import model_registry
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import JudgeSources, prepare_judge
from relevance_distillery.judges.settings import ConsensusSettings, JudgeSettings
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.scoring.nodes import choose_grader, score_pairs
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters
from relevance_distillery.scoring.graders import Grader, JudgeGrader, NamedJudge, find_grader
from relevance_distillery.scoring.pairs_file import GivenPairs, ScoringOutput

SCORING = Path(__file__).parents[1] / "scoring"
sys.path.insert(0, str(SCORING))
from pair_files import read_rows, write_rows  # noqa: E402
from slow_scoring import PARAMETERS, LengthGrader  # noqa: E402


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "runs").as_uri())
    mlflow.set_experiment("tiny")
    base = tiny_models.encoder(folder / "tiny-bert")
    artifact, _ = distill(
        tiny_models.tiny_data(),
        tiny_models.tiny_settings(base, epochs=1),
        DEFAULT_SCALE,
        folder / "work",
    )
    flavor.log_and_register(artifact, "tiny-scorer", {}, {})
    return artifact


def _grader(judge: str) -> Grader | NamedJudge:
    return find_grader(
        judge,
        registered_name="tiny-scorer",
        judge_state="nowhere/judge_state.json",
        ledger="nowhere/l.sqlite",
    )


def test_the_champion_grades_as_the_loaded_model_does(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such registered labeler"):
        _grader("champion")
    model_registry.set_alias("tiny-scorer", "champion", "1")
    labeler = _grader("champion")
    assert labeler.digest == Labeler.load(registry).digest
    table = tiny_models.tiny_data().early.pairs[["query", "text"]]
    early, whole = Labeler.load(registry), Labeler.load(registry)
    whole.facts = whole.facts.model_copy(update={"early_exit": None})
    assert not np.allclose(early.raw(table)[1], whole.raw(table)[1], atol=1e-3)  # some leave early
    pairs, scored = write_rows(tmp_path / "p.csv", table.to_dict("records")), tmp_path / "s.parquet"
    _drift(pairs, scored, labeler)
    served = mlflow.pyfunc.load_model("models:/tiny-scorer@champion").predict(table)
    result = pd.DataFrame(read_rows(scored))
    ours = early.grade(table)
    assert result["grade"].tolist() == served["grade"].tolist() == ours["grade"].tolist()
    for column in ("expected_grade", "confidence"):
        for other in (served, ours):
            assert result[column].tolist() == pytest.approx(other[column].tolist(), abs=1e-5)


def test_graders_by_alias_version_folder_and_unknown_name(registry: Path) -> None:
    assert _grader("challenger").digest == _grader("1").digest
    assert _grader(str(registry)).digest == Labeler.load(registry).digest
    with pytest.raises(UserError, match="neither a judge"):
        _grader("gpt-17")
    with pytest.raises(UserError, match="not prepared yet"):
        _grader("embedded").as_prepared()


def test_a_consensus_that_has_labelled_scores_without_its_judges_named(tmp_path: Path) -> None:
    grades = tmp_path / "judges"
    grades.mkdir()
    for name in ("big", "small"):
        (grades / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t3\n")
    sources = JudgeSources(
        scale=DEFAULT_SCALE,
        recorded=read_recorded_grades(str(tmp_path), "big"),
        settings=JudgeSettings(consensus=ConsensusSettings(judges="recorded:big;recorded:small")),
    )
    state = prepare_judge("consensus", sources).to_state()
    asked = NamedJudge("consensus", state, Ledger(tmp_path / "ledger.sqlite"), DEFAULT_SCALE)
    ready = choose_grader(
        asked,
        read_recorded_grades(None, None),
        Prompt("{% block system %}{% endblock %}{% block user %}{% endblock %}", "any"),
        {"seed": 1, "judge": "champion"},
        DEFAULT_SCALE,
    )
    graded = ready.grade(pd.DataFrame({"query_id": ["q"], "document_id": ["a"], "query": ["hi"]}))
    assert graded["grade"].tolist() == [3]


def test_a_judge_that_nobody_prepared_is_prepared_for_a_file(tmp_path: Path) -> None:
    grades = tmp_path / "big.tsv"
    grades.write_text("query-id\tcorpus-id\tscore\nq\ta\t3\n")
    labeling = {"seed": 1, "judge": "champion"}
    ready = choose_grader(
        _grader("recorded:big"),
        read_recorded_grades(str(grades), None),
        Prompt("{% block system %}{% endblock %}{% block user %}{% endblock %}", "any"),
        labeling,
        DEFAULT_SCALE,
    )
    assert isinstance(ready, JudgeGrader)
    assert (ready.name, ready.judge.model) == ("big", "recorded")
    with pytest.raises(UserError, match=r"labeling: max_attempts: Input should be greater"):
        choose_grader(
            _grader("recorded:big"),
            read_recorded_grades(None, None),
            Prompt("{% block system %}{% endblock %}{% block user %}{% endblock %}", "any"),
            {**labeling, "max_attempts": 0},
            DEFAULT_SCALE,
        )


def _drift(pairs: Path, scored: Path, grader: Any, **settings: Any) -> dict[str, Any]:
    parameters = ScoringParameters(drift={"resamples": 300, **settings})
    path, drift = score_pairs(
        GivenPairs(str(pairs)), grader, ScoringOutput(str(scored)), parameters
    )
    assert path == scored
    return drift


def _tiny_pairs(queries: int, seed: int) -> list[dict[str, Any]]:
    labels, questions, passages = tiny_models.tables(queries, 6, seed)
    table = labels[["query_id", "passage_id"]].merge(
        questions.rename(columns={"text": "query"})[["query_id", "query"]], on="query_id"
    )
    return table.merge(passages[["passage_id", "text"]], on="passage_id").to_dict("records")


def test_drift_is_quiet_on_pairs_like_training_and_speaks_on_others(
    registry: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labeler = Labeler.load(registry)
    alike = write_rows(tmp_path / "alike.jsonl", _tiny_pairs(400, 5))
    with caplog.at_level(logging.INFO):
        quiet = _drift(alike, tmp_path / "alike.csv", labeler)
    assert quiet["verdict"] == "ok"
    assert (quiet["pairs"], quiet["pairs_read"]) == (2400, 2400)
    assert quiet["queries"] == pytest.approx(400, rel=0.2)
    # What a person reads last: the drift, then the rate.
    lines = [record.getMessage() for record in caplog.records[-2:]]
    assert lines[0] == quiet["line"]
    assert "pairs/s" in lines[1]

    rows = [
        {**row, "text": " ".join(f"z{word}" for word in (row["text"] * 5).split())}
        for row in _tiny_pairs(400, 5)
    ]
    other = write_rows(tmp_path / "other.jsonl", rows)
    loud = _drift(other, tmp_path / "other.csv", labeler)
    assert loud["verdict"] == "distrust"
    spoken = {name for name, c in loud["comparisons"].items() if c["verdict"] == "distrust"}
    assert "unknown_text_words" in spoken
    assert "unknown_query_words" not in spoken
    assert loud["comparisons"]["text_tokens"]["verdict"] == "watch"
    assert "have people grade some of these pairs" in loud["line"]


def test_drift_after_a_kill_is_that_of_a_straight_run(registry: Path, tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", _tiny_pairs(1200, 3))
    scored, log = tmp_path / "scored.csv", tmp_path / "log"
    script = SCORING / "slow_scoring.py"
    process = start_script(script, pairs, scored, log, 1, registry)
    parts = tmp_path / "scored.csv.parts"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(parts.glob("part-*.csv"))) < 2:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not scored.exists()
    status, said = start_script(script, pairs, scored, log, 0, registry).wait()
    assert status == 0
    assert "more from before the interruption" in said
    resumed = json.loads((tmp_path / "log.drift").read_text())
    straight = ScoringOutput(str(tmp_path / "straight.csv"))
    _, drift = score_pairs(GivenPairs(str(pairs)), Labeler.load(registry), straight, PARAMETERS)
    assert resumed == json.loads(json.dumps(drift))
    assert resumed["pairs"] == 7200
    assert 2700 <= resumed["pairs_read"] <= 3300


def test_a_part_of_the_texts_says_what_all_say(registry: Path, tmp_path: Path) -> None:
    labeler = Labeler.load(registry)
    pairs = write_rows(tmp_path / "pairs.jsonl", _tiny_pairs(500, 3))
    whole = _drift(pairs, tmp_path / "a.csv", labeler)
    part = _drift(pairs, tmp_path / "b.csv", labeler, sample=600)
    assert whole["pairs_read"] == 3000
    assert 450 <= part["pairs_read"] <= 750
    assert part["comparisons"]["grades"] == whole["comparisons"]["grades"]
    for name in ("unknown_text_words", "common_text_words"):
        values = [result["comparisons"][name]["batch"] for result in (whole, part)]
        assert values[1] == pytest.approx(values[0], abs=0.03)


def test_what_cannot_be_compared_says_why(registry: Path, tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", _tiny_pairs(60, 5))
    few = write_rows(tmp_path / "few.jsonl", _tiny_pairs(20, 5))
    older, damaged = tmp_path / "older", tmp_path / "damaged"
    for folder in (older, damaged):
        shutil.copytree(registry, folder)
    (older / "profile.json").unlink()
    (damaged / "profile.json").write_text("{")
    labeler = Labeler.load(registry)
    for number, (file, grader, settings, verdict, why) in enumerate(
        [
            (pairs, LengthGrader(), {}, "not known", "length was not distilled here"),
            (pairs, Labeler.load(older), {}, "not known", "no training profile; distill again"),
            (pairs, Labeler.load(damaged), {}, "not known", "cannot be read; distill again"),
            (pairs, labeler, {"sample": 0}, "not known", "turned off"),
            (few, labeler, {}, "too few to tell", "120 graded pairs, at least 200"),
        ]
    ):
        result = _drift(file, tmp_path / f"{number}.csv", grader, **settings)
        assert result["verdict"] == verdict
        assert why in result["reason"]
        assert (tmp_path / f"{number}.csv").is_file()


def test_parts_scored_without_the_comparison_are_kept_and_drift_is_not_known(
    registry: Path, tmp_path: Path
) -> None:
    pairs, scored = write_rows(tmp_path / "p.jsonl", _tiny_pairs(400, 3)), tmp_path / "s.csv"

    class Stops(Labeler):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            if len(pairs) < 2048:
                raise RuntimeError("stopped")
            return super().grade(pairs)

    with pytest.raises(RuntimeError, match="stopped"):
        _drift(pairs, scored, Stops.load(registry), sample=0)
    result = _drift(pairs, scored, Labeler.load(registry))
    assert result["verdict"] == "not known"
    assert "1 of 2 parts were scored before" in result["reason"]
    assert len(read_rows(scored)) == 2400


def test_a_file_of_one_passage_again_and_again_is_graded_and_compared(
    registry: Path, tmp_path: Path
) -> None:
    rows = [{"query": "w1 w2", "text": "w1 w3 w4"}] * 300
    pairs, scored = write_rows(tmp_path / "same.csv", rows), tmp_path / "same.parquet"
    drift = _drift(pairs, scored, Labeler.load(registry))
    assert len({row["grade"] for row in read_rows(scored)}) == 1
    assert drift["verdict"] == "too few to tell"
    assert "nan" not in json.dumps(drift).lower()
