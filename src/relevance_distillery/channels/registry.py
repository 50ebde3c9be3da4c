"""Retrieval channels by name: what `mining.channels` chooses from.

A new channel is a file in this package and an entry in `CHANNELS` and `ChannelName`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from relevance_distillery.channels.dense import DenseSettings, dense_run
from relevance_distillery.channels.expansion import Dictionary
from relevance_distillery.channels.overlap import channel_overlap
from relevance_distillery.errors import UserError
from relevance_distillery.executors.execution import Executor, in_order
from relevance_distillery.io.digests import digest_number

if TYPE_CHECKING:
    from relevance_distillery.channels.bm25 import BM25Channel

logger = logging.getLogger(__name__)

UNRANKED = 0
"""Rank of a passage that was not found by ranking."""

_QUERIES = 1024
"""Of one block: some seconds of a core in a corpus of a million passages."""

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
        dictionary: What the expansion channel adds to queries.
        runs: Of the user's engines, each a channel of its own: columns system, query_id,
            document_id (or a passage's id), rank.
        executor: Runs the searches, a block of queries at a time.
    """

    passages: pd.DataFrame
    index: BM25Channel
    recorded: pd.DataFrame
    depth: int
    random_passages: int
    seed: int
    dense: DenseSettings = field(default_factory=DenseSettings)
    dictionary: Dictionary = field(default_factory=Dictionary)
    runs: pd.DataFrame | None = None
    executor: Executor = map


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
    run = _search(queries, sources, [()] * len(queries))
    return run, {"queries_without_bm25_hit": _missed(run, queries)}


def _search(
    queries: pd.DataFrame, sources: ChannelSources, added: Sequence[Sequence[str]]
) -> pd.DataFrame:
    """BM25 for blocks of queries, with the terms that are added to each."""
    search = partial(_search_block, sources.index, sources.depth, sources.dictionary.weight)
    starts = range(0, max(len(queries), 1), _QUERIES)
    blocks = ((queries[at : at + _QUERIES], added[at : at + _QUERIES]) for at in starts)
    return pd.concat(in_order(sources.executor, search, blocks), ignore_index=True)


def _search_block(
    index: BM25Channel,
    depth: int,
    weight: float,
    block: tuple[pd.DataFrame, Sequence[Sequence[str]]],
) -> pd.DataFrame:
    queries, added = block
    return index.search(queries, depth, added, weight)


def _missed(run: pd.DataFrame, queries: pd.DataFrame) -> int:
    return int((~queries["query_id"].isin(run["query_id"].unique())).sum())


def _dense(queries: pd.DataFrame, sources: ChannelSources) -> tuple[pd.DataFrame, dict[str, Any]]:
    encode, passages = sources.dense.encoder(), sources.passages
    return dense_run(queries, passages, encode, sources.depth, sources.executor), {}


def _expansion(
    queries: pd.DataFrame, sources: ChannelSources
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """BM25 with the terms that the dictionary adds, at its weight."""
    added = [sources.dictionary.terms(str(text)) for text in queries["text"]]
    run = _search(queries, sources, added)
    counts = {
        "queries_expanded": sum(map(bool, added)),
        "queries_without_expansion_hit": _missed(run, queries),
    }
    return run, counts


def _engine(
    name: str, run: pd.DataFrame, queries: pd.DataFrame, sources: ChannelSources
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The passages of an engine's documents, each with its document's rank; counts what is unknown.

    UserError where all is unknown.
    """
    found, stray = _passages_of(run, sources.passages)
    strange = ~run["query_id"].isin(queries["query_id"])
    counts = {}
    for what, ids in (
        ("queries", run.loc[strange, "query_id"]),
        ("documents", run.loc[stray, "document_id"]),
    ):
        unknown = sorted(ids.unique())
        counts[f"{name}_unknown_{what}"] = len(unknown)
        if unknown:
            said = f"{name}: {len(unknown)} unknown {what} (such as {', '.join(unknown[:5])})"
            if len(ids) == len(run):
                raise UserError(f"{said} and no known: give runs of these queries and documents")
            logger.warning("%s left out", said)
    found = found[found["rank"] <= sources.depth].sort_values("rank", kind="stable")
    found = queries[["query_id"]].merge(found.drop_duplicates(["query_id", "passage_id"]))
    counts[f"queries_without_{name}_hit"] = _missed(found, queries)
    return found.assign(score=-found["rank"].astype("float64")), counts


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
    known, unknown = _passages_of(pairs, passages)
    run = queries[["query_id"]].merge(known, on="query_id")[["query_id", "passage_id"]]
    counts = {
        "recorded_unknown_documents": int(unknown.sum()),
        "recorded_unknown_queries": int((~pairs["query_id"].isin(queries["query_id"])).sum()),
    }
    return run.assign(rank=UNRANKED, score=0.0), counts


def _passages_of(rows: pd.DataFrame, passages: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Rows (document_id) once for each passage that they name, and which name none."""
    # As objects: `isin` of Arrow strings makes a Python object of every value, slowly.
    named = rows["document_id"].astype(object)
    whole = named.isin(passages["document_id"])
    single = ~whole & named.isin(passages["passage_id"])
    documents = rows[whole].merge(
        passages[["passage_id", "document_id"]], on="document_id", how="left"
    )
    alone = rows[single].assign(passage_id=rows.loc[single, "document_id"])
    return pd.concat([documents, alone], ignore_index=True), ~whole & ~single


ChannelName = Literal["bm25", "dense", "expansion", "random", "recorded"]

CHANNELS: dict[ChannelName, Search] = {
    "bm25": _bm25,
    "dense": _dense,
    "expansion": _expansion,
    "recorded": _recorded,
    "random": _random,
}
"""In the order in which candidates of a query are listed."""


def search_channels(
    queries: pd.DataFrame, sources: ChannelSources, channels: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask some of `CHANNELS` for every query, and all runs of the sources.

    Returns:
        Runs (schema `Runs`, channel by channel in the order of `CHANNELS`, then `run_NAME` for
        each engine) and the counts of all channels; with several rankings their `overlap`.

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
    asked: dict[str, Search] = {name: CHANNELS[name] for name in CHANNELS if name in channels}
    if sources.runs is not None:
        for system, rows in sources.runs.groupby("system", sort=False):
            asked[f"run_{system}"] = partial(_engine, f"run_{system}", rows)
    runs: list[pd.DataFrame] = []
    counts: dict[str, Any] = {}
    for name, search in asked.items():
        run, found = search(queries, sources)
        runs.append(run.assign(channel=name))
        counts |= found
        if run.empty:
            logger.warning("the channel %s found nothing for any of %d queries", name, len(queries))
    every = pd.concat(runs, ignore_index=True)[RUN_COLUMNS]
    depth = min(sources.depth, len(sources.passages))
    if overlap := channel_overlap(every[every["rank"] != UNRANKED], depth):
        counts["overlap"] = overlap
    return every, counts
