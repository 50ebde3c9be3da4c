"""Retrieval channels by name: what `mining.channels` chooses from.

A new channel is a file in this package and an entry in `CHANNELS` and `ChannelName`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from relevance_distillery.channels.random_passages import random_passages
from relevance_distillery.channels.recorded import recorded_passages
from relevance_distillery.errors import UserError

if TYPE_CHECKING:
    from relevance_distillery.channels.bm25 import BM25Channel

RUN_COLUMNS = ["query_id", "passage_id", "channel", "rank", "score"]


@dataclass(frozen=True)
class ChannelSources:
    """What channels search, and how far down.

    Attributes:
        passages: Schema `Passages`.
        index: BM25 over these passages.
        recorded: Grades given before, columns query_id, document_id.
        depth: How many passages a channel that ranks returns for a query.
        random_passages: Passages drawn at random for every query.
        seed: Of the draws.
    """

    passages: pd.DataFrame
    index: BM25Channel
    recorded: pd.DataFrame
    depth: int
    random_passages: int
    seed: int


Search = Callable[[pd.DataFrame, ChannelSources], tuple[pd.DataFrame, dict[str, Any]]]
"""From queries (columns query_id, text) to a run and counts for the mining report.

A run has the columns query_id, passage_id, rank, score, by query in the order given. Rank 1 is
the best; a channel that does not rank gives rank 0 (`UNRANKED`) to all. A query that matches
nothing has no rows.
"""


def _bm25(queries: pd.DataFrame, sources: ChannelSources) -> tuple[pd.DataFrame, dict[str, Any]]:
    run = sources.index.search(queries, sources.depth)
    missed = ~queries["query_id"].isin(run["query_id"])
    return run, {"queries_without_bm25_hit": int(missed.sum())}


def _recorded(
    queries: pd.DataFrame, sources: ChannelSources
) -> tuple[pd.DataFrame, dict[str, Any]]:
    if sources.recorded.empty:
        raise UserError(
            "mining.channels has `recorded`, and no grades were given: pass grades=FILE with "
            "judge=recorded, or train_set=DIR and judge=NAME with --env=recorded."
        )
    return recorded_passages(queries, sources.recorded, sources.passages)


def _random(queries: pd.DataFrame, sources: ChannelSources) -> tuple[pd.DataFrame, dict[str, Any]]:
    passage_ids = sources.passages["passage_id"].tolist()
    return random_passages(queries, passage_ids, sources.random_passages, sources.seed), {}


ChannelName = Literal["bm25", "random", "recorded"]

CHANNELS: dict[ChannelName, Search] = {"bm25": _bm25, "recorded": _recorded, "random": _random}
"""In the order in which candidates of a query are listed."""


def search_channels(
    queries: pd.DataFrame, sources: ChannelSources, channels: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask every channel for every query.

    Args:
        queries: Schema `Queries`.
        sources: What channels search.
        channels: Some of `CHANNELS`.

    Returns:
        Runs (schema `Runs`, channel by channel in the order of `CHANNELS`) and the counts of
        all channels.

    Raises:
        UserError: An unknown channel, no query, no passage, or no recorded grades.
    """
    unknown = [name for name in channels if name not in CHANNELS]
    if unknown or not channels:
        raise UserError(
            f"mining.channels names {', '.join(unknown) or 'nothing'}: "
            f"use some of {', '.join(sorted(CHANNELS))}."
        )
    if queries.empty or sources.passages.empty:
        what = "queries" if queries.empty else "passages"
        raise UserError(f"There are no {what} to mine: run `kedro run --pipeline=synthesize`.")
    runs: list[pd.DataFrame] = []
    counts: dict[str, Any] = {}
    for name, search in CHANNELS.items():
        if name in channels:
            run, found = search(queries, sources)
            runs.append(run.assign(channel=name))
            counts |= found
    table = pd.concat(runs, ignore_index=True)[RUN_COLUMNS]
    return table.astype(
        {"query_id": "str", "passage_id": "str", "rank": "int64", "score": "float64"}
    ), counts
