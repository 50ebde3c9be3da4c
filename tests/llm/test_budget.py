"""The cap on what is spent."""

from __future__ import annotations

import threading

import pytest

from llm.asking import all_results, collect, request, requests, runner
from llm.fault_server import FaultPlan, FaultServer
from relevance_distillery.llm.prices import Budget, Price
from relevance_distillery.llm.requests import ChatResult

DOLLAR_A_TOKEN = Price(usd_per_million_input=1e6, usd_per_million_output=1e6)


def test_a_run_ends_with_budget_results_and_spends_no_more_than_the_cap() -> None:
    """Requests are estimated at 3 + 64 dollars and cost about 9."""
    budget = Budget(400.0)
    with FaultServer(FaultPlan(latency=0.02)) as server:
        found = all_results(
            runner(server, price=DOLLAR_A_TOKEN, budget=budget),
            (request(n, tokens=3) for n in range(500)),
        )
        sent = len(server.records())
    answered = [result for result in found.values() if result.status == "ok"]
    unpaid = [result for result in found.values() if result.status == "budget"]
    assert len(answered) == sent
    assert len(answered) + len(unpaid) == 500
    assert budget.spent_usd == pytest.approx(sum(result.cost_usd for result in answered))
    # What was set aside for others in flight was used once they had turned out cheaper.
    assert 400 - 67 < budget.spent_usd <= 400
    assert all(not result.asked and result.retryable for result in unpaid)
    assert budget.left_usd == pytest.approx(400 - budget.spent_usd)


def test_what_is_in_flight_never_exceeds_the_cap() -> None:
    budget = Budget(67.0 * 3)
    with FaultServer(FaultPlan(latency=0.1)) as server:
        all_results(
            runner(server, price=DOLLAR_A_TOKEN, budget=budget),
            (request(n, tokens=3) for n in range(30)),
        )
        assert server.most_in_flight() <= 3


def test_money_spent_before_counts() -> None:
    budget = Budget(100.0)
    budget.charge(90.0)
    with FaultServer() as server:
        found = all_results(runner(server, price=DOLLAR_A_TOKEN, budget=budget), requests(5))
        assert server.records() == []
    assert {result.status for result in found.values()} == {"budget"}


def test_failures_that_were_billed_count() -> None:
    budget = Budget(1000.0)
    with FaultServer() as server:
        found = all_results(
            runner(server, price=DOLLAR_A_TOKEN, budget=budget), [request(0, "[[truncated*0]]")]
        )
    (result,) = found.values()
    assert result.status == "truncated"
    assert result.cost_usd == budget.spent_usd > 0


def test_an_answer_without_usage_costs_its_estimate() -> None:
    budget = Budget(1000.0)
    with FaultServer(FaultPlan(ignores=("usage",))) as server:
        found = all_results(
            runner(server, price=DOLLAR_A_TOKEN, budget=budget), [request(0, tokens=3)]
        )
    assert found["key-0"].cost_usd == budget.spent_usd == 67


def test_an_interrupted_run_gives_back_what_it_had_set_aside() -> None:
    budget = Budget(1000.0)
    with FaultServer(FaultPlan(latency=0.05)) as server:
        lists = runner(server, price=DOLLAR_A_TOKEN, budget=budget).run(requests(20))
        spent = sum(result.cost_usd for result in next(lists))
        lists.close()
    assert budget.left_usd == pytest.approx(1000 - spent)


def test_without_a_price_nothing_costs_anything() -> None:
    budget = Budget()
    found: list[ChatResult] = []
    with FaultServer() as server:
        collect(runner(server, budget=budget), requests(3), found)
    assert [result.cost_usd for result in found] == [0, 0, 0]
    assert budget.spent_usd == 0
    assert budget.left_usd is None


def test_threads_that_share_a_budget_stay_within_it() -> None:
    budget = Budget(100.0)
    granted: list[bool] = []
    threads = [
        threading.Thread(target=lambda: granted.extend(budget.reserve(0.1) for _ in range(500)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 1000
