"""Progress of work that may be paid for."""

from __future__ import annotations

from relevance_distillery.io.progress import Progress
from relevance_distillery.llm.prices import Budget


class PaidProgress(Progress):
    """Says tokens, dollars spent and dollars left as well, where there are any."""

    def __init__(self, total: int, doing: str, budget: Budget | None, unit: str = "pair") -> None:
        """Start at 0 of `total`, see `Progress`."""
        super().__init__(total, doing, unit)
        self._budget = budget
        self._tokens = 0
        self._cost_usd = 0.0

    def pay(self, count: int, tokens: int, cost_usd: float) -> None:
        """Count `count` more as done, and what they took."""
        self._tokens += tokens
        self._cost_usd += cost_usd
        parts = [f"{self._tokens:,} tokens"] if self._tokens else []
        if self._cost_usd or (self._budget is not None and self._budget.limit_usd is not None):
            parts.append(f"${self._cost_usd:,.2f} spent")
        left = None if self._budget is None else self._budget.left_usd
        if left is not None:
            parts.append(f"${left:,.2f} left")
        self.advance(count, ", ".join(parts))
