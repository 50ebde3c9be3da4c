"""From grades and channels to the pairs that a retriever learns from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.channels.dense import FIELDS
from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.retriever.buckets import (
    BUCKETS,
    KEY,
    POSITIVES,
    UNGRADED,
    BucketSettings,
    bucket_of,
    choose_pairs,
    place_pairs,
)
from relevance_distillery.text.terms import analyzer, passage_text

logger = logging.getLogger(__name__)

ASSUMED, NOBODY = "assumed", "nobody"
_DRAWN = ("token_similar", "random")
_EXAMPLES = 5

Grade = Callable[[pd.DataFrame], pd.Series]
"""Grades of pairs as of `build_pairs`, missing where there is none."""


def fill_buckets(
    graded: pd.DataFrame,
    runs: pd.DataFrame,
    channels: Sequence[str],
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    scale: GradeScale,
    settings: BucketSettings,
    language: str,
    seed: int,
    grade: Grade | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Choose pairs by where the channels disagree, grade what has no grade, fill the buckets.

    Args:
        graded: Columns query_id, passage_id, grade, graded_by.
        runs: Schema `Runs`, of ranking channels.
        channels: Those that were asked.
        queries: Columns query_id, text; those to learn from.
        passages: Schema `Passages`.
        scale: The grades.
        settings: Depths and numbers.
        language: Of the stemmer.
        seed: Of the draws.
        grade: Grades what nobody did. With None drawn passages, which no channel returned, count
            as irrelevant; others teach nothing, and count as irrelevant in validation.

    Returns:
        The table retriever_pairs: query_id, passage_id, grade, graded_by (of `graded`, `labeler`,
        `assumed` or `nobody`), bucket (`ungraded` for the last), rank_CHANNEL of each channel. And
        by bucket pairs, queries, graded_by, examples (ids) and, for negatives, false_negative_rate:
        the relevant share of what somebody graded in its place (None where nothing was graded).

    Raises:
        UserError: No pair is left.
    """
    placed = place_pairs(runs, channels, graded, queries, passages, settings, language, seed)
    placed = placed[placed["query_id"].isin(queries["query_id"])]
    chosen = choose_pairs(placed, graded, settings, seed)
    chosen = chosen.merge(graded[[*KEY, "graded_by"]], on=KEY, how="left")
    ungraded = chosen["grade"].isna()
    if grade is not None and ungraded.any():
        asked = build_pairs(chosen.loc[ungraded, KEY].assign(is_seed=False), queries, passages)
        found = grade(asked)
        chosen.loc[ungraded, "grade"] = found.to_numpy()
        chosen.loc[ungraded & chosen["grade"].notna(), "graded_by"] = "labeler"
    known = chosen["grade"].notna()
    assumed = ~known & chosen["place"].isin(_DRAWN)
    chosen.loc[assumed, ["grade", "graded_by"]] = [float(scale.values.min()), ASSUMED]
    ungraded = ~known & ~assumed
    if ungraded.any():
        logger.info("%d pairs have no grade and teach nothing", ungraded.sum())
    chosen.loc[ungraded, ["grade", "graded_by"]] = [float(scale.values.min()), NOBODY]
    pairs = chosen.reset_index(drop=True)
    if not known.any():
        raise UserError("train_retriever: no query has a graded passage; run mine and label first")
    pairs["grade"] = pairs["grade"].astype("int64")
    bucket = bucket_of(pairs["place"].tolist(), pairs["grade"].to_numpy(), scale)
    pairs["bucket"] = np.where(pairs["graded_by"] == NOBODY, UNGRADED, bucket)
    facts = _facts(pairs, scale)
    for name in BUCKETS:
        if not facts[name]["pairs"]:
            logger.warning("bucket %s is empty", name)
    return pairs.drop(columns="place"), facts


def _facts(pairs: pd.DataFrame, scale: GradeScale) -> dict[str, Any]:
    """What each bucket holds.

    A place's false-negative rate is the relevant share of its pairs that somebody graded.
    """
    graded = pairs[~pairs["graded_by"].isin((ASSUMED, NOBODY))]
    relevant = graded["grade"] >= scale.relevant_from
    ends = {"hard_negative": "_single", "token_similar": "token_similar", "random": "random"}
    found: dict[str, Any] = {}
    for name in BUCKETS:
        rows = pairs[pairs["bucket"] == name]
        there = graded["place"].str.endswith(ends.get(name, "nowhere"))
        known = relevant[there].mean() if there.any() else None
        found[name] = {
            "pairs": len(rows),
            "queries": int(rows["query_id"].nunique()),
            "graded_by": {str(k): int(v) for k, v in rows["graded_by"].value_counts().items()},
            "false_negative_rate": None if known is None else round(float(known), 4),
            "examples": rows[[*KEY, "grade"]].head(_EXAMPLES).to_dict("records"),
        }
    return found


def training_texts(
    pairs: pd.DataFrame, queries: pd.DataFrame, passages: pd.DataFrame, scale: GradeScale
) -> pd.DataFrame:
    """The pairs as `train_recipes` reads them: with texts, gain (0 to 1) and relevant."""
    largest = float(2 ** (scale.size - 1) - 1)
    places = scale.positions(pairs["grade"].to_numpy())
    text = dict(zip(passages["passage_id"], passage_text(passages, FIELDS), strict=True))
    asked = dict(zip(queries["query_id"], queries["text"], strict=True))
    columns = [name for name in pairs.columns if str(name).startswith("rank_")]
    return pairs[[*KEY, "bucket", *columns]].assign(
        query=pairs["query_id"].map(asked),
        passage=pairs["passage_id"].map(text),
        gain=(2.0**places - 1.0) / largest,
        relevant=pairs["bucket"].isin(POSITIVES),
    )


def query_bands(queries: pd.DataFrame, passages: pd.DataFrame, language: str) -> dict[Any, str]:
    """`head`, `torso` or `tail` of each query: a third each, by how often it is asked.

    Where frequencies are not known, the rarest word's document frequency stands in for them: what
    is asked seldom holds words that are written seldom.
    """
    often = queries.get("frequency", pd.Series(1, index=queries.index)).astype(float)
    if often.nunique() < 2:
        words = analyzer(language).terms
        counts: dict[str, int] = {}
        for text in passage_text(passages, FIELDS):
            for term in set(words(text)):
                counts[term] = counts.get(term, 0) + 1
        rarest = [[counts.get(term, 0) for term in words(text)] for text in queries["text"]]
        often = pd.Series([min(found, default=0) for found in rarest], index=queries.index)
    order = np.argsort(-often.to_numpy(), kind="stable")
    names = np.empty(len(queries), dtype=object)
    for name, rows in zip(("head", "torso", "tail"), np.array_split(order, 3), strict=True):
        names[rows] = name
    return dict(zip(queries["query_id"], names, strict=True))
