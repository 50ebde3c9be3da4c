"""Which failures are tried again, for how long, and what they are called in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tenacity import Future, RetryCallState

from llm.asking import all_results, prompt, request, requests, runner, until
from llm.fault_server import FINAL, PASSING, FaultPlan, FaultServer, digest_of
from relevance_distillery.llm.retries import RequestError, RetryPolicy, retry_after


@pytest.fixture(scope="module")
def server():
    with FaultServer(FaultPlan(stall=60)) as started:
        yield started


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_one_more_try(server: FaultServer, fault: str) -> None:
    asked = request(f"once {fault}", f"[[{fault}]]")
    seconds = 3 if fault == "stall" else 30
    (result,) = all_results(runner(server, timeout_seconds=seconds), [asked]).values()
    assert (result.status, result.reason) == ("ok", "")
    digest = digest_of(prompt(asked))
    met = [record["fault"] for record in server.records() if record["prompt"] == digest]
    # On a machine that takes three seconds to answer the last request is sent again.
    assert met[:2] == [fault, None]
    assert len(met) <= (4 if fault == "stall" else 2)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("429", "rate_limited"),
        ("500", "server_error"),
        ("502", "server_error"),
        ("409", "server_error"),
        ("408", "timeout"),
        ("hidden", "server_error"),
        ("drop", "connection"),
        ("half", "connection"),
        ("half_open", "connection"),
        ("stall", "timeout"),
        ("html", "bad_response"),
        ("json", "bad_response"),
        ("garbage", "bad_response"),
    ],
)
def test_a_fault_that_stays_is_named_after_all_tries(
    server: FaultServer, fault: str, status: str
) -> None:
    asked = request(f"ever {fault}", f"[[{fault}*0]]")
    # Only the fault that is about time gets a short limit: no other depends on the machine.
    seconds, least = (1, 1) if fault == "stall" else (30, 4)
    (result,) = all_results(runner(server, timeout_seconds=seconds), [asked]).values()
    assert (result.status, result.text, result.retryable, result.asked) == (
        status,
        None,
        True,
        True,
    )
    # The server may note a try after the client gave it up; one that stalls, or never.
    until(lambda: server.asked()[digest_of(prompt(asked))] >= least)
    assert server.asked()[digest_of(prompt(asked))] <= 4


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("empty", "empty"),
        ("null", "empty"),
        ("filter", "filtered"),
        ("filter_400", "filtered"),
        ("refusal", "refused"),
        ("truncated", "truncated"),
        ("context", "context_length"),
        ("400", "rejected"),
    ],
)
def test_what_cannot_pass_is_asked_once(server: FaultServer, fault: str, status: str) -> None:
    asked = request(f"final {fault}", f"[[{fault}*0]]")
    (result,) = all_results(runner(server), [asked]).values()
    assert (result.status, result.text, result.retryable) == (status, None, False)
    assert server.asked()[digest_of(prompt(asked))] == 1


def test_an_answer_of_any_length_is_read_as_far_as_an_answer_goes(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relevance_distillery.llm.client.LONGEST_ANSWER_BYTES", 100)
    asked = request("long")
    (result,) = all_results(runner(server), [asked]).values()
    assert (result.status, result.reason, result.retryable) == (
        "bad_response",
        "the answer was longer than 100 bytes",
        True,
    )
    assert server.asked()[digest_of(prompt(asked))] == 1


def test_a_server_that_reads_a_part_of_a_request_is_named_once(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [request(f"cut {number}", tokens=4000) for number in range(3)]
    with caplog.at_level("WARNING"):
        all_results(runner(server), asked)
        all_results(runner(server), [request("short", tokens=20)])
    assert len([text for text in caplog.messages if "it may cut requests" in text]) == 1


def test_a_reason_never_repeats_what_the_server_said(server: FaultServer) -> None:
    """These faults quote the prompt, as real servers do."""
    asked = [request("canary"), *(request(f, f"[[{f}*0]] SECRET") for f in ("500", "400"))]
    asked.append(request("context", "[[context*0]] SECRET"))
    for result in all_results(runner(server), asked).values():
        assert "SECRET" not in result.reason
        assert "Grade" not in result.reason
        assert "pair" not in result.reason


def test_a_wait_of_days_is_left_to_a_later_run(server: FaultServer) -> None:
    asked = request("days", "[[429_days*0]]")
    (result,) = all_results(runner(server), [asked]).values()
    assert (result.status, result.retryable) == ("rate_limited", True)
    assert "2880 minutes" in result.reason
    assert server.asked()[digest_of(prompt(asked))] == 1


def test_retry_after_is_waited_for() -> None:
    with FaultServer(FaultPlan(wait=0.7)) as server:
        found = all_results(runner(server), [request(0, "[[429_wait]]")])
    assert found["key-0"].status == "ok"
    assert found["key-0"].seconds > 0.7


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "20"}, 20, 20),
        ({"retry-after": "1.5"}, 1.5, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25, 0.25),
        ({"retry-after": "-3"}, 0, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0, 0),
    ],
)
def test_retry_after_is_read_in_every_form(
    headers: dict[str, str], low: float, high: float
) -> None:
    waited = retry_after(headers)
    assert waited is not None
    assert low <= waited <= high


def test_retry_after_may_be_a_date() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    waited = retry_after({"retry-after": moment})
    assert waited is not None
    assert 100 < waited <= 120


@pytest.mark.parametrize("value", ["soon", "", "nan", "inf", "99 Foo 2099"])
def test_a_senseless_retry_after_is_as_good_as_none(value: str) -> None:
    assert retry_after({"retry-after": value}) is None


def test_waits_grow_and_differ() -> None:
    wait = RetryPolicy(first=1.0, longest=8.0).wait
    drawn = {n: [wait(_state(n)) for _ in range(200)] for n in (1, 2, 3, 10)}
    for tries, (low, high) in {1: (0.5, 1), 2: (1, 2), 3: (2, 4), 10: (4, 8)}.items():
        assert low <= min(drawn[tries])
        assert max(drawn[tries]) <= high
        assert max(drawn[tries]) - min(drawn[tries]) > 0.3 * (high - low)


def test_a_wait_that_was_asked_for_is_never_cut_short() -> None:
    wait = RetryPolicy(first=0.1, longest=1.0).wait
    assert wait(_state(1, RequestError("rate_limited", "", wait=30.0))) >= 30


def test_many_faults_at_once_leave_no_request_without_a_result(server: FaultServer) -> None:
    # A stalled request is told by time alone, so it has a test of its own.
    shares = {name: 0.03 for name in (*PASSING, *FINAL) if name not in ("429_date", "stall")}
    plan = FaultPlan(shares=shares, stall=3.0, latency=0.02, slow_share=0.01, slow=0.2, wait=0.05)
    with FaultServer(plan) as faulty:
        found = all_results(runner(faulty, concurrency=32), requests(600))
        assert len(found) == 600
        expected = {"empty", "filtered", "refused", "truncated", "context_length", "ok"}
        assert {result.status for result in found.values()} == expected
        assert not faulty.asked_after_answer()
        # The server still counts connections that it keeps half open.
        assert 1 < faulty.most_in_flight() <= 64


def _state(tries: int, error: Exception | None = None) -> RetryCallState:
    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = tries
    state.outcome = Future(tries)
    state.outcome.set_exception(error or RequestError("server_error", ""))
    return state
