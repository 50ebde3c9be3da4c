"""Candidates out of long rankings: a few from the head, the middle and the tail.

A labeler that saw only the head of a ranking never learns what is irrelevant, and one that
saw random passages only never learns what is nearly relevant, so both are graded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from relevance_distillery.channels.random_channel import UNRANKED, query_rng

SEED_CHANNEL = "seed"
CANDIDATE_COLUMNS = ["query_id", "passage_id", "channel", "rank", "score", "is_seed"]


class Band(NamedTuple):
    """Ranks `first` to `last`, both included, of which `take` are drawn."""

    first: int
    last: int
    take: int


def sample_bands(run: pd.DataFrame, bands: Sequence[Band], seed: int) -> pd.DataFrame:
    """Draw from every rank band of every query.

    Args:
        run: Columns query_id, passage_id, rank, score, as a channel's `search` returns it.
        bands: Rank bands, not overlapping.
        seed: Draws of a query depend on it and on the query's id alone.

    Returns:
        Rows of `run`, by query in its order, then by rank.
    """
    kept: list[int] = []
    for query_id, rows in run.groupby("query_id", sort=False):
        rng = query_rng(seed, str(query_id), "bands")
        ranks = rows["rank"].to_numpy()
        for band in bands:
            inside = np.flatnonzero((ranks >= band.first) & (ranks <= band.last))
            take = min(band.take, inside.size)
            chosen = np.sort(rng.choice(inside, size=take, replace=False)) if take else inside[:0]
            kept.extend(rows.index[chosen])
    return run.loc[kept].reset_index(drop=True)


def seed_rows(queries: pd.DataFrame, run: pd.DataFrame | None, channel: str) -> pd.DataFrame:
    """The seed of every query that has one, with its rank where the run found it.

    Args:
        queries: Columns query_id, passage_id (the seed, or empty).
        run: Complete ranking of `channel`, or None.
        channel: The channel of `run`.

    Returns:
        Candidates; the channel is `seed` and the rank 0 for a seed that was not found.
    """
    seeds = queries.loc[queries["passage_id"] != "", ["query_id", "passage_id"]]
    if run is None:
        found = seeds.assign(rank=np.nan, score=np.nan)
    else:
        found = seeds.merge(run, on=["query_id", "passage_id"], how="left")
    missing = found["rank"].isna()
    return pd.DataFrame(
        {
            "query_id": found["query_id"],
            "passage_id": found["passage_id"],
            "channel": np.where(missing, SEED_CHANNEL, channel),
            "rank": found["rank"].fillna(UNRANKED).astype("int64"),
            "score": found["score"].fillna(0.0).astype("float64"),
            "is_seed": True,
        }
    )
