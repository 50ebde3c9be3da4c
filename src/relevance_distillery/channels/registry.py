"""Retrieval channels by name: what `mining.channels` chooses from.

A new channel is a file in this package and an entry in `CHANNELS` and `ChannelName`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from relevance_distillery.channels.dense import DenseSettings, dense_run
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import digest_number

if TYPE_CHECKING:
    from relevance_distillery.channels.bm25 import BM25Channel

logger = logging.getLogger(__name__)

UNRANKED = 0
"""Rank of a passage that was not found by ranking."""

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
        dense: The encoder, loaded where its channel is asked.
    """

    passages: pd.DataFrame
    index: BM25Channel
    recorded: pd.DataFrame
    depth: int
    random_passages: int
    seed: int
    dense: DenseSettings = field(default_factory=DenseSettings)


Search = Callable[[pd.DataFrame, ChannelSources], tuple[pd.DataFrame, dict[str, Any]]]
"""From queries (columns query_id, text) to a run and counts for the mining report.

A run has the columns query_id, passage_id, rank, score, by query in the order given. Rank 1 is
the best; a channel that does not rank gives rank 0 (`UNRANKED`) to all. A query that matches
nothing has no rows.
"""


def query_rng(seed: int, query_id: str, purpose: str) -> np.random.Generator:
    """Draws of one query, the same whatever other queries there are.

    So a new document or query changes no draw of the others, and their labels in the
    ledger are found again.
    """
    return np.random.default_rng([seed, digest_number(f"{purpose}\n{query_id}")])


def _bm25(queries: pd.DataFrame, sources: ChannelSources) -> tuple[pd.DataFrame, dict[str, Any]]:
    run = sources.index.search(queries, sources.depth)
    missed = ~queries["query_id"].isin(run["query_id"].unique())
    return run, {"queries_without_bm25_hit": int(missed.sum())}


def _dense(queries: pd.DataFrame, sources: ChannelSources) -> tuple[pd.DataFrame, dict[str, Any]]:
    return dense_run(queries, sources.passages, sources.dense.encoder(), sources.depth), {}


def _random(queries: pd.DataFrame, sources: ChannelSources) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Passages for every query, or all when there are fewer, without replacement."""
    passages = sources.passages["passage_id"]
    size = min(sources.random_passages, len(passages))
    if 0 < len(passages) <= sources.random_passages:
        logger.warning(
            "mining.random_passages=%d takes every passage for every query: %d pairs to grade",
            sources.random_passages,
            size * len(queries),
        )
    drawn = [
        query_rng(sources.seed, query_id, "random").choice(len(passages), size, replace=False)
        for query_id in queries["query_id"]
    ]
    run = passages.iloc[np.concatenate(drawn)].reset_index(drop=True).to_frame()
    run.insert(0, "query_id", queries["query_id"].repeat(size).to_numpy())
    return run.assign(rank=UNRANKED, score=0.0), {}


def _recorded(
    queries: pd.DataFrame, sources: ChannelSources
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All passages of the documents, or the single passages, that were graded for each query.

    In the order of the grades; counts how many graded pairs are left out, since neither such a
    document nor such a passage is there, or no such query.
    """
    grades, passages = sources.recorded, sources.passages
    if grades.empty:
        raise UserError(
            "mining.channels has `recorded`, and no grades were given: pass grades=FILE with "
            "judge=recorded, or train_set=DIR and judge=NAME with --env=recorded."
        )
    pairs = grades[["query_id", "document_id"]].drop_duplicates()
    # As objects: `isin` of Arrow strings makes a Python object of every value, slowly.
    graded = pairs["document_id"].astype(object)
    whole = graded.isin(passages["document_id"])
    single = ~whole & graded.isin(passages["passage_id"])
    documents = pairs[whole].merge(
        passages[["passage_id", "document_id"]], on="document_id", how="left"
    )
    alone = pairs[single].assign(passage_id=pairs.loc[single, "document_id"])
    known = pd.concat([documents, alone], ignore_index=True)
    run = queries[["query_id"]].merge(known, on="query_id")[["query_id", "passage_id"]]
    counts = {
        "recorded_unknown_documents": int((~whole & ~single).sum()),
        "recorded_unknown_queries": int((~grades["query_id"].isin(queries["query_id"])).sum()),
    }
    return run.assign(rank=UNRANKED, score=0.0), counts


ChannelName = Literal["bm25", "dense", "random", "recorded"]

CHANNELS: dict[ChannelName, Search] = {
    "bm25": _bm25,
    "dense": _dense,
    "recorded": _recorded,
    "random": _random,
}
"""In the order in which candidates of a query are listed."""


def search_channels(
    queries: pd.DataFrame, sources: ChannelSources, channels: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask some of `CHANNELS` for every query.

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
    return pd.concat(runs, ignore_index=True)[RUN_COLUMNS], counts
