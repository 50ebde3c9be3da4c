"""Confidence intervals by resampling queries.

The pairs of one query resemble each other, so an interval that resamples pairs is far too
narrow: whole queries are drawn (Cameron, Gelbach and Miller, 2008). The limits are BCa
(Efron, 1987), which corrects the skewness of a figure that is bounded by 1 and moves with
the number of pairs a query happens to have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]

_CELLS = 4_000_000
"""Weights held at once: keeps memory flat whatever the number of queries."""

_FEWEST_DEFINED = 0.9
"""An interval needs the figure to be defined in this share of the resamples."""

_JACKKNIFE_GROUPS = 200
"""The acceleration of a figure without sums is estimated from this many groups of queries."""


class Statistic(Protocol):
    """A figure as a function of how often each query counts."""

    @property
    def queries(self) -> int:
        """How many queries there are."""
        ...

    def __call__(self, weights: Floats) -> Floats:
        """Values, shape (n,), for weights of shape (n, queries)."""
        ...


@dataclass(frozen=True)
class SumStatistic:
    """A figure that depends on the data through sums over queries.

    Attributes:
        sums: What each query adds, shape (queries, parts).
        finish: From sums, shape (n, parts), to values, shape (n,).
    """

    sums: Floats
    finish: Callable[[Floats], Floats]

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return int(self.sums.shape[0])

    def __call__(self, weights: Floats) -> Floats:
        """Values for weights of the queries."""
        return self.finish(weights @ self.sums)

    def without_each(self) -> Floats:
        """Values with one query left out, shape (queries,)."""
        return self.finish(self.sums.sum(0) - self.sums)


def difference(first: SumStatistic, second: SumStatistic) -> SumStatistic:
    """The first figure minus the second, over the same queries."""
    split = first.sums.shape[1]

    def finish(sums: Floats) -> Floats:
        return first.finish(sums[:, :split]) - second.finish(sums[:, split:])

    return SumStatistic(np.hstack([first.sums, second.sums]), finish)


@dataclass(frozen=True)
class Interval:
    """An estimate with its limits; nan where it is not defined.

    Attributes:
        estimate: The figure over all queries.
        low, high: Limits of the interval.
    """

    estimate: float
    low: float = float("nan")
    high: float = float("nan")


def resamples_of_queries(queries: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each query was drawn, a few resamples at a time.

    The same seed gives the same draws, so figures over the same queries move together.

    Yields:
        Counts, shape (some resamples, queries), each row adding up to `queries`.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // max(1, queries))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(queries, size=(rows, queries))
        drawn += np.arange(rows)[:, None] * queries
        counts = np.bincount(drawn.ravel(), minlength=rows * queries)
        yield counts.reshape(rows, queries).astype(np.float64)


def interval(
    statistic: Statistic, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Estimate and BCa interval of a figure.

    Args:
        statistic: The figure, as a function of query weights.
        resamples: How many times queries are drawn with replacement.
        seed: Seed of the draws.
        level: Nominal coverage.

    Returns:
        The estimate, and limits that are nan with fewer than two queries or where the
        figure is not defined in a tenth of the resamples.
    """
    estimate = float(statistic(np.ones((1, statistic.queries)))[0])
    if statistic.queries < 2 or not np.isfinite(estimate):
        return Interval(estimate)
    draws = resamples_of_queries(statistic.queries, resamples, seed)
    values = np.concatenate([statistic(weights) for weights in draws])
    defined = values[np.isfinite(values)]
    if defined.size < max(_FEWEST_DEFINED * resamples, 2.0):
        return Interval(estimate)
    return Interval(estimate, *_bca_limits(defined, estimate, _acceleration(statistic), level))


def _bca_limits(
    values: Floats, estimate: float, acceleration: float, level: float
) -> tuple[float, float]:
    if np.ptp(values) < 1e-12:
        return float(values[0]), float(values[0])
    # Equal values count one half below: metrics of few queries take few values.
    below = float((values < estimate - 1e-12).mean())
    equal = float((np.abs(values - estimate) <= 1e-12).mean())
    share = np.clip(below + equal / 2.0, 1.0 / values.size, 1.0 - 1.0 / values.size)
    centre = norm.ppf(share)
    wanted = norm.ppf([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    shifted = centre + wanted
    tails = norm.cdf(centre + shifted / np.maximum(1.0 - acceleration * shifted, 1e-6))
    low, high = np.quantile(values, tails)
    return float(low), float(high)


def _acceleration(statistic: Statistic) -> float:
    """Skewness of the jackknife values, sixth part (Efron, 1987, equation 7.3)."""
    if isinstance(statistic, SumStatistic):
        left_out = statistic.without_each()
    else:
        groups = min(statistic.queries, _JACKKNIFE_GROUPS)
        group = np.arange(statistic.queries) % groups
        weights = (group[None, :] != np.arange(groups)[:, None]).astype(np.float64)
        left_out = statistic(weights)
    left_out = left_out[np.isfinite(left_out)]
    if left_out.size < 2:
        return 0.0
    apart = left_out.mean() - left_out
    spread = float((apart**2).sum())
    if spread < 1e-24:
        return 0.0
    return float((apart**3).sum() / (6.0 * spread**1.5))
