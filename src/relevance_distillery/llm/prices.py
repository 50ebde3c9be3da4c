"""What a model behind an API asks for tokens, as the user configured it, with a date.

Prices change, and nothing here fetches them: `prices` in `conf/base/globals.yml` is the only
place, and every entry says when it was read and where.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping

from pydantic import Field

from relevance_distillery.errors import UserError
from relevance_distillery.strict import StrictModel

logger = logging.getLogger(__name__)


class Price(StrictModel):
    """List price of a model, in US dollars a million tokens."""

    usd_per_million_input: float = Field(ge=0, description="Dollars per million tokens read.")
    usd_per_million_output: float = Field(ge=0, description="Dollars per million tokens written.")
    batch_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the price that the batch API asks; OpenAI's asks half.",
    )
    as_of: datetime.date | None = Field(
        None, description="Day on which the price was read; plans and reports print it."
    )
    source: str = Field("", description="Where the price comes from; plans and reports print it.")

    def usd(self, input_tokens: float, output_tokens: float, *, batch: bool = False) -> float:
        """Dollars for so many tokens.

        Args:
            input_tokens: Tokens read.
            output_tokens: Tokens written.
            batch: Whether they went through the batch API.
        """
        full = (
            input_tokens * self.usd_per_million_input + output_tokens * self.usd_per_million_output
        ) / 1e6
        return full * self.batch_share if batch else full

    @property
    def basis(self) -> str:
        """Source and date for people, such as `list price, as of 2026-11-21`."""
        dated = "" if self.as_of is None else f"as of {self.as_of.isoformat()}"
        return ", ".join(part for part in (self.source, dated) if part) or "stated"


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of a model; None when the configuration has none.

    Names are compared whole: a dated snapshot may cost more than the name it begins with.
    """
    return prices.get(model)


def price_or_warning(
    model: str, prices: Mapping[str, Price], max_cost_usd: float | None
) -> Price | None:
    """The price of a model that is about to be paid for.

    Args:
        model: Name of the model, a key of `prices`.
        prices: The configured prices.
        max_cost_usd: The cap of the stage; None for none.

    Returns:
        The price, or None after a warning that costs cannot be counted.

    Raises:
        UserError: There is a cap and no price to count with.
    """
    price = price_of(model, prices)
    if price is not None:
        return price
    if max_cost_usd is not None:
        raise UserError(
            f"max_cost_usd={max_cost_usd:g} cannot be kept without a price: "
            f"add prices.{model} to conf/base/globals.yml (0 for a server of your own)"
        )
    logger.warning(
        "no price for %s: its cost is counted as 0; add prices.%s to conf/base/globals.yml",
        model,
        model,
    )
    return None
