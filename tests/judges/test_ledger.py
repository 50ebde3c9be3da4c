"""The ledger: what was committed stays, and whatever breaks is said in one line."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import pytest
from known_judges import counts

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.batch_runner import LedgerBatchStore
from relevance_distillery.judges.ledger.ledger import LONGEST_KEPT, Ledger
from relevance_distillery.judges.ledger.schema import Completion, Source

JUDGE = SimpleNamespace(name="j", model="m", prompt_hash="h", scale=DEFAULT_SCALE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "ledger.sqlite"


def test_answers_come_back_as_given_from_another_connection(path):
    verdict = Verdict(
        "a", grade=2, probabilities=(0.1, 0.2, 0.6, 0.1), input_tokens=7, cost_usd=0.5
    )
    Ledger(path).record(JUDGE, [verdict])

    found = Ledger(path).lookup(["a", "b", "a"])

    assert set(found) == {"a"}
    assert found["a"].verdict == verdict
    assert found["a"].created_at.endswith("+00:00")


def test_a_second_answer_does_not_replace_the_first(path):
    ledger = Ledger(path)
    ledger.record(JUDGE, [Verdict("a", grade=2)])
    ledger.record(JUDGE, [Verdict("a", grade=0)])

    assert ledger.lookup(["a"])["a"].verdict.grade == 2


def test_failures_count_attempts_and_costs_until_an_answer_comes(path):
    ledger = Ledger(path)
    for reason in ("first", "second"):
        failure = Verdict("a", status="timeout", reason=reason, retryable=True, cost_usd=0.25)
        ledger.record(JUDGE, [failure])

    entry = ledger.failures(["a"])["a"]
    assert (entry.attempts, entry.verdict.reason, entry.verdict.cost_usd) == (2, "second", 0.5)
    assert entry.verdict.retryable

    ledger.record(JUDGE, [Verdict("a", grade=1)])
    assert ledger.failures(["a"]) == {}
    assert counts(ledger) == {"verdicts": 1, "failures": 0}


def test_more_hashes_than_a_statement_takes(path):
    ledger = Ledger(path)
    names = [f"h{n}" for n in range(1700)]
    ledger.record(JUDGE, [Verdict(name, grade=0) for name in names])

    assert list(ledger.lookup(names))
    assert len(ledger.lookup(names)) == 1700


def test_a_batch_is_committed_whole_or_not_at_all(path):
    ledger = Ledger(path)
    broken = Verdict("b", status="x", reason=object())  # type: ignore[arg-type]

    with pytest.raises(UserError):
        ledger.record(JUDGE, [Verdict("a", grade=1), broken])
    assert counts(ledger) == {"verdicts": 0, "failures": 0}


def test_a_file_that_is_no_ledger(path):
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, not at all" * 50)

    with pytest.raises(UserError, match=r"ledger\.sqlite is damaged or not a ledger .*: move it"):
        Ledger(path).lookup(["a"])


def test_a_ledger_of_a_later_release(path):
    counts(Ledger(path))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(UserError, match="format 99"):
        Ledger(path).lookup(["a"])


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match="make its folder writable"):
        Ledger(tmp_path / "file" / "ledger.sqlite").lookup(["a"])


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder(path):
    path.parent.mkdir()
    path.parent.chmod(0o500)

    with pytest.raises(UserError, match="make the file and its folder writable"):
        Ledger(path).record(JUDGE, [Verdict("a", grade=1)])


def test_a_full_disk(path):
    ledger = Ledger(path)
    ledger.record(JUDGE, [Verdict("kept", grade=1)])
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(UserError, match=r"free space on its disk.*nothing is lost"):
        ledger.record(JUDGE, [Verdict(f"{n:064d}", grade=1) for n in range(5000)])
    assert counts(ledger)["verdicts"] == 1


def test_closing_is_harmless(path):
    ledger = Ledger(path)
    ledger.close()
    ledger.record(JUDGE, [Verdict("a", grade=1)])
    ledger.close()
    assert ledger.lookup(["a"])


def test_what_was_never_asked_is_not_stored(path):
    ledger = Ledger(path)
    ledger.record(JUDGE, [Verdict("a", status="budget", reason="spent", asked=False)])

    assert counts(ledger) == {"verdicts": 0, "failures": 0}


def test_money_is_counted_over_answers_failures_and_texts(path):
    ledger = Ledger(path)
    ledger.record(JUDGE, [Verdict("a", grade=1, cost_usd=0.5)])
    for _ in range(2):
        ledger.record(JUDGE, [Verdict("b", status="timeout", cost_usd=0.25)])
    ledger.record_completions([Completion("c", "queries", "m", "h", "d", "text", cost_usd=2.0)])

    assert ledger.spent(["a", "b", "c", "z"]) == 3.0
    assert ledger.spent(iter(["b"])) == 0.5
    assert Ledger(path).spent_before(["a", "b"]) == 1.0
    # An answer takes the failure's place, and what the failed attempts cost is still counted.
    ledger.record(JUDGE, [Verdict("b", grade=2, cost_usd=1.0)])
    assert ledger.spent(["b"]) == 1.5


def test_a_run_counts_no_dollar_twice_against_its_budget(path):
    Ledger(path).record(JUDGE, [Verdict("a", grade=1, cost_usd=0.5)])
    ledger = Ledger(path)

    assert ledger.spent_before(["a", "b"]) == 0.5
    ledger.record(JUDGE, [Verdict("b", grade=1, cost_usd=4.0)])
    assert ledger.spent_before(["a", "b"]) == 0.0


def test_what_earlier_runs_paid_counts_beside_what_this_one_paid_for_other_requests(path):
    Ledger(path).record(JUDGE, [Verdict("a", grade=1, cost_usd=0.5)])
    ledger = Ledger(path)

    assert ledger.spent_before(["b"]) == 0.0
    ledger.record(JUDGE, [Verdict("b", grade=1, cost_usd=4.0)])
    assert ledger.spent_before(["a"]) == 0.5


def test_texts_come_back_as_they_were_written(path):
    first = Completion("c", "queries", "m", "h", "d", "one\ntwo", 10, 4, 0.01)
    Ledger(path).record_completions([first])
    Ledger(path).record_completions([replace(first, text="another")])
    found = Ledger(path).completions(["c", "x"])

    assert set(found) == {"c"}
    assert replace(found["c"], created_at="") == first
    assert found["c"].created_at.endswith("+00:00")


def test_an_unread_answer_is_kept_whole_or_not_at_all(path):
    ledger, lost = Ledger(path), {"status": "unparseable", "reason": "why"}
    for text in ("first", "second"):
        ledger.record(JUDGE, [Verdict("a", text=text, **lost)])
    ledger.record(JUDGE, [Verdict("b", text="x" * (LONGEST_KEPT + 1), **lost)])
    assert {key: text for key, (text, _) in ledger.unread(["a", "b"]).items()} == {"a": "second"}
    ledger.record(JUDGE, [Verdict("a", grade=1)])
    assert not ledger.unread(["a"])


def test_tokens_that_a_model_used_are_known_afterwards(path):
    ledger = Ledger(path)
    assert ledger.mean_output_tokens("m") is None
    ledger.record(
        JUDGE,
        [Verdict(f"h{n}", grade=1, input_tokens=100 + n, output_tokens=n) for n in range(1, 102)],
    )
    ledger.record_completions([Completion("c", "queries", "m", "h", "d", "t", 900, 60)])
    assert ledger.mean_output_tokens("m") == 51.0
    assert ledger.mean_output_tokens("m", "queries") == 60.0
    assert ledger.mean_output_tokens("another") is None


def test_a_forgotten_document_leaves_no_byte_of_its_texts(path):
    ledger = Ledger(path)
    ledger.record(JUDGE, [Verdict("a", grade=1)], {"a": Source("q", "secret")})
    ledger.record(JUDGE, [Verdict("b", grade=1), Verdict("c", grade=1)])
    ledger.record_completions([Completion("d", "queries", "m", "h", "secret", "Project Halcyon")])

    assert ledger.about("secret", ["b"]) == 3
    assert ledger.forget("secret", ["b"]) == 3
    assert set(ledger.lookup(["a", "b", "c"])) == {"c"}
    stored = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"Halcyon" not in stored
    assert b"secret" not in stored


def test_batches_wait_for_the_run_that_collects_them(path):
    def store(ledger: Ledger) -> LedgerBatchStore:
        return LedgerBatchStore(ledger, name="llm", model="m", prompt_hash="h")

    store(Ledger(path)).reserve("token", ["a", "b", "d"])
    waiting = store(Ledger(path))

    assert waiting.waiting(["a", "b", "c"]) == {"a": "token", "b": "token"}
    assert waiting.batch_id("token") is None
    waiting.confirm("token", "batch_1")
    assert waiting.batch_id("token") == "batch_1"
    assert waiting.batch_id("another") is None
    waiting.done(["d"])
    assert waiting.waiting(["a", "d"]) == {"a": "token"}
    waiting.reserve("second", ["b"])
    assert waiting.waiting(["a", "b"]) == {"a": "token", "b": "second"}
    waiting.release("token")
    assert waiting.waiting(["a", "b"]) == {"b": "second"}
