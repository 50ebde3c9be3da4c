"""Figures as functions of query weights, and their intervals by resampling queries.

The pairs of one query resemble each other, so an interval that resamples pairs is far too
narrow: whole queries are drawn (Cameron, Gelbach and Miller, 2008). How an interval is made of
the draws is in `bootstrap_t`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relevance_distillery.evaluation.statistics.arrays import Floats, Ints, Mask
from relevance_distillery.evaluation.statistics.bootstrap_t import (
    UNBOUNDED,
    Bounds,
    Interval,
    Studentized,
)

_STEP = 1e-6
"""Step of the numerical derivative, as a share of the largest sum."""

CELLS = 4_000_000
"""Weights held at once: keeps memory flat whatever the number of queries."""

FEWEST_DEFINED = 0.9
"""An interval needs the figure to be defined in this share of the resamples."""

_JACKKNIFE_GROUPS = 200
"""The standard error of a figure without sums comes from this many groups of queries."""

_MOST_PARTS = 64
"""A figure of more sums is studentized by its pseudo-values: its slopes would take too long."""


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
        logit: Whether the interval is made on the logit scale between finite bounds, or on the
            figure's own scale and cut at the bounds.
    """

    sums: Floats
    finish: Callable[[Floats], Floats]
    bounds: Bounds = UNBOUNDED
    logit: bool = True

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return int(self.sums.shape[0])

    @property
    def memory(self) -> tuple[int, ...]:
        """Where the sums are in memory: figures that share them share their totals."""
        return (self.sums.__array_interface__["data"][0], *self.sums.shape)

    def __call__(self, weights: Floats) -> Floats:
        """As `Statistic`."""
        return self.finish(weights @ self.sums)

    def slopes(self, totals: Floats) -> tuple[Floats, Floats]:
        """Values, shape (n,), for sums over the queries, shape (n, parts), and their derivatives.

        The derivatives, shape (n, parts), are by each sum, from differences.
        """
        values = self.finish(totals)
        step = _STEP * max(float(np.abs(totals).max(initial=0.0)), 1e-12)
        found = np.zeros_like(totals)
        # A sum that is 0 everywhere adds nothing, whatever its slope.
        for part in np.flatnonzero(totals.any(axis=0)):
            moved = totals.copy()
            moved[:, part] += step
            found[:, part] = (self.finish(moved) - values) / step
        return values, found


@dataclass(frozen=True, kw_only=True)
class _Difference(SumStatistic):
    """A difference whose sides are differentiated one by one, at half the cost."""

    sides: tuple[SumStatistic, SumStatistic]

    def slopes(self, totals: Floats) -> tuple[Floats, Floats]:
        """Values and derivatives, the second figure's with the sign turned."""
        split = self.sides[0].sums.shape[1]
        first = self.sides[0].slopes(totals[:, :split])
        second = self.sides[1].slopes(totals[:, split:])
        return first[0] - second[0], np.hstack([first[1], -second[1]])


def ratio(totals: Floats) -> Floats:
    """First column over second, shape (n,); nan where the second is 0."""
    some = totals[:, 1] > 1e-12
    return np.where(some, totals[:, 0] / np.where(some, totals[:, 1], 1.0), np.nan)


def mean_of_pairs(
    values: Floats,
    query: Ints,
    queries: int,
    weight: Floats | None = None,
    bounds: Bounds = UNBOUNDED,
) -> SumStatistic:
    """The (weighted) mean over pairs, each of the query of that number; shapes (pairs,)."""
    share = np.ones(values.size) if weight is None else weight
    sums = [np.bincount(query, weights=part, minlength=queries) for part in (values * share, share)]
    return SumStatistic(np.column_stack(sums).astype(np.float64, copy=False), ratio, bounds)


def difference(first: SumStatistic, second: SumStatistic) -> SumStatistic:
    """The first figure minus the second, over the same queries."""
    split = first.sums.shape[1]
    bounds = (first.bounds[0] - second.bounds[1], first.bounds[1] - second.bounds[0])

    def finish(sums: Floats) -> Floats:
        return first.finish(sums[:, :split]) - second.finish(sums[:, split:])

    sums = np.hstack([first.sums, second.sums])
    return _Difference(sums, finish, bounds, logit=False, sides=(first, second))


def resamples_of_queries(queries: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each query was drawn, a few resamples at a time.

    The same seed gives the same draws, so figures over the same queries move together.

    Yields:
        Counts, shape (some resamples, queries), each row adding up to `queries`.
    """
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // max(1, queries))
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
    statistics: Mapping[str, Statistic], resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Estimates and intervals of figures over the same queries, drawn once for all.

    The same as one by one; limits are nan with fewer than two queries or where the figure is not
    defined in a tenth of the resamples.
    """
    found = studentized(statistics, resamples, seed)
    return {name: figure.interval(level) for name, figure in found.items()}


def studentized(
    statistics: Mapping[str, Statistic], resamples: int = 1000, seed: int = 0
) -> dict[str, Studentized]:
    """Each figure with its resamples: gives intervals of any level and one-sided p-values."""
    figures = {name: _Figure(statistic) for name, statistic in statistics.items()}
    for queries in {statistic.queries for statistic in statistics.values()}:
        some = [figure for figure in figures.values() if figure.statistic.queries == queries]
        for weights in resamples_of_queries(queries, resamples, seed) if queries > 1 else ():
            totals = _Totals(weights)
            for figure in some:
                figure.draw(totals)
    return {name: figure.finished(resamples) for name, figure in figures.items()}


def standard_error(statistic: Statistic) -> float:
    """Standard error over queries (delete-one jackknife; Efron and Stein, 1981).

    Returns:
        nan with fewer than two queries that count, or where the figure is not defined without
        one of them.
    """
    return _jackknife(_leave_one_out(statistic))


class _Totals:
    """Sums over the queries of some resamples; figures of one matrix of counts share them."""

    def __init__(self, weights: Floats) -> None:
        self.weights = weights
        self._sums: dict[tuple[int, ...], Floats] = {}
        self._products: dict[tuple[int, ...], Floats] = {}

    def sums(self, figure: SumStatistic) -> Floats:
        """Sums of each part, shape (n, parts)."""
        if figure.memory not in self._sums:
            self._sums[figure.memory] = self.weights @ figure.sums
        return self._sums[figure.memory]

    def products(self, figure: SumStatistic) -> Floats:
        """Sums of the products of every two parts, shape (n, parts, parts)."""
        if figure.memory not in self._products:
            parts = figure.sums.shape[1]
            one, other = np.triu_indices(parts)
            found = np.empty((len(self.weights), parts, parts))
            found[:, one, other] = self.weights @ (figure.sums[:, one] * figure.sums[:, other])
            found[:, other, one] = found[:, one, other]
            self._products[figure.memory] = found
        return self._products[figure.memory]


class _Figure:
    """Resamples of one figure: their deviations from the estimate and their standard errors.

    With few sums both come from the figure itself, its error from its slopes (infinitesimal
    jackknife; Efron, 1982). Otherwise they are those of the mean of the jackknife's pseudo-values
    (Tukey, 1958), which are cheap.
    """

    def __init__(self, statistic: Statistic) -> None:
        self.statistic = statistic
        self.estimate = float(statistic(np.ones((1, statistic.queries)))[0])
        self._jackknifed = _leave_one_out(statistic)
        self._pseudo = self._pseudo_values()
        self._values: list[Floats] = []
        self._ratios: list[tuple[Floats, Floats]] = []

    def draw(self, totals: _Totals) -> None:
        """Add some resamples."""
        figure = self.statistic
        if not isinstance(figure, SumStatistic):
            self._values.append(figure(totals.weights))
        elif figure.sums.shape[1] > _MOST_PARTS:
            self._values.append(figure.finish(totals.sums(figure)))
        else:
            values, slope = figure.slopes(totals.sums(figure))
            # Multiplying all sums by a number changes no figure, so the influences of the queries
            # add up to 0, and their sum of squares is all there is to their variance.
            moved = np.matmul(slope[:, None, :], totals.products(figure))[:, 0]
            variance = np.einsum("ni,ni->n", moved, slope)
            self._values.append(values)
            self._ratios.append((values - self.estimate, variance))
        if self._pseudo is not None:
            mean = totals.weights @ self._pseudo / figure.queries
            spread = totals.weights @ self._pseudo**2 / figure.queries - mean**2
            self._ratios.append((mean, spread / figure.queries))

    def finished(self, resamples: int) -> Studentized:
        """The figure with all its resamples."""
        values = np.concatenate(self._values) if self._values else np.zeros(0)
        defined = np.isfinite(values)
        enough = defined.sum() >= max(FEWEST_DEFINED * resamples, 2.0)
        deviations = errors = None
        if self._ratios:
            deviations = np.concatenate([part for part, _ in self._ratios])[defined]
            variance = np.concatenate([part for _, part in self._ratios])[defined]
            errors = np.sqrt(np.maximum(variance, 0.0))
        return Studentized.of(
            estimate=self.estimate,
            error=_jackknife(self._jackknifed) if enough else float("nan"),
            freedom=int(_counts(self.statistic).sum()) - 1,
            bounds=getattr(self.statistic, "bounds", UNBOUNDED),
            logit=getattr(self.statistic, "logit", True),
            values=values[defined],
            deviations=deviations,
            errors=errors,
        )

    def _pseudo_values(self) -> Floats | None:
        """Jackknife influence of each query, shape (queries,); None where not needed."""
        figure = self.statistic
        if isinstance(figure, SumStatistic) and figure.sums.shape[1] <= _MOST_PARTS:
            return None
        counting = _counts(figure)
        if self._jackknifed.size != counting.sum() or not np.isfinite(self._jackknifed).all():
            return None
        found = np.zeros(figure.queries)
        found[counting] = (self._jackknifed.mean() - self._jackknifed) * (counting.sum() - 1)
        return found


def _leave_one_out(statistic: Statistic) -> Floats:
    """Values without each query that counts, or without each of a number of groups."""
    if isinstance(statistic, SumStatistic):
        return statistic.finish(statistic.sums.sum(0) - statistic.sums)[_counts(statistic)]
    groups = min(statistic.queries, _JACKKNIFE_GROUPS)
    group = np.arange(statistic.queries) % max(groups, 1)
    return statistic((group[None, :] != np.arange(groups)[:, None]).astype(np.float64))


def _jackknife(values: Floats) -> float:
    if values.size < 2 or not np.isfinite(values).all():
        return float("nan")
    spread = float(((values - values.mean()) ** 2).sum())
    return float((spread * (values.size - 1) / values.size) ** 0.5)


def _counts(statistic: Statistic) -> Mask:
    """Which queries add something, shape (queries,)."""
    if isinstance(statistic, SumStatistic):
        return np.asarray(statistic.sums.any(axis=1))
    return np.ones(statistic.queries, dtype=bool)
