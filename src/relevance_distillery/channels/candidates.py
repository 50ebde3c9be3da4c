"""Candidates out of long rankings: a few from the head, the middle and the tail.

A labeler that saw only the head of a ranking never learns what is irrelevant, and one that
saw random passages only never learns what is nearly relevant, so both are graded.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from relevance_distillery.channels.registry import RUN_COLUMNS, UNRANKED, query_rng
from relevance_distillery.errors import UserError
from relevance_distillery.strict import StrictModel

SEED_CHANNEL = "seed"
_PAIR = ["query_id", "passage_id"]


class Band(StrictModel):
    """A stretch of a ranking and how much of it is graded."""

    first: int = Field(ge=1)
    """First rank of the band, 1 for the best."""
    last: int = Field(ge=1)
    """Last rank of the band, included."""
    take: int = Field(ge=0)
    """Passages drawn from it for every query."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"band ends at rank {self.last} before it begins at {self.first}")
        return self


def choose_candidates(
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    runs: pd.DataFrame,
    counts: Mapping[str, Any],
    *,
    depth: int,
    bands: Sequence[Band],
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Choose the pairs to grade; nothing is assumed irrelevant, every one is graded.

    Of a channel that ranks, passages are drawn from bands of ranks, and the query's seed is
    added with its rank. Of one that does not, all are taken; random passages only where no
    other channel gave them.

    Args:
        queries: Schema `Queries`; `passage_id` is the seed.
        passages: Schema `Passages`.
        runs: Schema `Runs`.
        counts: Of `search_channels`, for the report.
        depth: How far down rankings are read.
        bands: Which ranks are drawn.
        seed: Of the draws.

    Returns:
        Candidates (schema `Candidates`, by query, then in the order of the runs) and
        counts: `queries`, `passages`, `pairs`, `candidates` by channel,
        `queries_without_candidates`, `seeds`, `seeds_found` (by a ranking within `depth`),
        `seeds_unknown` (not among the passages) and those of the channels.

    Raises:
        UserError: No pair at all.
    """
    known = queries["passage_id"].astype(object).isin(passages["passage_id"])
    seeded = queries.assign(passage_id=queries["passage_id"].where(known, ""))
    report: dict[str, Any] = {
        "queries": len(queries),
        "passages": len(passages),
        "seeds": int(known.sum()),
        "seeds_unknown": int((~known & (queries["passage_id"] != "")).sum()),
        **counts,
    }
    ranked = runs[runs["rank"].between(UNRANKED + 1, depth)]
    parts = [sample_bands(run, bands, seed) for _, run in ranked.groupby("channel", sort=False)]
    seeds = seed_rows(seeded, ranked)
    if len(ranked):
        report["seeds_found"] = int((seeds["channel"] != SEED_CHANNEL).sum())
    parts.append(seeds)
    for name, run in runs[runs["rank"] == UNRANKED].groupby("channel", sort=False):
        if name == "random":
            taken = pd.concat([part[_PAIR] for part in parts]).drop_duplicates()
            fresh = run.merge(taken, on=_PAIR, how="left", indicator="seen")["seen"] == "left_only"
            run = run[fresh.to_numpy()]
        parts.append(run)
    candidates = _in_order(pd.concat(parts, ignore_index=True), seeded)
    if candidates.empty:
        raise UserError(
            f"No candidate was found for {len(queries)} queries: "
            "check that queries and documents belong together."
        )
    report["pairs"] = len(candidates[_PAIR].drop_duplicates())
    found = queries["query_id"].isin(candidates["query_id"].unique())
    report["queries_without_candidates"] = int((~found).sum())
    by_channel = candidates["channel"].value_counts()
    report["candidates"] = {str(name): int(by_channel[name]) for name in sorted(by_channel.index)}
    return candidates, report


def sample_bands(run: pd.DataFrame, bands: Sequence[Band], seed: int) -> pd.DataFrame:
    """Draw from every rank band of every query of one channel's run.

    Returns:
        Rows of `run`, by query in its order, then by rank.
    """
    kept: list[Any] = [np.empty(0, dtype=np.int64)]
    every = run["rank"].to_numpy()
    for query_id, rows in run.groupby("query_id", sort=False).indices.items():
        rng = query_rng(seed, str(query_id), "bands")
        ranks = every[rows]
        for band in bands:
            inside = np.flatnonzero((ranks >= band.first) & (ranks <= band.last))
            take = min(band.take, inside.size)
            chosen = np.sort(rng.choice(inside, size=take, replace=False)) if take else inside[:0]
            kept.append(rows[chosen])
    return run.iloc[np.concatenate(kept)].reset_index(drop=True)


def seed_rows(queries: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """The seed of every query that has one, with its rank in the first channel that found it.

    Args:
        queries: Columns query_id, passage_id (the seed, or empty).
        ranked: Schema `Runs`: the rankings, complete.

    Returns:
        The columns of runs; the channel is `seed` and the rank 0 for a seed that was not found.
    """
    seeds = queries.loc[queries["passage_id"] != "", _PAIR]
    found = seeds.merge(ranked.drop_duplicates(_PAIR), on=_PAIR, how="left")
    found["channel"] = found["channel"].fillna(SEED_CHANNEL)
    return found.fillna({"rank": UNRANKED, "score": 0.0}).astype({"rank": "int64"})


def _in_order(candidates: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """Each row once (seeds may also have been drawn), seeds marked, by query and channel."""
    seeds = set(zip(queries["query_id"], queries["passage_id"], strict=True))
    keys = zip(candidates["query_id"], candidates["passage_id"], strict=True)
    candidates = candidates.assign(is_seed=[key in seeds for key in keys])
    candidates = candidates.drop_duplicates([*_PAIR, "channel"])
    order = {query_id: at for at, query_id in enumerate(queries["query_id"])}
    rows = candidates["query_id"].map(order).sort_values(kind="stable").index
    return candidates.loc[rows, [*RUN_COLUMNS, "is_seed"]].reset_index(drop=True)
