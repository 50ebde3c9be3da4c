"""Progress of long work: a bar on a terminal, lines in a log."""

from __future__ import annotations

import logging
import sys
import time
from typing import ClassVar, Self

from tqdm.auto import tqdm

logger = logging.getLogger(__name__)

_FIRST, _LONGEST = 5.0, 60.0


class Progress:
    """Says how much is done, the rate and the time left.

    Use it as a context manager; `advance` after every part. In a log the first line comes after
    five seconds and the pauses double up to a minute. Of work within work the outermost speaks as
    soon as its rate is known, and says where the inner work is.
    """

    _logged: ClassVar[float] = 0.0
    _outermost: ClassVar[Progress | None] = None

    def __init__(self, total: int, doing: str, unit: str = "pair", *, done: int = 0) -> None:
        """Start at `done` of `total`, 0 to say nothing."""
        self._total, self._doing, self._unit = total, doing, unit
        self._before = self._done = done
        self._start = self._advanced = time.monotonic()
        self._note = ""
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=doing,
            unit=unit,
            leave=False,
            disable=not (self._terminal and total),
        )

    def __enter__(self) -> Self:
        """Start."""
        if self._total and Progress._outermost is None:
            Progress._outermost = self
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar."""
        if Progress._outermost is self:
            Progress._outermost = None
        self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done; `note` is said after the rate."""
        self._done += count
        self._note, self._advanced = note, time.monotonic()
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)
        outer = Progress._outermost or self
        now = self._advanced
        pause = min(_LONGEST, max(_FIRST, (now - outer._start) / 2))
        if self._terminal or not self._total or now - max(Progress._logged, outer._start) < pause:
            return
        Progress._logged = now
        if outer is self or outer._done == outer._before:
            self._say()
        else:
            outer._say(f"{self._doing} {self._done} of {self._total}")

    def _say(self, inner: str = "") -> None:
        rate = (self._done - self._before) / max(self._advanced - self._start, 1e-9)
        left = max(self._total - self._done, 0) / rate if rate else 0.0
        left = max(left - (time.monotonic() - self._advanced), 0.0)
        parts = [
            f"{self._done} of {self._total} {self._unit}s",
            f"{60 * rate:,.0f} {self._unit}s/min",
            self._note,
            inner,
            f"about {left:.0f} s left" if left < 90 else f"about {left / 60:.0f} min left",
        ]
        logger.info("%s: %s", self._doing, ", ".join(part for part in parts if part))
