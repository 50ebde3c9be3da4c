"""Slots, order, laziness, and how a run ends."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkout import start_script
from llm.asking import (
    SCHEMA,
    all_results,
    collect,
    prompt,
    request,
    requests,
    runner,
    settings,
    until,
)
from llm.fault_server import FaultPlan, FaultServer, digest_of
from relevance_distillery.errors import UserError
from relevance_distillery.llm.client import ChatClient
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.requests import CapabilityTracker, ChatRequest, ChatResult, Exchange
from relevance_distillery.llm.retries import RetryPolicy
from relevance_distillery.llm.scheduler import ChatRunner
from relevance_distillery.llm.settings import Endpoint

SLOW = Path(__file__).with_name("slow_asking.py")


def test_every_request_gets_its_own_answer_with_tokens_and_probabilities() -> None:
    with FaultServer() as server:
        found = all_results(runner(server), requests(50))
        assert len(found) == 50
        for number in range(50):
            asked, result = request(number), found[f"key-{number}"]
            assert json.loads(result.text or "") == {"grade": server.plan.grade(prompt(asked))}
            assert result.logprobs is not None
            assert "".join(token.token for token in result.logprobs) == result.text
            digit = next(t for t in result.logprobs if t.token.isdigit())
            assert {token for token, _ in digit.top} == {"0", "1", "2", "3"}
            assert (result.input_tokens, result.output_tokens) == (3, len(result.logprobs))
            assert result.seconds > 0


def test_no_more_are_in_flight_than_slots_and_the_first_goes_alone() -> None:
    with FaultServer(FaultPlan(latency=0.1)) as server:
        all_results(runner(server, concurrency=6), requests(19))
        in_flight = [record["in_flight"] for record in server.records()]
    assert in_flight[0] == 1
    # How many meet depends on the machine; that all slots are used is the next test's.
    assert max(in_flight) <= 6


def test_a_slot_waits_until_its_result_was_committed() -> None:
    with FaultServer() as server:
        lists = runner(server, concurrency=4).run(requests(100))
        committed = len(next(lists))
        for _ in range(5):
            last = next(lists)
            # What was yielded last is not committed yet, so it still holds its slots.
            until(lambda sent=committed + 4: len(server.records()) >= sent)
            time.sleep(0.1)
            assert len(server.records()) == committed + 4
            committed += len(last)
        lists.close()


def test_whatever_is_ready_comes_at_once() -> None:
    endpoint, chosen = Endpoint.at("http://127.0.0.1:9/v1", "k"), settings()
    client = ChatClient(endpoint, chosen, CapabilityTracker(chosen, "host"), RetryPolicy())
    exchanges = [Exchange(request(number), 0.0) for number in range(3)]
    for exchange in exchanges:
        client._done.put(exchange)
    assert client.collect() == exchanges
    assert client.collect(timeout=0) == []


def test_requests_are_made_as_they_are_needed_and_in_the_callers_thread() -> None:
    made: list[int] = []

    def lazily() -> Iterator[ChatRequest]:
        for number in range(1000):
            assert threading.current_thread() is threading.main_thread()
            made.append(number)
            yield request(number)

    with FaultServer(FaultPlan(latency=0.02)) as server:
        taken = 0
        lists = runner(server, concurrency=4).run(lazily())
        while taken < 100:
            taken += len(next(lists))
            assert len(made) <= taken + 2 * 4 + 1
        lists.close()


def test_nothing_to_ask_needs_neither_key_nor_server() -> None:
    nowhere = ChatRunner(Endpoint.at("http://127.0.0.1:9/v1"), settings(), None, Budget())
    assert list(nowhere.run([])) == []


def test_a_run_without_a_model_says_so() -> None:
    with pytest.raises(UserError, match="model=NAME"):
        list(
            ChatRunner(
                Endpoint.at("http://127.0.0.1:9/v1", "k"), settings(model=None), None, Budget()
            ).run(requests(1))
        )


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """Workers of pytest-xdist ignore the signal that Ctrl-C sends."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_closing_a_run_cancels_what_is_in_flight_and_ends_the_thread() -> None:
    with FaultServer(FaultPlan(stall=300)) as server:
        budget = Budget()
        lists = runner(server, budget=budget, timeout_seconds=300).run(
            request(n, "[[stall]]" if n else "") for n in range(50)
        )
        next(lists)
        waiting = threading.Thread(target=time.sleep, args=(0.0,))
        waiting.start()

        # It hangs in the second list, as a run does that gets Ctrl-C; a timer closes it.
        def hang() -> None:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            next(lists)

        with pytest.raises(KeyboardInterrupt):
            hang()
        # Long before the server answers.
        until(lambda: "llm-requests" not in {t.name for t in threading.enumerate()})


def test_a_run_that_is_dropped_or_fails_outside_leaves_no_thread() -> None:
    with FaultServer(FaultPlan(latency=0.05)) as server:
        lists = runner(server).run(requests(50))
        next(lists)
        del lists
        gc.collect()
        with pytest.raises(RuntimeError, match="disk full"):
            _fail_on_commit(runner(server))
    assert not [t for t in threading.enumerate() if t.name == "llm-requests"]


def _fail_on_commit(asked: ChatRunner) -> None:
    for _ in asked.run(requests(50)):
        raise RuntimeError("disk full")


def test_an_error_in_making_requests_reaches_the_caller() -> None:
    def broken() -> Iterator[ChatRequest]:
        yield from requests(3)
        raise LookupError("no such passage")

    with FaultServer() as server, pytest.raises(LookupError, match="no such passage"):
        all_results(runner(server), broken())


@pytest.mark.parametrize(
    ("plan", "given", "words"),
    [
        (FaultPlan(key="right"), {"key": "sk-wrong"}, "refuses the key"),
        (FaultPlan(quota=0), {}, "no money or quota left"),
        (FaultPlan(models=("other",)), {}, "does not know the model 'teacher'"),
        (FaultPlan(always="redirect"), {}, "no chat completions at this address"),
        (FaultPlan(refuses=("temperature",)), {}, "refuses the setting temperature"),
    ],
)
def test_what_can_never_work_ends_the_run_after_one_request(
    plan: FaultPlan, given: dict, words: str
) -> None:
    with FaultServer(plan) as server:
        with pytest.raises(UserError, match=words) as caught:
            all_results(runner(server, **given), requests(100))
        assert len(server.records()) == 1
    message = str(caught.value)
    assert "\n" not in message
    assert "sk-wrong" not in message
    assert "127.0.0.1" in message


def test_a_wrong_path_is_told_apart_from_a_wrong_model() -> None:
    with FaultServer(FaultPlan(path="/v1")) as server:
        server.url = server.url.removesuffix("/v1")
        with pytest.raises(UserError, match="OPENAI_BASE_URL mostly ends in /v1"):
            all_results(runner(server), requests(5))


def test_a_server_that_is_not_there_is_told_after_the_first_request() -> None:
    asked = ChatRunner(
        Endpoint.at("http://127.0.0.1:9/v1", "k"),
        settings(max_tries=2),
        None,
        Budget(),
        policy=RetryPolicy(0.01, 0.01),
    )
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9 cannot be reached"):
        all_results(asked, requests(100))


def test_quota_that_runs_out_keeps_what_was_answered() -> None:
    with FaultServer(FaultPlan(quota=40, latency=0.01)) as server:
        found: list[ChatResult] = []
        with pytest.raises(UserError, match="no money or quota"):
            collect(runner(server), requests(200), found)
        assert len(found) == 40
        assert {result.status for result in found} == {"ok"}
        assert len(server.records()) <= 40 + 8


def test_a_model_too_small_for_all_requests_ends_the_run() -> None:
    with FaultServer(FaultPlan(always="context")) as server:
        found: list[ChatResult] = []
        with pytest.raises(UserError, match="longer than teacher can read"):
            collect(runner(server), requests(500), found)
        assert {result.status for result in found} == {"context_length"}
        assert 20 <= len(found) < 40


def test_a_few_requests_too_long_are_failures_of_their_own() -> None:
    asked = [request(n, "[[context*0]]" if n < 19 else "") for n in range(60)]
    with FaultServer() as server:
        found = all_results(runner(server), asked)
    assert sum(result.status == "context_length" for result in found.values()) == 19
    assert sum(result.status == "ok" for result in found.values()) == 41


def test_a_server_that_breaks_down_is_not_asked_for_days() -> None:
    asked = [request(n, "[[500*0]]" if n >= 20 else "") for n in range(5000)]
    with FaultServer() as server:
        found = all_results(runner(server, max_tries=2), asked)
        assert len(server.records()) < 200
    assert len(found) == 5000
    unasked = [result for result in found.values() if not result.asked]
    assert len(unasked) > 4900
    assert {(result.status, result.retryable) for result in unasked} == {("unanswered", True)}


def test_trouble_between_answers_does_not_end_the_run() -> None:
    asked = [request(n, "[[500*0]]" if n % 2 else "") for n in range(200)]
    with FaultServer() as server:
        found = all_results(runner(server, max_tries=1), asked)
    assert all(result.asked for result in found.values())


@pytest.mark.parametrize("level", [logging.DEBUG])
def test_neither_key_nor_text_is_logged(caplog: pytest.LogCaptureFixture, level: int) -> None:
    for name in ("", "openai", "httpx2", "httpcore2"):
        caplog.set_level(level, logger=name)
    asked = [request("SECRET-TEXT", f"[[{fault}]]") for fault in ("500",)]
    with FaultServer(FaultPlan(refuses=("json_schema",))) as server:
        all_results(runner(server, key="SECRET-KEY"), asked)
    assert "SECRET" not in caplog.text
    assert "falling back to json_object" in caplog.text


def test_a_kill_asks_nothing_again_that_was_answered_and_committed(tmp_path: Path) -> None:
    """A real process, killed at a random moment; what it had committed is not asked again."""
    committed = tmp_path / "committed.txt"
    committed.touch()
    with FaultServer(FaultPlan(latency=0.03)) as server:
        for _ in range(3):
            process = start_script(SLOW, server.url, committed)
            enough = len(committed.read_text().split()) + 30
            until(lambda enough=enough: len(committed.read_text().split()) >= enough, 120)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        done = {digest_of(prompt(request(int(n)))) for n in committed.read_text().split()}
        again = server.asked_after_answer()
        asked = server.asked()
    assert len(done) >= 90
    # At most what was in flight at each of three kills was asked twice.
    assert sum(again.values()) <= 3 * 8
    assert sum(count - 1 for count in asked.values()) <= 3 * 8


def test_the_answers_form_is_demanded_by_schema() -> None:
    with FaultServer() as server:
        found = all_results(runner(server), [request(0)])
    assert set(json.loads(found["key-0"].text or "")) == set(SCHEMA["properties"])
