"""A second pass over a file by query: same grades in any order, after a kill, and with few rows."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tiny_models
from checkout import start_script
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.graders import grade_in_two_passes, grade_with_student
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.artifact import copy_artifact
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.learning.second_pass import FEWEST_PASSAGES, similarity_to_others
from relevance_distillery.scoring.job import score_file
from relevance_distillery.scoring.pairs_file import PairsFile, ScoringOutput
from relevance_distillery.scoring.parts import ScoredParts

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from pair_files import read_rows, write_rows  # noqa: E402
from slow_scoring import LengthGrader  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("second-pass")
    settings = tiny_models.tiny_settings(
        tiny_models.encoder(place / "tiny-bert"), epochs=1, folds=2, early_exit=0.0
    )
    made, _ = distill(tiny_models.tiny_data(24, 24), settings, DEFAULT_SCALE, place / "work")
    return made


def _rows(queries: int, each: int) -> list[dict[str, Any]]:
    """Pairs in a random order, so that a query lies in several shards."""
    labels, questions, passages = tiny_models.tables(queries, each, seed=7)
    table = labels[["query_id", "passage_id"]].merge(
        questions.rename(columns={"text": "query"})[["query_id", "query"]], on="query_id"
    )
    rows = table.merge(passages[["passage_id", "document_id", "text"]], on="passage_id")
    return rows.sample(frac=1.0, random_state=0).to_dict("records")


def _scored(pairs: Path, scored: Path, labeler: Any, second_pass: bool = True) -> pd.DataFrame:
    qrels = scored.with_suffix(".qrels")
    output = ScoringOutput(str(scored), str(qrels))
    score_file(PairsFile(pairs), labeler, output, second_pass=second_pass)
    return pd.DataFrame(read_rows(scored)).set_index("passage_id")


def test_long_queries_are_graded_again_and_the_others_are_not(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labeler = Labeler.load(folder)
    short = [{**row, "query": row["query"] + " w1"} for row in _rows(40, 6)]
    short = [{**row, "passage_id": "short " + row["passage_id"]} for row in short]
    rows = _rows(90, 25) + short
    rows[3]["text"] = ""
    pairs = write_rows(tmp_path / "pairs.jsonl", rows)
    first = _scored(pairs, tmp_path / "first.jsonl", labeler, second_pass=False)
    with caplog.at_level(logging.INFO):
        second = _scored(pairs, tmp_path / "second.jsonl", labeler)
    few = first.index.str.startswith("short")
    assert first[few].equals(second[few])
    given = first["grade"].notna()
    assert (first["expected_grade"] != second["expected_grade"])[given & ~few].mean() > 0.9
    assert second["grade"].isna().sum() == 1
    chances = np.array(second["probabilities"][given].tolist())
    assert np.allclose(chances @ [0, 1, 2, 3], second["expected_grade"][given], atol=1e-5)
    assert (
        f"2249 of {90 * 25 + 240 - 1} pairs graded again; 40 queries with fewer than 20 passages "
        "keep their first grades" in caplog.text
    )
    # qrels have the second grades.
    qrels = pd.read_csv(tmp_path / "second.qrels", sep=" ", header=None)
    best = second[given].groupby(["query_id", "document_id"])["grade"].max()
    assert qrels.set_index([0, 2])[3].sort_index().tolist() == best.sort_index().tolist()


def test_neither_the_order_of_rows_nor_copies_change_a_grade(folder: Path, tmp_path: Path) -> None:
    labeler, rows = Labeler.load(folder), _rows(90, 25)
    found = _scored(write_rows(tmp_path / "a.jsonl", rows), tmp_path / "a.csv", labeler)
    random.Random(1).shuffle(rows)
    rows += [{**row, "passage_id": "copy"} for row in rows[:300]]
    other = _scored(write_rows(tmp_path / "b.jsonl", rows), tmp_path / "b.csv", labeler)
    other = other.loc[found.index]
    assert other["grade"].tolist() == found["grade"].tolist()
    values = [one["expected_grade"].astype(float).tolist() for one in (other, found)]
    assert values[0] == pytest.approx(values[1], abs=1e-4)
    # Twenty rows of one passage are one passage.
    few = [{**rows[0], "passage_id": str(number)} for number in range(30)]
    pairs = write_rows(tmp_path / "few.jsonl", few)
    for name, second_pass in (("c", False), ("d", True)):
        _scored(pairs, tmp_path / f"{name}.csv", labeler, second_pass)
    assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "d.csv").read_bytes()


def test_killed_in_either_pass_the_file_is_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", _rows(400, 25))
    scored, log, script = tmp_path / "scored.csv", tmp_path / "log", HERE / "slow_scoring.py"
    labeler, output, write = Labeler.load(folder), ScoringOutput(str(scored)), ScoredParts.write

    def stop(parts: ScoredParts, graded: Any, observed: Any = None) -> None:
        write(parts, graded, observed)
        if (observed is None) == second_pass and graded.shard.number == 2:
            raise KeyboardInterrupt

    # What a run without a second pass left is of no use.
    second_pass = False
    monkeypatch.setattr(ScoredParts, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        score_file(PairsFile(pairs), labeler, output)
    process = start_script(script, pairs, scored, log, 1, folder, "twice")
    parts = tmp_path / "scored.csv.parts"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (
        (parts / "seen").is_file() and len(list(parts.glob("part-*.csv"))) >= 2
    ):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not scored.exists()

    second_pass = True
    with pytest.raises(KeyboardInterrupt):
        score_file(PairsFile(pairs), labeler, output, second_pass=True)
    assert not scored.exists()
    monkeypatch.undo()
    # Nothing is read again.
    monkeypatch.setattr(Labeler, "look", None)
    score_file(PairsFile(pairs), labeler, output, second_pass=True)
    monkeypatch.undo()
    straight = ScoringOutput(str(tmp_path / "straight.csv"))
    score_file(PairsFile(pairs), labeler, straight, second_pass=True)
    assert scored.read_bytes() == (tmp_path / "straight.csv").read_bytes()
    assert not parts.exists()


def test_the_report_grades_as_the_file(folder: Path, tmp_path: Path) -> None:
    labeler = Labeler.load(folder)
    rows = [{**row, "document_id": row["passage_id"]} for row in _rows(30, 25) + _rows(60, 6)[:200]]
    table = pd.DataFrame(rows).drop_duplicates("passage_id", ignore_index=True)
    pairs = write_rows(tmp_path / "pairs.jsonl", table.to_dict("records"))
    scored = _scored(pairs, tmp_path / "scored.jsonl", labeler)
    graded = grade_in_two_passes(labeler, table).set_index("document_id").loc[scored.index]
    assert graded["second_pass_grade"].tolist() == scored["grade"].tolist()
    first = grade_with_student(labeler, table).set_index("document_id").loc[scored.index]
    size = table.groupby("query_id")["passage_id"].transform("size").set_axis(table["passage_id"])
    few = (size < FEWEST_PASSAGES).loc[scored.index]
    pd.testing.assert_frame_equal(graded[first.columns], first)
    same = first["student_expected"] == graded["second_pass_score"]
    assert same[few].all()
    assert not same[~few].any()


def test_similarity_is_the_weighted_mean_over_the_others() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5000, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    odds = rng.normal(size=4500)
    found = similarity_to_others(odds, vectors, np.arange(500, 5000))
    for place in (0, 4200):
        others = np.delete(np.arange(4500), place)
        alike = vectors[500 + others] @ vectors[500 + place]
        assert found[place] == pytest.approx(np.average(alike, weights=np.exp(odds[others])))


def test_who_has_no_second_pass_says_so_before_anything_is_graded(
    folder: Path, tmp_path: Path
) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", _rows(3, 6))
    older = copy_artifact(folder, tmp_path / "older", second_pass=None)
    for grader, message in (
        (Labeler.load(older), "has none: it is older"),
        (LengthGrader(), "length is no labeler"),
    ):
        with pytest.raises(UserError, match=f"second_pass: .*{message}"):
            _scored(pairs, tmp_path / "scored.csv", grader)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["older", "pairs.jsonl"]


def test_few_graded_passages_teach_no_second_pass(tmp_path: Path) -> None:
    base = tiny_models.encoder(tmp_path / "tiny-bert")
    settings = tiny_models.tiny_settings(base, epochs=1, folds=2, early_exit=0.0)
    made, _ = distill(tiny_models.tiny_data(), settings, DEFAULT_SCALE, tmp_path / "work")
    assert Labeler.load(made).facts.second_pass is None
