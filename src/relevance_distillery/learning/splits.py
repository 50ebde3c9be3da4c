"""Splits and folds by seed document and query, never by pair."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.errors import UserError

SPLITS = ("train", "early_stopping", "calibration", "test")
_FEWEST_QUERIES = 10


def normalised(text: str) -> str:
    """Text as compared for equality: NFKC, case folded, white space as single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def query_groups(queries: pd.DataFrame, passages: pd.DataFrame) -> dict[str, str]:
    """Which queries belong together: those of one seed document, or of one wording.

    Args:
        queries: Columns query_id, text, passage_id (the seed, empty for a real query).
        passages: Columns passage_id, document_id.

    Returns:
        For each query id the id of its group, which is its first query's.
    """
    document_of = dict(zip(passages["passage_id"], passages["document_id"], strict=True))
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    owner: dict[tuple[str, str], str] = {}
    for query, text, seed in zip(
        queries["query_id"], queries["text"], queries["passage_id"].fillna(""), strict=True
    ):
        parent[query] = query
        keys = [("text", normalised(text))]
        if seed:
            keys.append(("document", document_of.get(seed, seed)))
        for key in keys:
            if key in owner:
                parent[root(query)] = root(owner[key])
            else:
                owner[key] = query
    return {query: root(query) for query in parent}


def deal_groups(groups: Sequence[str], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Deal rows into parts, such as splits or folds; rows of one group stay together.

    Groups are dealt in random order, each to the part that is furthest below its share of
    rows, so that small data fill every part too.

    Args:
        groups: The group of each row.
        shares: Share of each part; they need not sum to 1.
        seed: Decides which group goes where.

    Returns:
        Number of each row's part, shape (rows,).
    """
    names, group, sizes = np.unique(
        np.asarray(groups, dtype=str), return_inverse=True, return_counts=True
    )
    wanted = np.array(shares) / sum(shares) * len(group)
    filled, part = np.zeros(len(wanted)), np.zeros(len(names), dtype=np.int64)
    for place in np.random.default_rng(seed).permutation(len(names)):
        # Relative to its share, so that a small part is not starved by a large one.
        fullness = np.where(wanted > 0, filled / np.maximum(wanted, 1e-9), np.inf)
        part[place] = np.argmin(fullness)
        filled[part[place]] += sizes[place]
    return part[group]


def split_pairs(
    pairs: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    shares: Mapping[str, float],
    seed: int,
) -> pd.DataFrame:
    """Give every pair a split; whole groups of queries stay together.

    Args:
        pairs: Columns query_id, passage_id.
        queries: Columns query_id, text, passage_id.
        passages: Columns passage_id, document_id.
        shares: Share of each of `SPLITS`.
        seed: Decides which group goes where.

    Returns:
        Columns query_id, passage_id, split, group; the rows of `pairs`, in order.

    Raises:
        UserError: Fewer than ten queries.
    """
    group = pairs["query_id"].map(query_groups(queries, passages)).astype(str)
    if pairs["query_id"].nunique() < _FEWEST_QUERIES:
        raise UserError(
            f"labels: {pairs['query_id'].nunique()} queries with labels are left, at least "
            f"{_FEWEST_QUERIES} are needed; mine and label more queries, or look at "
            "exclusions.json for what was kept out"
        )
    part = deal_groups(group.tolist(), [shares[name] for name in SPLITS], seed)
    return pd.DataFrame(
        {
            "query_id": pairs["query_id"].astype(str),
            "passage_id": pairs["passage_id"].astype(str),
            "split": np.array(SPLITS)[part],
            "group": group,
        }
    ).reset_index(drop=True)
