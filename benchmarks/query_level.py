"""The level of a query: what is lost without it, and what a few grades of it say.

A proportional-odds link whose cut points all move by one number a query (McCullagh, 1980, with a
random intercept): P(grade > k) = sigmoid(slope * score + u - cut_k), u normal around a center of
the collection with a spread; both are fitted by maximum marginal likelihood. Without any grade of a
query u is averaged over; grades of some of its passages narrow its posterior (empirical Bayes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.calibration import cut_points_at, cut_points_like

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SHIFTS = np.linspace(-5.0, 5.0, 25)
_CENTERS = np.linspace(-2.0, 2.0, 21)
_SMALLEST = 1e-9
_ASKED_AT = 0.7
_FITTED = 6000


@dataclass(frozen=True)
class QueryLevels:
    """A link with a shift for each query: `spread` is that of the shifts, cuts have 3 numbers."""

    slope: float
    cuts: Floats
    spread: float

    @classmethod
    def fit(cls, scores: Floats, grades: Ints, queries: Ints) -> QueryLevels:
        """From pairs, arrays of shape (pairs,), queries numbered from 0."""
        some = np.random.default_rng(0).permutation(len(scores))[:_FITTED]
        scores, grades, queries = scores[some], grades[some], queries[some]
        below = np.cumsum(np.bincount(grades, minlength=4))[:3] / len(grades)
        start = np.quantile(scores, np.clip(below, 0.01, 0.99))
        begin = np.concatenate([[0.0, start[0]], np.log(np.maximum(np.diff(start), 0.05)), [-0.5]])

        def unfold(values: Floats) -> QueryLevels:
            cuts = np.cumsum([values[1], *np.exp(values[2:4])])
            return cls(float(np.exp(values[0])), cuts, float(np.exp(values[4])))

        def loss(values: Floats) -> float:
            own = unfold(values)
            return -own._posterior(own._chances(scores), grades, queries, 0.0)[1]

        found = minimize(loss, begin, method="L-BFGS-B")
        return unfold(np.asarray(found.x))

    def grade(self, scores: Floats, queries: Ints, told: Ints) -> Ints:
        """Grades where those of some pairs are known.

        Args:
            scores: Shape (pairs,).
            queries: Numbered from 0; one number for all moves the whole collection alike.
            told: The known grades, -1 for the others.

        Returns:
            As often as their mean probabilities say; those that are known as they are.
        """
        chances = self._chances(scores)
        centers = _CENTERS if (told >= 0).any() and queries.max() else [0.0]
        found = [self._posterior(chances, told, queries, center) for center in centers]
        weights = max(found, key=lambda one: one[1])[0]
        probabilities = np.einsum("psg,ps->pg", chances, weights[queries])
        expected = probabilities @ DEFAULT_SCALE.values.astype(np.float64)
        cuts = cut_points_at(probabilities.mean(axis=0), expected, DEFAULT_SCALE)
        return np.where(told >= 0, told, np.searchsorted(cuts, expected, "right"))

    def _chances(self, scores: Floats) -> Floats:
        """Of the grades at each shift, shape (pairs, shifts, grades)."""
        logits = (self.slope * scores)[:, None, None] + _SHIFTS[None, :, None] - self.cuts
        above = expit(logits)
        one = np.ones((*above.shape[:2], 1))
        return np.concatenate([one, above], 2) - np.concatenate([above, one * 0], 2)

    def _posterior(
        self, chances: Floats, told: Ints, queries: Ints, center: float
    ) -> tuple[Floats, float]:
        """Of the shifts of each query, shape (queries, shifts), and the log evidence."""
        prior = -0.5 * ((_SHIFTS - center) / self.spread) ** 2
        log = np.tile(prior - logsumexp(prior), (int(queries.max()) + 1, 1))
        known = np.flatnonzero(told >= 0)
        np.add.at(
            log, queries[known], np.log(np.maximum(chances[known, :, told[known]], _SMALLEST))
        )
        evidence = logsumexp(log, axis=1, keepdims=True)
        return np.exp(log - evidence), float(evidence.sum())


def graded_like(expected: Floats, grades: Ints) -> Ints:
    """Grades of these expected grades, each as often as in others."""
    return np.searchsorted(cut_points_like(grades, expected, DEFAULT_SCALE), expected, "right")


def own_shares(scores: Floats, grades: Ints, queries: Ints) -> Ints:
    """Each query's scores cut so that it has the grades that it really has: its level is known."""
    given = np.zeros(len(scores), dtype=np.int64)
    for rows in rows_of(queries):
        order = np.argsort(scores[rows], kind="stable")
        given[rows[order]] = np.sort(grades[rows])
    return given


def rows_of(queries: Ints) -> list[Ints]:
    """The rows of each query."""
    order = np.argsort(queries, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(queries[order])) + 1)


def rows_to_ask(scores: Floats, queries: Ints, count: int) -> Ints:
    """Rows whose grades are asked for: so many of each query, where grades change fastest.

    These lie around a place in the query's order with three tenths of its passages above.
    """
    chosen = []
    for rows in rows_of(queries):
        away = np.abs(scores[rows] - np.quantile(scores[rows], _ASKED_AT))
        chosen.append(rows[np.argsort(away, kind="stable")[:count]])
    return np.concatenate(chosen)
