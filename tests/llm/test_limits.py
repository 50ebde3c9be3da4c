"""Requests and tokens per minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from llm.asking import all_results, requests, runner
from llm.fault_server import FaultServer
from relevance_distillery.llm.client import RateLimits


def in_virtual_time(work: Coroutine[Any, Any, int]) -> int:
    """Run in an event loop whose clock jumps to the next timer instead of waiting for it."""
    loop = asyncio.SelectorEventLoop()
    now, select = 0.0, loop._selector.select  # type: ignore[attr-defined]

    def jump(timeout: float | None = None) -> list[Any]:
        nonlocal now
        now += max(timeout or 0.0, 1e-6)  # as a real clock never stands still
        return select(0)

    loop._selector.select = jump  # type: ignore[attr-defined]
    loop.time = lambda: now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


async def sent_within(
    seconds: float, limits: tuple[float | None, float | None], tokens: int
) -> int:
    """How many requests the limits let through."""
    count, held = 0, RateLimits(*limits)
    while asyncio.get_running_loop().time() < seconds:
        await held.acquire(tokens)
        count += 1
    return count


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
    sent = in_virtual_time(sent_within(10.0, (per_minute, tokens_per_minute), tokens))
    assert 0.9 * expected * 10 <= sent <= expected * 10 + 2


def test_no_limit_costs_no_time() -> None:
    async def send() -> int:
        limits = RateLimits(None, None)
        for _ in range(1000):
            await limits.acquire(10**9)
        return round(asyncio.get_running_loop().time())

    assert in_virtual_time(send()) == 0


def test_a_run_keeps_its_pace() -> None:
    with FaultServer() as server:
        start = time.monotonic()
        all_results(runner(server, requests_per_minute=1200), requests(30))
        assert time.monotonic() - start > 28 / 20
