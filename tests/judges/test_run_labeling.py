"""Derive the misses, judge them, look up."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from checkout import start_script
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS, build_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.labeling import (
    refuse_total_failure,
    run_labeling,
    summarise_labeling,
)
from relevance_distillery.judges.ledger.ledger import Ledger


class ScriptedJudge:
    """Answers by the pair's text: `g2` a grade, `drop` nothing, anything else a failure."""

    name, model, prompt_hash, scale = "scripted", "m", "", DEFAULT_SCALE
    budget = None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def request_hashes(self, pairs):
        return [f"hash of {text}" for text in pairs["text"]]

    def grade(self, shards):
        for text in (text for pairs in shards for text in pairs["text"]):
            self.asked.append(text)
            if text == "drop":
                continue
            request = f"hash of {text}"
            if text.startswith("g"):
                grade = int(text[1:].split(".")[0])
                yield [Verdict(request, grade=grade, cost_usd=1.0, input_tokens=3)]
            elif text == "odd":
                yield [Verdict(request, grade=1, probabilities=(0.5, 0.5))]
            else:
                yield [Verdict(request, status=text, reason="why", retryable=text == "later")]


def table(*texts: str) -> pd.DataFrame:
    pairs = pd.DataFrame({column: [""] * len(texts) for column in PAIR_COLUMNS})
    pairs["query_id"] = "q"
    pairs["passage_id"] = [f"p{n}" for n in range(len(texts))]
    pairs["text"] = list(texts)
    return pairs


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def test_labels_and_failures_are_the_pairs(ledger):
    pairs = table("g1", "drop", "refused", "g3", "odd", "g9")
    result = run_labeling(pairs, ScriptedJudge(), ledger)
    labels, failures = result.labels, result.failures

    assert labels["passage_id"].tolist() == ["p0", "p3"]
    assert labels["grade"].tolist() == [1, 3]
    assert dict(zip(failures["passage_id"], failures["status"], strict=True)) == {
        "p1": "unanswered",
        "p2": "refused",
        "p4": "invalid",
        "p5": "invalid",
    }
    assert failures["attempts"].tolist() == [1, 1, 1, 1]


def test_a_second_run_asks_nothing_that_was_answered(ledger):
    run_labeling(table("g1", "g2"), ScriptedJudge(), ledger)
    judge = ScriptedJudge()
    result = run_labeling(table("g2", "g3", "g1"), judge, ledger)

    assert judge.asked == ["g3"]
    assert (result.from_ledger, result.requests, result.cost_usd) == (2, 1, 1.0)
    assert result.labels["grade"].tolist() == [2, 3, 1]


def test_pairs_that_read_the_same_are_asked_and_paid_once(ledger):
    judge = ScriptedJudge()
    result = run_labeling(table("g2", "g2", "g2"), judge, ledger)

    assert judge.asked == ["g2"]
    assert len(result.labels) == 3
    assert result.labels["cost_usd"].sum() == result.cost_usd == 1.0


def test_passing_failures_are_tried_again_and_final_ones_only_on_request(ledger):
    pairs = table("later", "refused")
    for attempt in (1, 2, 3):
        judge = ScriptedJudge()
        failures = run_labeling(pairs, judge, ledger, max_attempts=3).failures
        assert failures["attempts"].tolist() == [attempt, 1]
    judge = ScriptedJudge()
    run_labeling(pairs, judge, ledger, max_attempts=3)
    assert judge.asked == []

    run_labeling(pairs, judge, ledger, max_attempts=3, retry_failures=True)
    assert judge.asked == ["later", "refused"]


def test_no_pairs_give_empty_tables_with_columns(ledger):
    result = run_labeling(table(), ScriptedJudge(), ledger)

    assert result.labels.empty
    assert "grade" in result.labels
    assert result.failures.empty
    assert "reason" in result.failures
    with pytest.raises(UserError, match="--pipeline=mine"):
        refuse_total_failure("scripted", result.labels, result.failures)


def test_a_repeated_pair_is_refused(ledger):
    pairs = pd.concat([table("g1"), table("g2")])

    with pytest.raises(ValueError, match="unique"):
        run_labeling(pairs, ScriptedJudge(), ledger)


def test_a_run_without_any_label_says_why(ledger):
    result = run_labeling(table("refused", "refused.", "later"), ScriptedJudge(), ledger)

    with pytest.raises(UserError, match=r"none of 3 pairs \(.*1 refused: why"):
        refuse_total_failure("scripted", result.labels, result.failures)


def test_the_summary_counts_everything(ledger):
    run_labeling(table("g1"), ScriptedJudge(), ledger)
    judge = ScriptedJudge()
    report = summarise_labeling(run_labeling(table("g1", "g3", "drop"), judge, ledger), judge)

    assert report["pairs"] == report["labelled"] + report["failed"] == 3
    assert report["grades"] == {"0": 0, "1": 1, "2": 0, "3": 1}
    assert report["failures"] == {"unanswered": 1}
    assert (report["from_ledger"], report["newly_judged"]) == (1, 2)
    assert (report["cost_usd"], report["cost_usd_this_run"], report["input_tokens"]) == (2, 1, 6)


def test_killed_labeling_resumes_and_pays_nothing_twice(tmp_path):
    script = Path(__file__).with_name("slow_labeling.py")
    ledger, log = tmp_path / "ledger.sqlite", tmp_path / "asked.log"
    process = start_script(script, ledger, log, 0.05)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not log.exists() or log.read_text().count("\n") < 8):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = log.read_text().split()
    finished = set(Ledger(ledger).lookup(before))
    assert 0 < len(finished) < 60

    status, said = start_script(script, ledger, log, 0).wait()
    assert status == 0
    labelled, from_ledger, requests = map(int, said.splitlines()[-1].split())
    after = log.read_text().split()[len(before) :]

    assert (labelled, from_ledger, requests) == (60, len(finished), 60 - len(finished))
    assert not finished & set(after)
    # Only the request in flight was asked twice.
    assert len(before) + len(after) <= 60 + 1


def test_pairs_join_queries_and_passages_and_mark_the_seed():
    passages = pd.DataFrame(
        {
            "passage_id": ["d#0", "d#1", "e#0"],
            "document_id": ["d", "d", "e"],
            **{column: ["x", "y", "z"] for column in ("title", "heading", "text")},
            **{column: ["", "", ""] for column in ("path", "author", "modified")},
        }
    )
    queries = pd.DataFrame(
        {"query_id": ["q", "r"], "text": ["seeded", "real"], "passage_id": ["d#0", ""]}
    )
    candidates = pd.DataFrame(
        [("q", "e#0"), ("q", "d#1"), ("q", "d#0"), ("q", "d#0"), ("r", "d#0")],
        columns=["query_id", "passage_id"],
    )
    pairs = build_pairs(candidates, queries, passages)

    assert list(pairs.columns) == list(PAIR_COLUMNS)
    assert pairs["passage_id"].tolist() == ["e#0", "d#1", "d#0", "d#0"]
    assert pairs["is_seed"].tolist() == [False, False, True, False]
    assert pairs["in_seed_document"].tolist() == [False, True, True, False]
    assert pairs["query"].tolist() == ["seeded", "seeded", "seeded", "real"]
    assert pairs["text"].tolist() == ["z", "y", "x", "x"]
    with pytest.raises(ValueError, match="unknown passage_id"):
        build_pairs(candidates.assign(passage_id="nowhere"), queries, passages)
