"""What a model behind an API asks for tokens, and the cap on what a stage spends.

Prices change, and nothing here fetches them: `prices` in `conf/base/globals.yml` is the only
place, and every entry says when it was read and where.
"""

import datetime
import logging
import threading
from collections.abc import Mapping

from pydantic import Field

from relevance_distillery.errors import UserError
from relevance_distillery.strict import StrictModel

logger = logging.getLogger(__name__)

# Sums of thousands of tiny prices differ from the limit in the last digits.
_ROUNDING = 1e-9


class Price(StrictModel):
    """List price of a model, in US dollars a million tokens."""

    usd_per_million_input: float = Field(ge=0)
    """Dollars per million tokens read."""
    usd_per_million_output: float = Field(ge=0)
    """Dollars per million tokens written."""
    batch_share: float = Field(0.5, gt=0, le=1)
    """Share of the price that the batch API asks; OpenAI's asks half."""
    as_of: datetime.date | None = None
    """Day on which it was read, printed in plans and reports."""
    source: str = ""
    """Where it comes from, printed too."""

    def usd(self, input_tokens: float, output_tokens: float, *, batch: bool = False) -> float:
        """Dollars for so many tokens; `batch` where they went through the batch API."""
        full = (
            input_tokens * self.usd_per_million_input + output_tokens * self.usd_per_million_output
        ) / 1e6
        return full * self.batch_share if batch else full

    @property
    def basis(self) -> str:
        """Source and date for people, such as `list price, as of 2026-11-21`."""
        dated = "" if self.as_of is None else f"as of {self.as_of.isoformat()}"
        return ", ".join(part for part in (self.source, dated) if part) or "stated"


FREE = Price(usd_per_million_input=0, usd_per_million_output=0)
"""Stands for a price that is not known: costs are counted as 0."""


def price_or_warning(
    model: str, prices: Mapping[str, Price], max_cost_usd: float | None
) -> Price | None:
    """The price of a model that is about to be paid for, or None after a warning.

    Names are compared whole: a dated snapshot may cost more than the name it begins with.
    UserError where there is a cap and no price to count with.
    """
    price = prices.get(model)
    if price is not None:
        return price
    if max_cost_usd is not None:
        raise UserError(
            f"max_cost_usd={max_cost_usd:g} cannot be kept without a price: "
            f"add prices.{model} to conf/base/globals.yml (0 for a server of your own)"
        )
    advice = "no price for %s: its cost is counted as 0; add prices.%s to conf/base/globals.yml"
    logger.warning(advice, model, model)
    return None


class Budget:
    """A cap on what a stage spends; safe to share between threads and judges.

    A request reserves the most that it can cost before it is sent and settles afterwards,
    so the cap holds for what is in flight too, as far as the estimates hold.

    `limit_usd` is None for no cap; `spent_usd` counts earlier runs where `charge` was called.
    """

    def __init__(self, limit_usd: float | None = None, spent_usd: float = 0.0) -> None:
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
        """Set aside the most that a request can cost; false when it does not fit."""
        with self._lock:
            total = self.spent_usd + self._reserved + usd
            if self.limit_usd is not None and total > self.limit_usd + _ROUNDING:
                return False
            self._reserved += usd
            return True

    def settle(self, reserved: float, actual: float) -> None:
        """Replace a reservation by what the server billed; 0 when nothing was answered."""
        with self._lock:
            self._reserved = max(0.0, self._reserved - reserved)
            self.spent_usd += actual

    def charge(self, usd: float) -> None:
        """Count money that was spent before, so that a cap holds over several runs."""
        with self._lock:
            self.spent_usd += usd
