"""OpenAI's Batch API: handing in, collecting, and what goes wrong in between."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx2
import pytest

from llm.asking import IMPATIENT, prompt, request, requests, settings
from llm.fault_server import FaultPlan, FaultServer, digest_of
from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.batch_runner import BatchRunner, LedgerBatchStore
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prices import Budget, Price
from relevance_distillery.llm.requests import ChatRequest, ChatResult
from relevance_distillery.llm.settings import Endpoint

DOLLAR_A_TOKEN = Price(usd_per_million_input=1e6, usd_per_million_output=1e6)


@pytest.fixture(scope="module")
def running_server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
def server(running_server: FaultServer) -> FaultServer:
    """One server for all tests, without the batches of the test before."""
    running_server.control(reset=True)
    return running_server


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def run(
    server: FaultServer,
    ledger: Ledger,
    given: Iterable[ChatRequest],
    budget: Budget | None = None,
    max_requests: int = 50_000,
    url: str = "",
    **options: object,
) -> dict[str, ChatResult]:
    """One run as a new process would do it."""
    store = LedgerBatchStore(ledger, name="llm:teacher", model="teacher", prompt_hash="p")
    asked = BatchRunner(
        Endpoint.at(url or server.url, "k"),
        settings(batch=True, max_tries=3, **options),
        DOLLAR_A_TOKEN,
        budget or Budget(),
        store,
        policy=IMPATIENT,
        max_requests=max_requests,
    )
    found: dict[str, ChatResult] = {}
    for results in asked.run(given):
        for result in results:
            assert result.key not in found
            found[result.key] = result
    return found


def statuses(found: dict[str, ChatResult]) -> dict[str, int]:
    names = [result.status for result in found.values()]
    return {name: names.count(name) for name in sorted(set(names))}


def test_a_first_run_hands_in_and_a_later_one_collects(server: FaultServer, ledger: Ledger) -> None:
    first = run(server, ledger, requests(30))
    assert statuses(first) == {"pending": 30}
    assert all(result.retryable and not result.asked for result in first.values())
    assert statuses(run(server, ledger, requests(30))) == {"pending": 30}
    assert list(server.control(finish="completed")["requests"].values()) == [30]
    found = run(server, ledger, requests(30))
    for number in range(30):
        grade = server.plan.grade(prompt(request(number)))
        assert found[f"key-{number}"].text == f'{{"grade": {grade}}}'
        assert found[f"key-{number}"].logprobs
    assert len(server.control()["jobs"]) == 1


def test_half_the_price_is_accounted_and_pending_money_is_kept(
    server: FaultServer, ledger: Ledger
) -> None:
    run(server, ledger, requests(4))
    budget = Budget(1000.0)
    run(server, ledger, requests(4), budget)
    assert budget.left_usd == 1000 - 4 * (10 + 64) / 2
    server.control(finish="completed")
    budget = Budget(1000.0)
    found = run(server, ledger, requests(4), budget)
    for result in found.values():
        assert result.cost_usd == (result.input_tokens + result.output_tokens) / 2 > 0
    assert budget.spent_usd == sum(result.cost_usd for result in found.values())


def test_the_budget_limits_what_is_handed_in(server: FaultServer, ledger: Ledger) -> None:
    found = run(server, ledger, requests(10), Budget(3.5 * (10 + 64) / 2))
    assert statuses(found) == {"budget": 7, "pending": 3}
    assert list(server.control()["requests"].values()) == [3]


@pytest.mark.parametrize("ending", ["expired", "cancelled", "completed"])
@pytest.mark.parametrize("silent", [True, False])
def test_what_a_batch_did_not_get_to_is_handed_in_again(
    server: FaultServer, ledger: Ledger, ending: str, silent: bool
) -> None:
    run(server, ledger, requests(10))
    server.control(finish=ending, share=0.6, silent=silent)
    found = run(server, ledger, requests(10))
    if ending == "completed" and not silent:
        # An error that is not about time: these were tried.
        assert statuses(found) == {"ok": 6, "server_error": 4}
        return
    assert statuses(found) == {"ok": 6, "pending": 4}
    assert list(server.control(finish="completed")["requests"].values()) == [10, 4]
    left = [request(n) for n in range(10) if found[f"key-{n}"].status != "ok"]
    assert statuses(run(server, ledger, left)) == {"ok": 4}
    asked = server.control()["asked"]
    assert sorted(asked) == sorted(digest_of(prompt(request(n))) for n in range(10))


def test_requests_that_failed_within_a_batch_may_be_tried_again(
    server: FaultServer, ledger: Ledger
) -> None:
    run(server, ledger, requests(5))
    server.control(finish="completed", errors=2)
    found = run(server, ledger, requests(5))
    assert statuses(found) == {"ok": 3, "server_error": 2}
    failed = [request(n) for n in range(5) if found[f"key-{n}"].status != "ok"]
    assert statuses(run(server, ledger, failed)) == {"pending": 2}


def test_a_batch_that_was_not_accepted_is_told_and_handed_in_anew(
    server: FaultServer, ledger: Ledger
) -> None:
    run(server, ledger, requests(5))
    server.control(finish="failed")
    with pytest.raises(UserError, match="did not accept batch batch_0") as caught:
        run(server, ledger, requests(5))
    assert "secret words" not in str(caught.value)
    assert statuses(run(server, ledger, requests(5))) == {"pending": 5}
    assert len(server.control()["jobs"]) == 2


def test_a_full_queue_is_waited_for(server: FaultServer, ledger: Ledger) -> None:
    run(server, ledger, requests(5))
    server.control(finish="failed", code="token_limit_exceeded")
    assert statuses(run(server, ledger, requests(5))) == {"unanswered": 5}
    assert statuses(run(server, ledger, requests(5))) == {"pending": 5}


def test_large_runs_are_cut_into_several_batches(server: FaultServer, ledger: Ledger) -> None:
    assert statuses(run(server, ledger, requests(25), max_requests=10)) == {"pending": 25}
    assert list(server.control(finish="completed")["requests"].values()) == [10, 10, 5]
    assert statuses(run(server, ledger, requests(25))) == {"ok": 25}


def test_new_requests_join_while_old_ones_wait(server: FaultServer, ledger: Ledger) -> None:
    run(server, ledger, requests(5))
    assert statuses(run(server, ledger, requests(8))) == {"pending": 8}
    assert list(server.control()["requests"].values()) == [5, 3]


def test_a_batch_whose_id_was_never_heard_of_is_found_by_its_token(
    server: FaultServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the server's answer and the commit of the id."""
    monkeypatch.setattr(LedgerBatchStore, "confirm", _killed)
    with pytest.raises(KeyboardInterrupt):
        run(server, ledger, requests(5))
    monkeypatch.undo()
    server.control(finish="completed")
    assert statuses(run(server, ledger, requests(5))) == {"ok": 5}
    assert len(server.control()["jobs"]) == 1


def test_a_batch_that_was_never_made_is_handed_in_again(
    server: FaultServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the note in the ledger and the batch."""
    monkeypatch.setattr("relevance_distillery.llm.batch_api.BatchAPI.submit", _killed)
    with pytest.raises(KeyboardInterrupt):
        run(server, ledger, requests(5))
    monkeypatch.undo()
    assert statuses(run(server, ledger, requests(5))) == {"pending": 5}
    assert len(server.control()["jobs"]) == 1


def test_a_connection_lost_while_a_batch_is_made_makes_no_second_one(
    server: FaultServer, ledger: Ledger
) -> None:
    server.control(drop_creation=True)
    assert statuses(run(server, ledger, requests(5))) == {"pending": 5}
    assert len(server.control(finish="completed")["jobs"]) == 1
    assert statuses(run(server, ledger, requests(5))) == {"ok": 5}


def test_a_batch_that_the_server_does_not_know_is_handed_in_again_when_asked_to(
    server: FaultServer, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    run(server, ledger, requests(5))
    server.control(forget_jobs=True)
    # As under another key: the batch may run elsewhere, so it is a person's decision.
    with pytest.raises(UserError, match="does not know batch batch_0"):
        run(server, ledger, requests(5))
    found = run(server, ledger, requests(5), resend_lost_batches=True)
    assert statuses(found) == {"pending": 5}
    assert "lost batch batch_0" in caplog.text


@pytest.mark.parametrize("mistyped", ["/wrong", ""])
def test_a_mistyped_address_makes_no_second_batch(
    server: FaultServer, ledger: Ledger, mistyped: str
) -> None:
    """A batch that such a server does not know may well run where it was handed in."""
    run(server, ledger, requests(5))
    wrong = server.url.removesuffix("/v1") + mistyped
    with pytest.raises(UserError, match="does not know batch"):
        run(server, ledger, requests(5), url=wrong)
    with pytest.raises(UserError, match="has no Batch API"):
        run(server, ledger, requests(5), url=wrong, resend_lost_batches=True)
    server.control(finish="completed")
    assert statuses(run(server, ledger, requests(5))) == {"ok": 5}
    assert len(server.control()["jobs"]) == 1


@pytest.mark.parametrize(("kind", "body"), [("text/html", "<p>Hello"), ("application/json", "{}")])
def test_a_page_in_place_of_a_batch_is_no_answer(
    server: FaultServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str, body: str
) -> None:
    """As of a portal or a proxy that answers everything with HTTP 200."""

    def page(*_: object, **__: object) -> httpx2.Response:
        asked = httpx2.Request("GET", server.url)
        return httpx2.Response(200, headers={"content-type": kind}, text=body, request=asked)

    with monkeypatch.context() as patched:
        patched.setattr("httpx2.Client.send", page)
        assert statuses(run(server, ledger, requests(5))) == {"unanswered": 5}
    assert statuses(run(server, ledger, requests(5))) == {"pending": 5}
    with monkeypatch.context() as patched:
        patched.setattr("httpx2.Client.send", page)
        with pytest.raises(UserError, match="not one of the Batch API"):
            run(server, ledger, requests(5))
    assert len(server.control()["jobs"]) == 1


def test_a_batch_in_a_state_that_is_not_known_is_waited_for(
    server: FaultServer, ledger: Ledger
) -> None:
    run(server, ledger, requests(5))
    server.control(finish="queued", share=0.0, silent=True)
    assert statuses(run(server, ledger, requests(5))) == {"pending": 5}
    assert len(server.control()["jobs"]) == 1


def test_a_server_that_is_down_is_told_and_makes_no_second_batch(
    server: FaultServer, ledger: Ledger
) -> None:
    run(server, ledger, requests(5))
    with pytest.raises(UserError, match="gives no status of the batches of former runs"):
        run(server, ledger, requests(5), url="http://127.0.0.1:9/v1")
    server.control(finish="completed")
    assert statuses(run(server, ledger, requests(5))) == {"ok": 5}


def test_results_that_nobody_asks_for_now_are_kept_for_later(
    server: FaultServer, ledger: Ledger
) -> None:
    run(server, ledger, requests(10))
    server.control(finish="completed")
    assert statuses(run(server, ledger, requests(4))) == {"ok": 4}
    assert statuses(run(server, ledger, (request(n) for n in range(4, 10)))) == {"ok": 6}
    assert len(server.control()["jobs"]) == 1


def test_a_failure_is_not_collected_twice(server: FaultServer, ledger: Ledger) -> None:
    asked = [request(0, "[[truncated*0]]")]
    run(server, ledger, asked)
    server.control(finish="completed")
    assert statuses(run(server, ledger, asked)) == {"truncated": 1}
    assert statuses(run(server, ledger, asked)) == {"pending": 1}


def test_a_field_that_the_model_does_not_take_is_left_out_the_next_time(
    tmp_path: Path, ledger: Ledger
) -> None:
    plan = FaultPlan(refuses=("json_schema", "json_object", "logprobs", "max_tokens"))
    with FaultServer(plan) as server:
        for _ in plan.refuses:
            assert statuses(run(server, ledger, requests(3))) == {"pending": 3}
            server.control(finish="completed")
        run(server, ledger, requests(3))
        server.control(finish="completed")
        assert statuses(run(server, ledger, requests(3))) == {"ok": 3}


def test_a_server_without_batches_says_so(server: FaultServer, ledger: Ledger) -> None:
    elsewhere = server.url + "/elsewhere"
    with pytest.raises(UserError, match="has no Batch API: set batch to false"):
        run(server, ledger, requests(3), url=elsewhere)


def test_a_wrong_key_is_told_once(ledger: Ledger) -> None:
    with (
        FaultServer(FaultPlan(key="right")) as server,
        pytest.raises(UserError, match="refuses the key"),
    ):
        run(server, ledger, requests(3))


def _killed(*args: object, **kwargs: object) -> None:
    raise KeyboardInterrupt
