"""How well a judge's grades or scores order documents as people would.

Ranking metrics work on all queries at once: documents sorted by query and score, neighbours with
the same score taken together, everything else sums over stretches of that order. Spearman's rank
correlation of a score with many values runs over all pairs.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.statistics.arrays import Floats, Ints

_CUTOFF = 10

_CELLS = 100_000
"""Pairs times resamples worked on at once: they should stay in the processor's cache."""


def ranking_metrics(
    human: ArrayLike, judge: ArrayLike, query: ArrayLike, queries: int, relevant: int
) -> dict[str, Floats]:
    """Pairwise accuracy, nDCG and nDCG@10 of each query.

    Pairwise accuracy is the share of document pairs with different human grades that the judge
    orders as people do, a tie counting one half. nDCG (Järvelin and Kekäläinen, 2002) has gain
    2^grade - 1 (Burges et al., 2005), grades below 0 counting as 0, and discount
    1 / log2(rank + 1); tied documents share the mean of their gains over all orders among
    themselves (McSherry and Najork, 2008), so the order of the input does not matter.

    People's grades, the judge's grades or scores (higher is better) and the number of each pair's
    query have the shape (pairs,); a document counts as relevant from the grade `relevant` on.

    Returns:
        `pairwise_accuracy`, `ndcg` and `ndcg_at_10`, 0 to 1, shape (queries,); nan for a query
        that has no document pair with different grades (pairwise accuracy) or no relevant
        document (nDCG).
    """
    truth, score = np.asarray(human), np.asarray(judge, dtype=np.float64)
    order = _Order.of(score, np.asarray(query, dtype=np.int64), queries)
    gain = np.exp2(np.maximum(truth.astype(np.float64), 0.0))[order.rows] - 1.0
    ideal = gain[np.lexsort((-gain, order.query))]
    some = np.bincount(order.query[(truth >= relevant)[order.rows]], minlength=queries) > 0
    return {
        "pairwise_accuracy": _pairwise_accuracy(truth, order),
        "ndcg": np.where(some, _ndcg(order, gain, ideal, None), np.nan),
        "ndcg_at_10": np.where(some, _ndcg(order, gain, ideal, _CUTOFF), np.nan),
    }


@dataclass(frozen=True)
class _Order:
    """Documents by query, then from the highest score to the lowest.

    Attributes:
        rows: Where each stood in the input, shape (pairs,).
        query: Number of its query, shape (pairs,).
        rank: Place within its query, 0 for the first, shape (pairs,).
        tie: Number of its stretch of equal scores within one query, shape (pairs,).
        heads: First place of each stretch, shape (ties,).
        queries: How many queries there are.
    """

    rows: Ints
    query: Ints
    rank: Ints
    tie: Ints
    heads: Ints
    queries: int

    @classmethod
    def of(cls, score: Floats, query: Ints, queries: int) -> Self:
        rows = np.lexsort((-score, query))
        number, value = query[rows], score[rows]
        starts = np.searchsorted(number, np.arange(queries))
        fresh = np.ones(rows.size, dtype=bool)
        fresh[1:] = (number[1:] != number[:-1]) | (value[1:] != value[:-1])
        return cls(
            rows=rows,
            query=number,
            rank=np.arange(rows.size) - starts[number],
            tie=np.cumsum(fresh) - 1,
            heads=np.flatnonzero(fresh),
            queries=queries,
        )


def _pairwise_accuracy(truth: NDArray[np.generic], order: _Order) -> Floats:
    """Shape (queries,)."""
    grades, place = np.unique(truth, return_inverse=True)
    size, ties = grades.size, order.heads.size
    cells = order.tie * size + place.ravel()[order.rows]
    counts = np.bincount(cells, minlength=ties * size).reshape(ties, size).astype(np.float64)
    owner = order.query[order.heads]
    given = np.zeros((order.queries, size))
    np.add.at(given, owner, counts)
    # Documents of the same query that the judge ranks lower, and half of those that it ties.
    above = np.cumsum(counts, axis=0) - counts
    before = np.cumsum(given, axis=0) - given
    lower = given[owner] - (above - before[owner]) - counts / 2.0
    right = (counts * _below(lower)).sum(1)
    total = (given * _below(given)).sum(1)
    points = np.bincount(owner, weights=right, minlength=order.queries)
    return np.where(total > 0, points / np.maximum(total, 1.0), np.nan)


def _below(values: Floats) -> Floats:
    """Sum over the lower grades, shape (n, grades)."""
    return np.cumsum(values, axis=1) - values


def _ndcg(order: _Order, gain: Floats, ideal: Floats, cutoff: int | None) -> Floats:
    """Shape (queries,), from gains in the order of the judge and in the ideal one."""
    discount = 1.0 / np.log2(order.rank + 2.0)
    if cutoff is not None:
        discount[order.rank >= cutoff] = 0.0
    best = np.bincount(order.query, weights=ideal * discount, minlength=order.queries)
    ties = order.heads.size
    shared = np.bincount(order.tie, weights=discount, minlength=ties)
    mean_gain = np.bincount(order.tie, weights=gain, minlength=ties) / np.bincount(
        order.tie, minlength=ties
    )
    reached = np.bincount(
        order.query[order.heads], weights=mean_gain * shared, minlength=order.queries
    )
    return np.where(best > 0.0, reached / np.where(best > 0.0, best, 1.0), np.nan)


class ScoreCorrelation:
    """Spearman's ρ as a function of how often each query counts.

    Its ranks change with every resample, so there are no sums over queries to start from. But
    the scores are sorted once, and a tie's rank is the middle of the stretch of weights that it
    covers, so a resample is one cumulative sum. The spread of such ranks depends on the lengths
    of the stretches alone: (n³ - Σ length³) / 12 (Kendall, 1945).
    """

    bounds = (-1.0, 1.0)

    def __init__(self, pairs: GradedPairs) -> None:
        self.queries = pairs.queries
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
        # Powers of whole arrays are many times as slow.
        spreads = [size - np.einsum("ij,ij,ij->i", n, n, n) for n in (by_grade, stretch)]
        # Rounding leaves a trace where only one value has weight.
        defined = (spreads[0] > 1e-10 * size) & (spreads[1] > 1e-10 * size)
        scale = np.sqrt(np.where(defined, spreads[0] * spreads[1], 1.0)) / 12.0
        return np.where(defined, covariance / scale, np.nan)
