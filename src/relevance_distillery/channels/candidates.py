"""Candidates from several channels, with what each contributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.random_channel import RandomChannel
from relevance_distillery.channels.recorded import RecordedChannel
from relevance_distillery.channels.sampling import (
    CANDIDATE_COLUMNS,
    Band,
    sample_bands,
    seed_rows,
)
from relevance_distillery.errors import UserError

CHANNELS = ("bm25", "random", "recorded")
"""The channels that `mining.channels` accepts."""


def gather(
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    index: BM25Channel,
    recorded: pd.DataFrame,
    *,
    channels: Sequence[str],
    depth: int,
    bands: Sequence[Band],
    random_passages: int,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find the pairs to grade; nothing is assumed irrelevant, every one is graded.

    Args:
        queries: Schema `Queries`; `passage_id` is the seed.
        passages: Schema `Passages`.
        index: BM25 over these passages.
        recorded: Grades given before, columns query_id, document_id.
        channels: Some of `CHANNELS`.
        depth: How many passages BM25 returns for a query.
        bands: Which ranks of them are drawn.
        random_passages: Passages drawn at random for every query.
        seed: Of all draws.

    Returns:
        Candidates (schema `Candidates`, by query, then in the order of `channels`) and
        counts: `queries`, `passages`, `pairs`, `candidates` by channel,
        `queries_without_candidates`, `queries_without_bm25_hit`, `seeds`, `seeds_found`
        (by BM25 within `depth`), `seeds_unknown` (not among the passages) and
        `recorded_unknown_documents`, `recorded_unknown_queries` (pairs left out).

    Raises:
        UserError: An unknown channel, no query, no passage, or no pair at all.
    """
    strangers = [name for name in channels if name not in CHANNELS]
    if strangers or not channels:
        raise UserError(
            f"mining.channels names {', '.join(strangers) or 'nothing'}: "
            f"use some of {', '.join(CHANNELS)}."
        )
    if queries.empty or passages.empty:
        what = "queries" if queries.empty else "passages"
        raise UserError(f"There are no {what} to mine: run `kedro run --pipeline=synthesize`.")
    if "recorded" in channels and recorded.empty:
        raise UserError(
            "mining.channels has `recorded`, and no grades were given: pass grades=FILE with "
            "judge=recorded, or train_set=DIR and judge=NAME with --env=recorded."
        )
    known = queries["passage_id"].isin(passages["passage_id"])
    seeded = queries.assign(passage_id=queries["passage_id"].where(known, ""))
    report: dict[str, Any] = {
        "queries": len(queries),
        "passages": len(passages),
        "seeds": int(known.sum()),
        "seeds_unknown": int((~known & (queries["passage_id"] != "")).sum()),
    }
    parts = []
    run = None
    if "bm25" in channels:
        run = index.search(queries, depth)
        drawn = sample_bands(run, bands, seed).assign(channel=index.name)
        parts.append(drawn)
        report["queries_without_bm25_hit"] = int((~queries["query_id"].isin(run["query_id"])).sum())
    seeds = seed_rows(seeded, run, index.name)
    if run is not None:
        report["seeds_found"] = int((seeds["channel"] == index.name).sum())
    parts.append(seeds)
    if "recorded" in channels:
        channel = RecordedChannel(recorded, passages)
        # Every recorded pair is wanted, however many a query has.
        parts.append(channel.search(queries, len(passages)).assign(channel=channel.name))
        report["recorded_unknown_documents"] = channel.unknown_documents
        report["recorded_unknown_queries"] = int(
            (~recorded["query_id"].isin(queries["query_id"])).sum()
        )
    if "random" in channels and random_passages:
        drawn = RandomChannel(passages["passage_id"].tolist(), seed).search(
            queries, random_passages
        )
        taken = pd.concat([part[["query_id", "passage_id"]] for part in parts])
        fresh = drawn.merge(taken.drop_duplicates(), how="left", indicator="seen")
        parts.append(drawn[(fresh["seen"] == "left_only").to_numpy()].assign(channel="random"))
    candidates = _in_order(pd.concat(parts, ignore_index=True), seeded)
    if candidates.empty:
        raise UserError(
            f"No candidate was found for {len(queries)} queries by {', '.join(channels)}: "
            "check that queries and documents belong together."
        )
    report["pairs"] = len(candidates[["query_id", "passage_id"]].drop_duplicates())
    report["queries_without_candidates"] = int(
        (~queries["query_id"].isin(candidates["query_id"])).sum()
    )
    counts = candidates["channel"].value_counts()
    report["candidates"] = {str(name): int(counts[name]) for name in sorted(counts.index)}
    return candidates, report


def _in_order(candidates: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """Once each (a drawn seed stands twice), marked as seeds, by query and channel."""
    seeds = set(zip(queries["query_id"], queries["passage_id"], strict=True))
    keys = zip(candidates["query_id"], candidates["passage_id"], strict=True)
    candidates = candidates.assign(is_seed=[key in seeds for key in keys])
    candidates = candidates.drop_duplicates(["query_id", "passage_id", "channel"])
    order = {query_id: at for at, query_id in enumerate(queries["query_id"])}
    rows = candidates["query_id"].map(order).sort_values(kind="stable").index
    return candidates.loc[rows, CANDIDATE_COLUMNS].reset_index(drop=True)
