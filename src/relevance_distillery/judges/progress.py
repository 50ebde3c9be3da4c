"""Progress of long labeling: a bar on a terminal, a line a minute in a log file."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from relevance_distillery.llm.prices import Budget

logger = logging.getLogger(__name__)


class Progress:
    """Shows how many pairs are graded, the rate, tokens, dollars and the time left.

    Use it as a context manager; `advance` after every batch.
    """

    def __init__(
        self,
        total: int,
        name: str,
        every: float = 60.0,
        *,
        done: int = 0,
        budget: Budget | None = None,
        unit: str = "pair",
    ) -> None:
        """Start at `done` of `total` (0 shows nothing at all); `every` is in seconds, for logs."""
        self._total, self._name, self._every, self._budget = total, name, every, budget
        self._unit = unit
        self._before = self._done = done
        self._tokens = 0
        self._cost_usd = 0.0
        self._start = self._logged = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=f"labeling by {name}" if unit == "pair" else f"queries by {name}",
            unit=unit,
            disable=not (self._terminal and total),
        )

    def __enter__(self) -> Progress:
        """Start."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar."""
        self._bar.close()

    def advance(self, pairs: int, *, tokens: int = 0, cost_usd: float = 0.0) -> None:
        """Count `pairs` more as done, and what they took."""
        self._done += pairs
        self._tokens += tokens
        self._cost_usd += cost_usd
        self._bar.set_postfix_str(self._spending(), refresh=False)
        self._bar.update(pairs)
        now = time.monotonic()
        if self._total and not self._terminal and now - self._logged >= self._every:
            self._logged = now
            rate = (self._done - self._before) / (now - self._start)
            left = max(self._total - self._done, 0) / rate if rate else 0.0
            parts = [
                f"{self._done} of {self._total} {self._unit}s",
                f"{60 * rate:,.0f} {self._unit}s/min",
                self._spending(),
                f"about {round(left / 60)} min left",
            ]
            who = "judge" if self._unit == "pair" else "synthesizer"
            logger.info("%s %s: %s", who, self._name, ", ".join(part for part in parts if part))

    def _spending(self) -> str:
        """Tokens and dollars, where there are any."""
        parts = [f"{self._tokens:,} tokens"] if self._tokens else []
        if self._cost_usd or (self._budget is not None and self._budget.limit_usd is not None):
            parts.append(f"${self._cost_usd:,.2f} spent")
        left = None if self._budget is None else self._budget.left_usd
        if left is not None:
            parts.append(f"${left:,.2f} left")
        return ", ".join(parts)
