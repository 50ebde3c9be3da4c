"""Parameters of the cascading pipeline."""

from __future__ import annotations

from relevance_distillery.evaluation.cascades.call_prices import PriceAssumptions
from relevance_distillery.evaluation.cascades.report import Resampling


class CascadingParameters(PriceAssumptions, Resampling):
    """How a cascade is priced and measured; its judges are set under labeling.cascade."""
