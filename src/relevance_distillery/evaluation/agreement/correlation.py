"""Spearman's rank correlation of people's grades with a score that has many values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.pairs import GradedPairs

Floats = NDArray[np.float64]

_CELLS = 100_000
"""Pairs times resamples worked on at once: they should stay in the processor's cache."""


class ScoreCorrelation:
    """Spearman's ρ as a function of how often each query counts.

    Its ranks change with every resample, so there are no sums over queries to start from. But
    the scores are sorted once, and a tie's rank is the middle of the stretch of weights that it
    covers, so a resample is one cumulative sum. The spread of such ranks depends on the lengths
    of the stretches alone: (n³ - Σ length³) / 12 (Kendall, 1945).

    Args:
        pairs: People's grades and the judge's scores.
    """

    bounds = (-1.0, 1.0)

    def __init__(self, pairs: GradedPairs) -> None:
        self.queries = pairs.queries
        self.bounds = (-1.0, 1.0)
        order = np.argsort(pairs.judge, kind="stable")
        values = pairs.judge[order]
        fresh = np.ones(values.size, dtype=bool)
        fresh[1:] = values[1:] != values[:-1]
        self._heads = np.flatnonzero(fresh)
        self._tie = None if fresh.all() else np.cumsum(fresh) - 1
        self._query = pairs.query[order]
        self._weight = None if pairs.weight is None else pairs.weight[order]
        grades, place = np.unique(pairs.human, return_inverse=True)
        self._given = (place.ravel()[order][:, None] == np.arange(grades.size)).astype(np.float64)

    def __call__(self, weights: Floats) -> Floats:
        """Correlations, shape (n,), for weights of shape (n, queries); nan for one value only."""
        if self._query.size == 0:
            return np.full(len(weights), np.nan)
        step = max(1, _CELLS // self._query.size)
        parts = [
            self._correlations(weights[start : start + step])
            for start in range(0, len(weights), step)
        ]
        return np.concatenate(parts)

    def _correlations(self, weights: Floats) -> Floats:
        weight = weights[:, self._query]
        if self._weight is not None:
            weight = weight * self._weight
        by_grade = weight @ self._given
        total = by_grade.sum(1, keepdims=True)
        stretch = weight if self._tie is None else np.add.reduceat(weight, self._heads, axis=1)
        rank = np.cumsum(stretch, axis=1)
        rank -= stretch / 2.0
        rank -= total / 2.0
        if self._tie is not None:
            rank = rank[:, self._tie]
        rank *= weight
        human = np.cumsum(by_grade, axis=1) - by_grade / 2.0 - total / 2.0
        covariance = ((rank @ self._given) * human).sum(1)
        size = total[:, 0] ** 3
        spreads = [size - _sum_of_cubes(lengths) for lengths in (by_grade, stretch)]
        # Rounding leaves a trace where only one value has weight.
        defined = (spreads[0] > 1e-10 * size) & (spreads[1] > 1e-10 * size)
        scale = np.sqrt(np.where(defined, spreads[0] * spreads[1], 1.0)) / 12.0
        return np.where(defined, covariance / scale, np.nan)


def _sum_of_cubes(lengths: Floats) -> Floats:
    """Shape (n,) from (n, stretches); powers of whole arrays are many times as slow."""
    return np.einsum("ij,ij,ij->i", lengths, lengths, lengths)
