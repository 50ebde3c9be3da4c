"""A figure as a function of how often each query counts: what intervals and tests work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.statistics.studentized import UNBOUNDED, Bounds

Floats = NDArray[np.float64]

_STEP = 1e-6
"""Step of the numerical derivative, as a share of the largest sum."""


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


def ratio(totals: Floats) -> Floats:
    """First column over second, shape (n,); nan where the second is 0."""
    some = totals[:, 1] > 1e-12
    return np.where(some, totals[:, 0] / np.where(some, totals[:, 1], 1.0), np.nan)


def difference(first: SumStatistic, second: SumStatistic) -> SumStatistic:
    """The first figure minus the second, over the same queries."""
    split = first.sums.shape[1]

    def finish(sums: Floats) -> Floats:
        return first.finish(sums[:, :split]) - second.finish(sums[:, split:])

    sums = np.hstack([first.sums, second.sums])
    return _Difference(sums, finish, sides=(first, second))


def slopes(finish: Callable[[Floats], Floats], totals: Floats) -> tuple[Floats, Floats]:
    """A figure and its derivatives by each sum, from differences.

    Args:
        finish: From sums, shape (n, parts), to values, shape (n,).
        totals: Sums over the queries of each resample, shape (n, parts).

    Returns:
        Values, shape (n,), and derivatives, shape (n, parts).
    """
    values = finish(totals)
    step = _STEP * max(float(np.abs(totals).max(initial=0.0)), 1e-12)
    found = np.zeros_like(totals)
    # A sum that is 0 everywhere adds nothing, whatever its slope.
    for part in np.flatnonzero(totals.any(axis=0)):
        moved = totals.copy()
        moved[:, part] += step
        found[:, part] = (finish(moved) - values) / step
    return values, found
