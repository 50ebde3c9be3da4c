"""Requests and tokens per minute."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

_SHORTEST_SECONDS = 0.1


class RateLimits:
    """Holds requests back until the account's limits allow them, first come, first served.

    The limits hold for every minute, the first one included: a leaky bucket (aiolimiter)
    of one request, or of a tenth of a second where more fit into that, instead of one that
    lets a whole minute's worth pass at once.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """None stands for no limit. Use one object in one event loop."""
        self._requests = _bucket(requests_per_minute)
        self._tokens = _bucket(tokens_per_minute)
        self._turn = asyncio.Lock()

    async def acquire(self, tokens: int) -> None:
        """Wait until a request may be sent.

        Args:
            tokens: What it counts for: its input and its longest output.
        """
        if self._requests is None and self._tokens is None:
            return
        async with self._turn:
            if self._requests is not None:
                await self._requests.acquire()
            left = float(tokens)
            while self._tokens is not None and left > 0:
                # One request may be larger than the bucket: it passes in pieces.
                piece = min(left, self._tokens.max_rate)
                await self._tokens.acquire(piece)
                left -= piece


def _bucket(per_minute: float | None) -> AsyncLimiter | None:
    if per_minute is None:
        return None
    seconds = max(_SHORTEST_SECONDS, 60 / per_minute)
    return AsyncLimiter(max(1.0, per_minute * seconds / 60), seconds)
