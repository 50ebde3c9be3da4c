"""Progress of work that may be paid for."""

from collections.abc import Sequence

from relevance_distillery.io.progress import Progress
from relevance_distillery.judges.base import Verdict
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.requests import ChatResult


class PaidProgress(Progress):
    """Says tokens, dollars spent and dollars left as well, where there are any."""

    def __init__(self, total: int, doing: str, budget: Budget | None, unit: str = "pair") -> None:
        super().__init__(total, doing, unit)
        self._budget = budget
        self._tokens = 0
        self._cost_usd = 0.0

    def pay(self, done: Sequence[Verdict | ChatResult]) -> None:
        """Count more as done, and what they took."""
        self._tokens += sum(one.input_tokens + one.output_tokens for one in done)
        self._cost_usd += sum(one.cost_usd for one in done)
        parts = [f"{self._tokens:,} tokens"] if self._tokens else []
        if self._cost_usd or (self._budget is not None and self._budget.limit_usd is not None):
            parts.append(f"${self._cost_usd:,.2f} spent")
        left = None if self._budget is None else self._budget.left_usd
        if left is not None:
            parts.append(f"${left:,.2f} left")
        self.advance(len(done), ", ".join(parts))
