"""A second look at the queries of a file: which passages resemble a query's best ones?

Pseudo-relevance feedback with dense vectors (Rocchio, 1971; Yu et al., ANCE-PRF, 2021): a passage
is compared with the others of its query, which count the more the better they score. Where a query
has few passages the best of them need not be good, and the comparison misleads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from relevance_distillery.learning.labelled_pairs import LabelledPairs

# Both were chosen on judges' grades of TREC DL 2019, 2020 and 2023, each with a labeler that had
# learned the others: 20 random passages a query gained as much as 100, 10 gained less, 5 lost;
# weights from 8 to 12 gained alike, and more than one fitted to the 40 queries held out.
FEWEST_PASSAGES = 20
"""Different passages of a query from which it is looked at again."""
WEIGHT = 10.0
"""Of the similarity to the query's other passages, a cosine, beside the score's log-odds."""
FEWEST_QUERIES = 10
"""Held-out queries with so many passages that calibrate it."""
_MOST_PASSAGES = 50
_BLOCK = 4096
_SMALLEST = 1e-6

Array = NDArray[np.float64]
Seen = NDArray[np.void]
"""What the first pass keeps of pairs, shape (pairs,): fields of `seen_as`."""


def seen_as(width: int) -> np.dtype[np.void]:
    """Hashes of query and passage as they were read, the score, and the passage's vector.

    The vector has length 1; a query of 0 is a pair that got no grade.
    """
    ids, vector = [("query", "u8"), ("passage", "u8")], ("vector", "f2", (width,))
    return np.dtype([*ids, ("score", "f8"), vector])


def seen(
    queries: Sequence[str], passages: Sequence[str], scores: Array, vectors: NDArray[np.float16]
) -> Seen:
    """Rendered queries and passages, scores, shape (pairs,), and vectors, as `Seen`."""
    found = np.zeros(len(scores), seen_as(vectors.shape[1]))
    for name, texts in (("query", queries), ("passage", passages)):
        found[name] = pd.util.hash_array(np.array(texts, dtype=object))
    found["score"], found["vector"] = scores, vectors
    return found


def second_scores(pairs: Seen, slope: float, weight: float = WEIGHT) -> Array:
    """Log-odds of the first pass and so much of the similarity to the query's other passages.

    Shape (pairs,), NaN where the query has too few passages; `slope` makes log-odds of scores. They
    depend neither on the order of the pairs nor on copies of them.
    """
    found = np.full(len(pairs), np.nan)
    odds = slope * pairs["score"]
    for rows, back in _queries(pairs["query"], pairs["passage"]):
        first = rows[np.unique(back, return_index=True)[1]]
        alike = similarity_to_others(odds[first], pairs["vector"], first)
        found[rows] = (odds[first] + weight * alike)[back]
    return found


def _queries(queries: NDArray[np.uint64], passages: NDArray[np.uint64]) -> Iterator[Any]:
    """Rows of each query with enough different passages, and the passage of each, from 0."""
    order = np.argsort(queries, kind="stable")
    changes = np.flatnonzero(np.diff(queries[order])) + 1
    starts, ends = np.append(0, changes), np.append(changes, len(order))
    for place in np.flatnonzero(ends - starts >= FEWEST_PASSAGES):
        rows = order[starts[place] : ends[place]]
        names, passage = np.unique(passages[rows], return_inverse=True)
        if len(names) >= FEWEST_PASSAGES and queries[rows[0]]:
            yield rows, passage


def similarity_to_others(odds: Array, vectors: Any, rows: NDArray[np.int64]) -> Array:
    """Mean cosine of each passage with the others of its query, weighed by exp(odds).

    Odds are log-odds, shape (passages,); `rows` are those of the passages in vectors, of length 1,
    which are read in blocks, since a file may have one query only.
    """
    weights = np.exp(odds - odds.max())
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(odds), _BLOCK)]
    center = sum(weights[some] @ vectors[rows[some]].astype(np.float64) for some in blocks)
    found = np.empty(len(odds))
    for some in blocks:
        own = vectors[rows[some]].astype(np.float64)
        alike = own @ center - weights[some] * (own**2).sum(axis=1)
        found[some] = alike / np.maximum(weights.sum() - weights[some], _SMALLEST)
    return found


def of_long_queries(pairs: LabelledPairs, size: int, seed: int) -> LabelledPairs:
    """At most `size` pairs of queries with enough passages, which are drawn as a whole.

    Of a query there are at most 50, so that there are several queries.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"query": pairs.queries, "chance": rng.random(len(pairs))})
    of_query = frame.groupby("query")["chance"]
    place = of_query.rank()
    frame["turn"] = of_query.transform("min")
    kept = (of_query.transform("size") >= FEWEST_PASSAGES) & (place <= _MOST_PASSAGES)
    order = frame[kept].sort_values(["turn", "query", "chance"], kind="stable").index
    return pairs.first_of_sets(order.to_numpy(dtype=np.int64), size)
