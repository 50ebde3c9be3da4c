"""How well a judge's grades or scores order the documents of one query as people would.

All queries are worked on at once: documents sorted by query and score, neighbours with the
same score taken together, everything else sums over stretches of that order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RANKING_METRICS = ("pairwise_accuracy", "ndcg", "ndcg_at_10")

_CUTOFF = 10


def pairwise_accuracy(human: ArrayLike, judge: ArrayLike) -> float:
    """Share of document pairs with different human grades that the judge orders as people do.

    Args:
        human: People's grades of one query's documents, shape (documents,).
        judge: Grades or scores of the judge for the same documents, higher is better.

    Returns:
        0 to 1, a tie of the judge counts one half; nan when people gave one grade only.
    """
    truth, score = np.asarray(human), np.asarray(judge, dtype=np.float64)
    return float(_pairwise_accuracy(truth, _Order.of(score, _one_query(score), 1))[0])


def ndcg(human: ArrayLike, judge: ArrayLike, cutoff: int | None = None) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002).

    The gain is 2^grade - 1 (Burges et al., 2005), the discount 1 / log2(rank + 1). Documents
    that the judge ties share the mean of what they would gain over all orders among
    themselves (McSherry and Najork, 2008), so the order of the input decides nothing.

    Args:
        human: People's grades of one query's documents, shape (documents,); below 0 counts as 0.
        judge: Grades or scores of the judge for the same documents, higher is better.
        cutoff: Ranks after this one gain nothing; all ranks when None.

    Returns:
        0 to 1; nan when no document gains anything.
    """
    truth, score = np.asarray(human), np.asarray(judge, dtype=np.float64)
    order = _Order.of(score, _one_query(score), 1)
    return float(_ndcg(order, *_gains(truth, order), cutoff)[0])


def per_query(
    metric: str, human: ArrayLike, judge: ArrayLike, query: ArrayLike, queries: int, relevant: int
) -> Floats:
    """One value of a ranking metric for each query; see `all_per_query`."""
    return all_per_query(human, judge, query, queries, relevant, (metric,))[metric]


def all_per_query(
    human: ArrayLike,
    judge: ArrayLike,
    query: ArrayLike,
    queries: int,
    relevant: int,
    metrics: tuple[str, ...] = RANKING_METRICS,
) -> dict[str, Floats]:
    """One value of each ranking metric for each query.

    Args:
        human: People's grades, shape (pairs,).
        judge: Grades or scores of the judge, shape (pairs,).
        query: Number of the pair's query, shape (pairs,).
        queries: How many queries there are.
        relevant: Grade from which a document counts as relevant.
        metrics: Some of `RANKING_METRICS`.

    Returns:
        Values by metric, shape (queries,); nan for a query that has no document pair with
        different grades (pairwise accuracy) or no relevant document (nDCG).
    """
    truth, score = np.asarray(human), np.asarray(judge, dtype=np.float64)
    order = _Order.of(score, np.asarray(query, dtype=np.int64), queries)
    found = {}
    if "pairwise_accuracy" in metrics:
        found["pairwise_accuracy"] = _pairwise_accuracy(truth, order)
    cutoffs = {"ndcg": None, "ndcg_at_10": _CUTOFF}
    wanted = [name for name in cutoffs if name in metrics]
    if wanted:
        gain, ideal = _gains(truth, order)
        some = np.bincount(order.query[(truth >= relevant)[order.rows]], minlength=queries) > 0
        for name in wanted:
            found[name] = np.where(some, _ndcg(order, gain, ideal, cutoffs[name]), np.nan)
    return found


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
    def of(cls, score: Floats, query: Ints, queries: int) -> _Order:
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


def _gains(truth: NDArray[np.generic], order: _Order) -> tuple[Floats, Floats]:
    """Gain by place in the order of the judge and in the ideal one, each of shape (pairs,)."""
    gain = np.exp2(np.maximum(truth.astype(np.float64), 0.0))[order.rows] - 1.0
    return gain, gain[np.lexsort((-gain, order.query))]


def _ndcg(order: _Order, gain: Floats, ideal: Floats, cutoff: int | None) -> Floats:
    """Shape (queries,)."""
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


def _one_query(score: Floats) -> Ints:
    return np.zeros(score.size, dtype=np.int64)
