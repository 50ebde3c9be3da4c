"""Make probabilities mean what they say, and turn them into grades.

A link of the score gives the probabilities (proportional odds; McCullagh, 1980): four numbers for
four grades, so that little data fits it, and a better score never has a worse expected grade. Cut
points give each grade to as many pairs as the judge did. Cut points that maximise kappa on the
same pairs learn their chance too, and on another collection they are worse than the shares (see
docs/results/student.md). Everything is plain numbers, stored as JSON.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import expit

from relevance_distillery.grading import GradeScale

Array = NDArray[np.float64]
_DIGITS = 6
_STEP = 10.0**-_DIGITS


class Link(BaseModel):
    """From the score to probabilities: P(grade > k) = sigmoid(slope * score - cut_k).

    Attributes:
        slope: How fast the odds of a better grade grow with the score.
        cuts: Where each grade ends, never decreasing, shape (grades - 1,).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float = Field(gt=0)
    cuts: tuple[float, ...]

    def probabilities(self, scores: Array) -> Array:
        """One probability a grade, lowest first, shape (pairs, grades)."""
        above = expit(self.slope * scores[:, None] - np.asarray(self.cuts))
        ends = np.ones((len(scores), 1)), np.zeros((len(scores), 1))
        return np.hstack([ends[0], above]) - np.hstack([above, ends[1]])


def midpoints(scale: GradeScale) -> Array:
    """Cut points halfway between neighbouring grades, shape (grades - 1,)."""
    values = scale.values.astype(np.float64)
    return (values[1:] + values[:-1]) / 2


def cut_points_at(
    shares: Array, expected: Array, scale: GradeScale, weights: Array | None = None
) -> Array:
    """Cut points on the expected grade that give each grade to its share of the pairs.

    Args:
        shares: Share of each grade, lowest first, shape (grades,).
        expected: Expected grades, shape (pairs,).
        scale: The grades.
        weights: How many pairs each one counts for, shape (pairs,); None for one.

    Returns:
        Non-decreasing, shape (grades - 1,), rounded to 6 digits; midpoints without pairs.
    """
    cuts = midpoints(scale)
    if len(expected) == 0:
        return cuts
    order = np.argsort(expected, kind="stable")
    ordered = np.round(expected, _DIGITS)[order]
    mass = np.cumsum(np.ones(len(order)) if weights is None else weights[order])
    mass = mass / mass[-1]
    for k, below in enumerate(np.cumsum(shares)[:-1]):
        place = int(np.searchsorted(mass, below + 1e-9, side="right"))
        if place == 0:
            cuts[k] = min(cuts[k], ordered[0])
        elif place == len(ordered):
            cuts[k] = max(cuts[k], ordered[-1] + _STEP)
        else:
            cuts[k] = (ordered[place - 1] + ordered[place]) / 2
    ordered_cuts: Array = np.maximum.accumulate(cuts)
    return np.round(ordered_cuts, _DIGITS)


def cut_points_like(positions: NDArray[np.int64], expected: Array, scale: GradeScale) -> Array:
    """Cut points that give each grade as often as the judge gave it to the same pairs.

    Args:
        positions: The judge's grades as positions on the scale, shape (pairs,).
        expected: Expected grades of the pairs, shape (pairs,).
        scale: The grades.
    """
    shares = np.bincount(positions, minlength=scale.size) / max(len(positions), 1)
    return cut_points_at(shares, expected, scale)


def kappa_of_positions(first: NDArray[np.int64], second: NDArray[np.int64], grades: int) -> float:
    """Quadratic kappa (Cohen, 1968) of two arrays of positions; 0 where it is not defined."""
    table = np.bincount(first * grades + second, minlength=grades * grades)
    return kappa_of_table(table.reshape(grades, grades).astype(np.float64))


def kappa_of_table(observed: Array) -> float:
    """Quadratic kappa of a table of counts or weights, shape (grades, grades)."""
    ranks = np.arange(len(observed), dtype=np.float64)
    weights = (ranks[:, None] - ranks[None, :]) ** 2
    chance = np.outer(observed.sum(1), observed.sum(0)) / max(observed.sum(), 1.0)
    disagreement = float((weights * chance).sum())
    if disagreement <= 0:
        return 0.0
    return 1.0 - float((weights * observed).sum()) / disagreement
