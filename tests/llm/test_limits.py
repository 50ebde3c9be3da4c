"""Requests and tokens per minute."""

from __future__ import annotations

import asyncio
import time

import pytest

from llm.asking import all_results, requests, runner
from llm.fault_server import FaultServer
from relevance_distillery.llm.client import RateLimits


def sent_within(limits: RateLimits, seconds: float, tokens: int) -> int:
    """How many requests the limits let through."""

    async def send() -> int:
        count = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await limits.acquire(tokens)
            count += 1
        return count

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("per_minute", "tokens_per_minute", "tokens", "expected"),
    [
        (600, None, 1, 10),
        (None, 60_000, 100, 10),
        (600, 60_000, 1000, 1),
        (60, 1e9, 1000, 1),
        (None, 60_000, 2000, 0.5),
    ],
)
def test_the_rate_holds_from_the_first_second_on(
    per_minute: float | None, tokens_per_minute: float | None, tokens: int, expected: float
) -> None:
    """Expected requests a second; the first bucket and the last request come on top."""
    sent = sent_within(RateLimits(per_minute, tokens_per_minute), 1.0, tokens)
    assert 0.7 * expected <= sent <= expected + 2


def test_no_limit_costs_no_time() -> None:
    assert sent_within(RateLimits(None, None), 0.05, 10**9) > 1000


def test_a_run_keeps_its_pace() -> None:
    with FaultServer() as server:
        start = time.monotonic()
        all_results(runner(server, requests_per_minute=1200), requests(30))
        assert time.monotonic() - start > 28 / 20
