"""Dense retrieval: passages by the cosine of their vector and the query's, compared with all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from pydantic import Field

from relevance_distillery.executors.execution import Executor, in_order
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.terms import passage_text

FIELDS = ("title", "heading", "text")
"""What a passage's vector is made of, in this order."""

_TEXTS = 4096  # encoded at once, and queries searched at once
_ROWS, _QUERIES = 16_384, 256  # of one product: 16 MB of scores
_SAME = 1e-6
"""Scores closer than this are ties: the last digits change with the size of a product."""

Encode = Callable[[Sequence[str]], np.ndarray]
"""Vectors of texts: float32, shape (texts, width), rows of length 1."""


class DenseSettings(StrictModel):
    """The encoder of the dense channel."""

    model: str = "bundled"
    """`bundled`, an id of the Hugging Face hub, or a folder, such as a trained retriever."""
    max_length: int = Field(256, ge=8)
    """Tokens of a passage that are read; fewer is faster where passages begin with what matters."""

    def encoder(self) -> Encode:
        """Load it; UserError where there is no such model."""
        # Loads torch, which takes seconds.
        from relevance_distillery.encoders.sentence_encoder import sentence_encoder

        return sentence_encoder(self.model, self.max_length).encode


def dense_run(
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    encode: Encode,
    k: int,
    executor: Executor = map,
) -> pd.DataFrame:
    """The `k` passages (fewer where there are fewer) nearest to every query (query_id, text).

    Returns:
        Columns query_id, passage_id, rank (from 1), score (cosine), queries in the order given.
    """
    texts = (
        passage_text(passages.iloc[start : start + _TEXTS], FIELDS)
        for start in range(0, len(passages), _TEXTS)
    )
    blocks = in_order(executor, encode, texts)
    asked = encode(queries["text"].astype(str).tolist())
    vectors = np.concatenate([asked[:0], *blocks])
    parts = (asked[start : start + _TEXTS] for start in range(0, max(len(asked), 1), _TEXTS))
    found = in_order(executor, partial(exact_top, vectors, k=k), parts)
    rows, scores = (np.concatenate(column) for column in zip(*found, strict=True))
    return run_table(queries, pd.Index(passages["passage_id"]), rows, scores)


def run_table(
    queries: pd.DataFrame, passage_ids: pd.Index, rows: np.ndarray, scores: np.ndarray
) -> pd.DataFrame:
    """What `exact_top` found as a run: query_id, passage_id, rank (from 1), score."""
    return pd.DataFrame(
        {
            "query_id": queries["query_id"].astype("str").array.repeat(rows.shape[1]),
            "passage_id": passage_ids.array.take(rows.ravel()),
            "rank": np.tile(np.arange(1, rows.shape[1] + 1), len(queries)),
            "score": scores.ravel().astype(np.float64),
        }
    )


def exact_top(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the `k` highest inner products of every query, by comparing it with all.

    Vectors (float32, shape (rows, width), as the queries') are read once, a block at a time, so
    that a memory-mapped file may be larger than the memory. Products that differ by less than a
    millionth are ties, in the order of rows.

    Returns:
        Rows, int64, and their products, float32, each of shape (queries, min(k, rows)), best first.
    """
    k = max(min(k, len(vectors)), 0)
    best = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
    for start in range(0, len(vectors) if k else 0, _ROWS):
        block = np.array(vectors[start : start + _ROWS]).T
        for first in range(0, len(queries), _QUERIES):
            for query, scores in enumerate(queries[first : first + _QUERIES] @ block, first):
                rows, found = best[query]
                least: np.floating | float = -np.inf
                if found.size == k:
                    least = found[-1]
                elif scores.size > k:
                    least = np.partition(scores, scores.size - k)[scores.size - k]
                inside = np.flatnonzero(scores >= least - _SAME)
                rows = np.concatenate([rows, inside + start])
                found = np.concatenate([found, np.round(scores[inside], 6)])
                order = np.argsort(-found, kind="stable")[:k]
                best[query] = rows[order], found[order]
    shape = len(queries), k
    return (
        np.array([rows for rows, _ in best], np.int64).reshape(shape),
        np.array([found for _, found in best], np.float32).reshape(shape),
    )
