"""Progress of long labeling: a bar on a terminal, a line a minute in a log file."""

from __future__ import annotations

import logging
import sys
import time

from tqdm.auto import tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Shows how many pairs are graded, the rate and the time left.

    Use it as a context manager; `advance` after every batch.
    """

    def __init__(self, total: int, name: str, every: float = 60.0) -> None:
        """Start at 0 of `total` pairs; without a terminal log every `every` seconds."""
        self._total = total
        self._name = name
        self._every = every
        self._done = 0
        self._start = self._logged = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total, desc=f"labeling by {name}", unit="pair", disable=not self._terminal
        )

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar."""
        self._bar.close()

    def advance(self, pairs: int) -> None:
        """Count `pairs` more as done."""
        self._done += pairs
        self._bar.update(pairs)
        now = time.monotonic()
        if not self._terminal and now - self._logged >= self._every:
            self._logged = now
            rate = self._done / (now - self._start)
            left = (self._total - self._done) / rate if rate else 0.0
            logger.info(
                "judge %s: %d of %d pairs, %.1f pairs/s, about %d min left",
                self._name,
                self._done,
                self._total,
                rate,
                round(left / 60),
            )
