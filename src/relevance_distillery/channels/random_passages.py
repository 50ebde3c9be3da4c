"""Passages drawn at random: what no retriever would have found, and plain negatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from relevance_distillery.io.digests import digest_number

UNRANKED = 0
"""Rank of a passage that was not found by ranking."""


def query_rng(seed: int, query_id: str, purpose: str) -> np.random.Generator:
    """Draws of one query, the same whatever other queries there are.

    So a new document or query changes no draw of the others, and their labels in the
    ledger are found again.
    """
    return np.random.default_rng([seed, digest_number(f"{purpose}\n{query_id}")])


def random_passages(
    queries: pd.DataFrame, passage_ids: Sequence[str], count: int, seed: int
) -> pd.DataFrame:
    """`count` passages for every query, or all when there are fewer, without replacement.

    Args:
        queries: Column query_id.
        passage_ids: What is drawn from.
        count: Passages a query.
        seed: Draws of a query depend on it and on the query's id alone.

    Returns:
        Columns query_id, passage_id, rank (0: there is none), score (0).
    """
    size = min(count, len(passage_ids))
    rows = []
    for query_id in queries["query_id"]:
        rng = query_rng(seed, query_id, "random")
        drawn = rng.choice(len(passage_ids), size=size, replace=False)
        rows += [(query_id, passage_ids[at], UNRANKED, 0.0) for at in drawn]
    return pd.DataFrame(rows, columns=["query_id", "passage_id", "rank", "score"])
