"""Misses go to the judge in one stream; what was not asked is not paid and not forgotten."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from known_judges import counts

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS, SHARD, Pairs, build_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.progress import Progress
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.labeling import Labeling, refuse_total_failure, run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.progress import PaidProgress
from relevance_distillery.llm.prices import Budget
from relevance_distillery.schemas import Failures, Labels
from relevance_distillery.scoring.graders import JudgeGrader


class PaidJudge:
    """A dollar a pair, one at a time, as long as the budget lasts."""

    name, model, prompt_hash, scale = "paid", "m", "", DEFAULT_SCALE

    def __init__(self, limit: float | None = None) -> None:
        self.budget = Budget(limit)
        self.asked: list[str] = []

    def request_hashes(self, pairs):
        return [f"hash of {text}" for text in pairs["text"]]

    def grade(self, shards):
        for text in (text for shard in shards for text in shard["text"]):
            request = f"hash of {text}"
            if not self.budget.reserve(1.0):
                reason = "max_cost_usd is spent"
                yield [Verdict(request, None, None, "budget", reason, True, asked=False)]
                continue
            self.asked.append(text)
            self.budget.settle(1.0, 1.0)
            if text.startswith("bad"):
                yield [Verdict(request, status="unparseable", reason="no grade", cost_usd=1.0)]
            else:
                yield [Verdict(request, grade=2, cost_usd=1.0)]


def table(texts) -> pd.DataFrame:
    pairs = pd.DataFrame({column: [""] * len(texts) for column in PAIR_COLUMNS})
    pairs["query_id"] = "q"
    pairs["passage_id"] = [f"p{n}" for n in range(len(texts))]
    pairs["document_id"] = [f"d{n}" for n in range(len(texts))]
    pairs["text"] = list(texts)
    return pairs


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def test_a_cap_stops_cleanly_and_holds_over_resumed_runs(ledger, caplog):
    caplog.set_level(logging.INFO)
    pairs = table(["a", "bad", "c", "d", "e"])
    first = PaidJudge(limit=3)
    result = run_labeling(pairs, first, ledger)

    assert result.labels["passage_id"].tolist() == ["p0", "p2"]
    failures = result.failures.set_index("passage_id")
    assert failures["status"].to_dict() == {"p1": "unparseable", "p3": "budget", "p4": "budget"}
    assert failures["attempts"].to_dict() == {"p1": 1, "p3": 0, "p4": 0}
    assert (result.requests, result.cost_usd) == (3, 3.0)
    assert counts(ledger) == {"verdicts": 2, "failures": 1}
    assert "3 failed (2 budget, 1 unparseable)" in caplog.text

    again = PaidJudge(limit=3)
    run_labeling(pairs, again, Ledger(ledger.path))
    assert again.asked == []
    raised = PaidJudge(limit=4)
    run_labeling(pairs, raised, Ledger(ledger.path))
    assert raised.asked == ["d"]
    assert raised.budget.spent_usd == 4.0


def test_a_cap_counts_what_needs_no_call_any_more(ledger):
    """As of a cascade's first judge, or of a file that is scored shard by shard."""
    run_labeling(table(["a", "b"]), PaidJudge(limit=10), ledger)
    later, again = Ledger(ledger.path), PaidJudge(limit=3)
    run_labeling(table(["a", "b"]), again, later)
    run_labeling(table(["c", "d"]), again, later)

    assert again.asked == ["c"]


def test_a_cap_below_the_first_pair_says_so_in_one_line(ledger):
    judge = PaidJudge(limit=0.5)
    result = run_labeling(table(["a", "b"]), judge, ledger)

    with pytest.raises(UserError, match=r"labelled none of 2 pairs \(2 budget: max_cost_usd is"):
        refuse_total_failure("paid", result.labels, result.failures)


def test_attempts_of_earlier_runs_stay_with_a_pair_that_is_not_asked_again(ledger):
    class Flaky(PaidJudge):
        def grade(self, shards):
            for verdicts in super().grade(shards):
                yield [
                    replace(v, grade=None, status="timeout", retryable=True) if v.asked else v
                    for v in verdicts
                ]

    run_labeling(table(["a"]), Flaky(), ledger)
    result = run_labeling(table(["a"]), Flaky(limit=0), Ledger(ledger.path))

    assert result.failures[["status", "attempts"]].values.tolist() == [["budget", 1]]


def test_a_judge_that_stops_early_leaves_the_rest_unasked(ledger):
    class Stopping(PaidJudge):
        def grade(self, shards):
            for verdicts in super().grade(shards):
                yield verdicts
                if len(self.asked) == 3:
                    return

    pairs = table([str(n) for n in range(SHARD + 5)])
    result = run_labeling(pairs, Stopping(), ledger)

    assert len(result.labels) == 3
    reasons = result.failures["reason"].value_counts().to_dict()
    assert reasons == {
        "the judge gave no answer": SHARD - 3,
        "the judge stopped before it came to this pair": 5,
    }
    assert counts(ledger) == {"verdicts": 3, "failures": SHARD - 3}


def test_an_error_of_the_judge_keeps_what_was_paid(ledger):
    class Breaking(PaidJudge):
        closed = False

        def grade(self, shards):
            try:
                for verdicts in super().grade(shards):
                    if len(self.asked) == 3:
                        raise UserError("the key was refused")
                    yield verdicts
            finally:
                self.closed = True

    judge = Breaking()
    with pytest.raises(UserError, match="key was refused"):
        run_labeling(table(["a", "b", "c", "d"]), judge, ledger)
    assert judge.closed
    assert counts(ledger)["verdicts"] == 2
    with ledger.lock():
        pass


def test_shards_are_joined_only_as_the_judge_asks_for_them(ledger):
    joined: list[int] = []

    class Watched(Pairs):
        def _join(self, places):
            joined.append(len(places))
            return super()._join(places)

    class Window(PaidJudge):
        """Holds 64 requests, over the borders of shards."""

        def grade(self, shards):
            self.behind = []
            stream = (text for shard in shards for text in shard["text"])
            open_requests = [next(stream) for _ in range(64)]
            for text in stream:
                open_requests.append(text)
                if len(open_requests) == 96:
                    done, open_requests = open_requests[:32], open_requests[32:]
                    self.behind.append(sum(joined[3:]) - len(self.asked))
                    self.asked += done
                    yield [Verdict(f"hash of {text}", grade=1) for text in done]
            yield [Verdict(f"hash of {text}", grade=1) for text in open_requests]

    passages = table([f"text {n}" for n in range(3 * SHARD - 7)])
    queries = pd.DataFrame({"query_id": ["q"], "text": ["?"], "passage_id": [""]})
    pairs = Watched(passages[["query_id", "passage_id"]], queries, passages)
    judge = Window()
    result = run_labeling(pairs, judge, ledger)

    assert len(result.labels) == len(pairs) == 3 * SHARD - 7
    assert max(joined) == SHARD
    assert max(judge.behind) <= SHARD + 96


def test_lazily_joined_pairs_read_as_those_joined_at_once():
    rng = np.random.default_rng(7)
    passages = table([f"text {n}" for n in range(50)])
    passages["document_id"] = [f"d{n // 3}" for n in range(50)]
    queries = pd.DataFrame(
        {
            "query_id": [f"q{n}" for n in range(80)],
            "text": [f"query {n}" for n in range(80)],
            "passage_id": [f"p{n}" if n < 60 else "" for n in range(80)],
        }
    )
    candidates = pd.DataFrame(
        {
            "query_id": [f"q{n}" for n in rng.integers(80, size=4000)],
            "passage_id": [f"p{n}" for n in rng.integers(50, size=4000)],
        }
    )
    pairs = Pairs(candidates, queries, passages)
    whole = build_pairs(candidates, queries, passages)
    wanted = rng.random(len(pairs)) < 0.7

    pd.testing.assert_frame_equal(pd.concat(pairs.shards()), whole)
    pd.testing.assert_frame_equal(pd.concat(pairs.shards(wanted)), whole[wanted])
    assert whole["is_seed"].any()
    assert (whole["in_seed_document"] & ~whole["is_seed"]).any()


def test_the_tables_are_those_of_the_schema(ledger):
    pairs = table(["a", "bad", "a", "c", "bad"])
    result = run_labeling(pairs, PaidJudge(), ledger)

    pd.testing.assert_frame_equal(Labels.validate(result.labels), result.labels)
    pd.testing.assert_frame_equal(Failures.validate(result.failures), result.failures)
    assert result.labels["cost_usd"].tolist() == [1.0, 0.0, 1.0]
    assert result.failures["passage_id"].tolist() == ["p1", "p4"]


def test_the_ledger_knows_whose_text_an_answer_is_about(ledger):
    run_labeling(table(["a", "bad"]), PaidJudge(), ledger)

    assert ledger.about("d0") == ledger.about("d1") == 1
    assert ledger.forget("d0") == 1
    assert counts(ledger) == {"verdicts": 0, "failures": 1}


def test_a_composite_judge_labels_itself_under_the_same_lock(ledger):
    class Composite(PaidJudge):
        def label(
            self, pairs, ledger, *, retry_failures, max_attempts, quiet, executor
        ) -> Labeling:
            self.told = (retry_failures, max_attempts)
            return run_labeling(pairs, PaidJudge(), ledger, max_attempts=max_attempts)

    judge = Composite()
    result = run_labeling(table(["a"]), judge, ledger, retry_failures=True, max_attempts=2)

    assert len(result.labels) == 1
    assert judge.told == (True, 2)
    assert judge.asked == []


def test_a_scoring_that_is_repeated_pays_nothing_twice(ledger):
    pairs = pd.DataFrame({"query": ["x", "x", "y", "z"], "text": ["a", "a", "bad", "c"]})
    pairs.index = pd.Index([3, 4, 7, 9])
    first, second = PaidJudge(), PaidJudge()
    graded = JudgeGrader(first, ledger).grade(pairs)
    again = JudgeGrader(second, Ledger(ledger.path)).grade(pairs)

    assert first.asked == ["a", "bad", "c"]
    assert second.asked == []
    pd.testing.assert_frame_equal(graded, again)
    assert graded.index.tolist() == [3, 4, 7, 9]
    assert graded["grade"].tolist()[:2] == [2, 2]
    assert graded["failure"].tolist() == ["", "", "unparseable: no grade", ""]


def test_memory_grows_by_the_rows_of_the_tables_and_not_by_the_texts(tmp_path):
    # A pair reads about 2 kB here and its row in the labels takes about 0.7 kB; joined at
    # once, 50,000 pairs more would take 100 MB for the texts alone.
    script = Path(__file__).with_name("labeling_memory.py")
    source = str(Path(__file__).parents[2] / "src")
    peaks = []
    for pairs in (10_000, 60_000):
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path / f"{pairs}.sqlite"), str(pairs)],
            env={**os.environ, "PYTHONPATH": source},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        labelled, peak = map(int, done.stdout.split())
        assert labelled == pairs
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 50 * 2**20, peaks


def test_progress_says_rate_tokens_dollars_spent_and_left(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("relevance_distillery.io.progress._LONGEST", 0.0)
    budget = Budget(5.0)
    budget.settle(0.0, 1.25)
    with PaidProgress(100, "judge llm", budget) as progress:
        progress.pay([Verdict("r", input_tokens=1_000, output_tokens=200, cost_usd=0.125)] * 10)
    with Progress(100, "judge embedded") as progress:
        progress.advance(10)

    paid, free = (record.getMessage() for record in caplog.records)
    assert paid.startswith("judge llm: 10 of 100 pairs, ")
    assert "pairs/min, 12,000 tokens, $1.25 spent, $3.75 left, about " in paid
    assert "$" not in free
    assert "tokens" not in free
