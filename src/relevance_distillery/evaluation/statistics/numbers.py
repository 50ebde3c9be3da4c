"""Figures for JSON: rounded, and null with a reason where one is not defined, never NaN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from relevance_distillery.evaluation.statistics.bootstrap_t import Interval

DIGITS = 6
"""Decimal places kept; far below any interval's width."""


def number(value: float | None) -> float | None:
    """A float for JSON; None where it is not defined."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), DIGITS) + 0.0


def counts(values: pd.Series) -> dict[str, int]:
    """How often each value occurs, in alphabetical order."""
    return {str(name): int(n) for name, n in values.value_counts().sort_index().items()}


def interval_json(interval: Interval, undefined: str, no_interval: str) -> dict[str, Any]:
    """The keys estimate, low, high, and `reason` where one of them is null."""
    found: dict[str, Any] = {
        "estimate": number(interval.estimate),
        "low": number(interval.low),
        "high": number(interval.high),
    }
    if found["estimate"] is None:
        found["reason"] = undefined
    elif found["low"] is None or found["high"] is None:
        found["reason"] = no_interval
    return found
