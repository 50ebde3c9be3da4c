"""How far a scoring is, for whoever waits."""

from __future__ import annotations

import logging
import sys
import time

from tqdm.auto import tqdm

logger = logging.getLogger(__name__)
_LOG_EVERY = 60.0


class ScoringProgress:
    """A bar with pairs/s and time left on a terminal, a line a minute without one."""

    def __init__(self, total: int, done: int) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total, initial=done, desc="scoring", unit=" pairs", disable=not self._terminal
        )
        self._total, self._done, self._fresh = total, done, 0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> ScoringProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def advance(self, pairs: int) -> None:
        """Count pairs that were just graded."""
        self._fresh += pairs
        self._bar.update(pairs)
        now = time.monotonic()
        if not self._terminal and now - self._said >= _LOG_EVERY:
            self._said = now
            rate = self._fresh / (now - self._start)
            left = max(self._total - self._done - self._fresh, 0) / rate
            logger.info(
                "scored %d of about %d pairs, %.1f pairs/s, %.0f min left",
                self._done + self._fresh,
                self._total,
                rate,
                left / 60,
            )
