"""Confidence intervals by resampling queries.

The pairs of one query resemble each other, so an interval that resamples pairs is far too
narrow: whole queries are drawn (Cameron, Gelbach and Miller, 2008). How an interval is made of
the draws is in `studentized`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.statistics.studentized import (
    UNBOUNDED,
    Bounds,
    Interval,
    Studentized,
    slopes,
)

__all__ = ["Interval", "Statistic", "SumStatistic", "difference", "interval", "intervals"]

Floats = NDArray[np.float64]

_CELLS = 4_000_000
"""Weights held at once: keeps memory flat whatever the number of queries."""

_FEWEST_DEFINED = 0.9
"""An interval needs the figure to be defined in this share of the resamples."""

_JACKKNIFE_GROUPS = 200
"""The standard error of a figure without sums comes from this many groups of queries."""

_MOST_PARTS = 64
"""A figure of more sums is not studentized in every resample: it would take too long."""


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
        finish: From sums, shape (n, parts), to values, shape (n,). Multiplying all sums by a
            number changes nothing.
        bounds: The lowest and highest value that the figure can have; its interval stays
            within them.
    """

    sums: Floats
    finish: Callable[[Floats], Floats]
    bounds: Bounds = UNBOUNDED

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

    def slopes(self, totals: Floats) -> tuple[Floats, Floats]:
        """Values for some sums, shape (n, parts), and their derivatives, shape (n, parts)."""
        return slopes(self.finish, totals)


@dataclass(frozen=True)
class _Difference(SumStatistic):
    """A difference differentiates its sides one by one: half the work."""

    sides: tuple[SumStatistic, SumStatistic] | None = None

    def slopes(self, totals: Floats) -> tuple[Floats, Floats]:
        """Values and derivatives, the second figure's with the sign turned."""
        assert self.sides is not None
        split = self.sides[0].sums.shape[1]
        first = self.sides[0].slopes(totals[:, :split])
        second = self.sides[1].slopes(totals[:, split:])
        return first[0] - second[0], np.hstack([first[1], -second[1]])


def difference(first: SumStatistic, second: SumStatistic) -> SumStatistic:
    """The first figure minus the second, over the same queries."""
    split = first.sums.shape[1]

    def finish(sums: Floats) -> Floats:
        return first.finish(sums[:, :split]) - second.finish(sums[:, split:])

    sums = np.hstack([first.sums, second.sums])
    return _Difference(sums, finish, sides=(first, second))


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
    """Estimate and interval of one figure; see `intervals`."""
    return intervals({"": statistic}, resamples, seed, level)[""]


def intervals(
    statistics: Mapping[str, Statistic],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Estimates and intervals of figures over the same queries, drawn once for all.

    Args:
        statistics: The figures by name, as functions of query weights.
        resamples: How many times queries are drawn with replacement.
        seed: Seed of the draws.
        level: Nominal coverage.

    Returns:
        By name the estimate, and limits that are nan with fewer than two queries or where
        the figure is not defined in a tenth of the resamples. The same as one by one.
    """
    found = studentized(statistics, resamples, seed)
    return {name: figure.interval(level) for name, figure in found.items()}


def studentized(
    statistics: Mapping[str, Statistic], resamples: int = 1000, seed: int = 0
) -> dict[str, Studentized]:
    """What the draws say about each figure: intervals of any level, and one-sided p-values.

    Args:
        statistics: The figures by name, as functions of query weights.
        resamples: How many times queries are drawn with replacement.
        seed: Seed of the draws.
    """
    values: dict[str, list[Floats]] = {name: [] for name in statistics}
    errors: dict[str, list[Floats]] = {name: [] for name in statistics}
    for queries in {statistic.queries for statistic in statistics.values()}:
        some = {name: figure for name, figure in statistics.items() if figure.queries == queries}
        for weights in resamples_of_queries(queries, resamples, seed) if queries > 1 else ():
            # Metrics of one matrix of counts share its sums: added up once.
            totals: dict[tuple[int, ...], Floats] = {}
            squares: dict[tuple[int, ...], Floats] = {}
            for name, figure in some.items():
                if not isinstance(figure, SumStatistic):
                    values[name].append(figure(weights))
                    continue
                key = (figure.sums.__array_interface__["data"][0], *figure.sums.shape)
                if key not in totals:
                    totals[key] = weights @ figure.sums
                if figure.sums.shape[1] > _MOST_PARTS:
                    values[name].append(figure.finish(totals[key]))
                    continue
                if key not in squares:
                    squares[key] = _products(weights, figure.sums)
                value, slope = figure.slopes(totals[key])
                values[name].append(value)
                errors[name].append(_linearised(slope, squares[key]))
    return {
        name: _studentized(
            statistic,
            np.concatenate(values[name]) if values[name] else np.zeros(0),
            np.concatenate(errors[name]) if errors[name] else None,
            resamples,
        )
        for name, statistic in statistics.items()
    }


def standard_error(statistic: Statistic) -> float:
    """Standard error over queries (delete-one jackknife; Efron and Stein, 1981).

    Returns:
        nan with fewer than two queries that count, or where the figure is not defined without
        one of them.
    """
    left_out = _left_out(statistic)
    if left_out.size < 2 or not np.isfinite(left_out).all():
        return float("nan")
    spread = float(((left_out - left_out.mean()) ** 2).sum())
    return float((spread * (left_out.size - 1) / left_out.size) ** 0.5)


def _studentized(
    statistic: Statistic, values: Floats, errors: Floats | None, resamples: int
) -> Studentized:
    estimate = float(statistic(np.ones((1, statistic.queries)))[0])
    defined = np.isfinite(values)
    enough = defined.sum() >= max(_FEWEST_DEFINED * resamples, 2.0)
    return Studentized.of(
        estimate=estimate,
        error=standard_error(statistic) if enough else float("nan"),
        freedom=_counting(statistic) - 1,
        bounds=getattr(statistic, "bounds", UNBOUNDED),
        values=values[defined],
        errors=None if errors is None else errors[defined],
    )


def _linearised(slope: Floats, products: Floats) -> Floats:
    """Standard error in each resample (infinitesimal jackknife; Efron, 1982), shape (n,).

    Multiplying all sums by a number changes no figure, so the influences add up to 0 and their
    sum of squares is n times their variance.
    """
    variance = np.einsum("ni,ni->n", np.matmul(slope[:, None, :], products)[:, 0], slope)
    return np.sqrt(np.maximum(variance, 0.0))


def _left_out(statistic: Statistic) -> Floats:
    """Values without each query that counts, or without each of a number of groups."""
    if isinstance(statistic, SumStatistic):
        return statistic.without_each()[statistic.sums.any(axis=1)]
    groups = min(statistic.queries, _JACKKNIFE_GROUPS)
    group = np.arange(statistic.queries) % max(groups, 1)
    return statistic((group[None, :] != np.arange(groups)[:, None]).astype(np.float64))


def _counting(statistic: Statistic) -> int:
    """How many queries add something."""
    if isinstance(statistic, SumStatistic):
        return int(statistic.sums.any(axis=1).sum())
    return statistic.queries


def _products(weights: Floats, sums: Floats) -> Floats:
    """Sums of the products of every two parts in each resample, shape (n, parts, parts)."""
    parts = sums.shape[1]
    one, other = np.triu_indices(parts)
    found = np.empty((len(weights), parts, parts))
    found[:, one, other] = weights @ (sums[:, one] * sums[:, other])
    found[:, other, one] = found[:, one, other]
    return found
