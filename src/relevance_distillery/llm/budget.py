"""Dollars that a stage may spend, in flight included."""

from __future__ import annotations

import threading

# Sums of thousands of tiny prices differ from the limit in the last digits.
_ROUNDING = 1e-9


class Budget:
    """A cap on what a stage spends; safe to share between threads and judges.

    A request reserves the most that it can cost before it is sent and settles afterwards,
    so the cap holds for what is in flight too, as far as the estimates hold.

    Attributes:
        limit_usd: The cap in US dollars; None for none.
        spent_usd: What was paid so far, by earlier runs included where `charge` was told.
    """

    def __init__(self, limit_usd: float | None = None, spent_usd: float = 0.0) -> None:
        """Start with what is spent already."""
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self._reserved = 0.0
        self._lock = threading.Lock()

    @property
    def left_usd(self) -> float | None:
        """What may still be reserved, not below 0; None without a cap."""
        if self.limit_usd is None:
            return None
        with self._lock:
            return max(0.0, self.limit_usd - self.spent_usd - self._reserved)

    def reserve(self, usd: float) -> bool:
        """Set aside the most that a request can cost.

        Returns:
            False when it does not fit; nothing is set aside then.
        """
        with self._lock:
            total = self.spent_usd + self._reserved + usd
            if self.limit_usd is not None and total > self.limit_usd + _ROUNDING:
                return False
            self._reserved += usd
            return True

    def settle(self, reserved: float, actual: float) -> None:
        """Replace a reservation by what the request cost.

        Args:
            reserved: What `reserve` was called with.
            actual: What the server billed; 0 when nothing was answered.
        """
        with self._lock:
            self._reserved = max(0.0, self._reserved - reserved)
            self.spent_usd += actual

    def charge(self, usd: float) -> None:
        """Count money that was spent before, so that a cap holds over several runs."""
        with self._lock:
            self.spent_usd += usd
