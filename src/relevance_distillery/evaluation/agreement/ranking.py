"""How well a judge's grades or scores order the documents of one query as people would."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def pairwise_accuracy(human: ArrayLike, judge: ArrayLike) -> float:
    """Share of document pairs with different human grades that the judge orders as people do.

    Args:
        human: People's grades of one query's documents, shape (documents,).
        judge: Grades or scores of the judge for the same documents, higher is better.

    Returns:
        0 to 1, a tie of the judge counts one half; nan when people gave one grade only.
    """
    truth, score = np.asarray(human), np.asarray(judge, dtype=np.float64)
    grades = np.unique(truth)
    right, total = 0.0, 0
    for place, grade in enumerate(grades[1:], start=1):
        upper = score[truth == grade]
        for other in grades[:place]:
            lower = np.sort(score[truth == other])
            below = np.searchsorted(lower, upper, side="left")
            not_above = np.searchsorted(lower, upper, side="right")
            right += float((below + not_above).sum()) / 2.0
            total += upper.size * lower.size
    return right / total if total else float("nan")


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
    gain = np.exp2(np.maximum(np.asarray(human, dtype=np.float64), 0.0)) - 1.0
    discount = 1.0 / np.log2(np.arange(2, gain.size + 2, dtype=np.float64))
    if cutoff is not None:
        discount[cutoff:] = 0.0
    ideal = float((np.sort(gain)[::-1] * discount).sum())
    if ideal <= 0.0:
        return float("nan")
    _, group, size = np.unique(
        -np.asarray(judge, dtype=np.float64), return_inverse=True, return_counts=True
    )
    ends = np.cumsum(size)
    reach = np.concatenate([[0.0], np.cumsum(discount)])
    shared = reach[ends] - reach[ends - size]
    mean_gain = np.bincount(group, weights=gain, minlength=size.size) / size
    return float((mean_gain * shared).sum()) / ideal


def per_query(
    metric: str, human: ArrayLike, judge: ArrayLike, query: ArrayLike, queries: int, relevant: int
) -> Floats:
    """One value of a ranking metric for each query.

    Args:
        metric: `pairwise_accuracy`, `ndcg` or `ndcg_at_10`.
        human: People's grades, shape (pairs,).
        judge: Grades or scores of the judge, shape (pairs,).
        query: Number of the pair's query, shape (pairs,).
        queries: How many queries there are.
        relevant: Grade from which a document counts as relevant.

    Returns:
        Values, shape (queries,); nan for a query that has no document pair with different
        grades (pairwise accuracy) or no relevant document (nDCG).
    """
    truth, score = np.asarray(human), np.asarray(judge, dtype=np.float64)
    number = np.asarray(query, dtype=np.int64)
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(queries + 1))
    values = np.full(queries, np.nan)
    for place in range(queries):
        rows = order[bounds[place] : bounds[place + 1]]
        if rows.size == 0:
            continue
        if metric == "pairwise_accuracy":
            values[place] = pairwise_accuracy(truth[rows], score[rows])
        elif (truth[rows] >= relevant).any():
            cutoff = 10 if metric == "ndcg_at_10" else None
            values[place] = ndcg(truth[rows], score[rows], cutoff)
    return values
