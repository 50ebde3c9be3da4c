"""From a finished labeler and the pairs that made it to its training profile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.observing import PairReader, Tally, by_group, tally_grades
from relevance_distillery.labeler.profile import (
    PEOPLE,
    HeldOut,
    TrainingProfile,
    pack_digests,
    query_digests,
)
from relevance_distillery.labeler.vocabulary import Vocabulary
from relevance_distillery.learning.labelled_pairs import LabelledPairs

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_LENGTHS = 20_000
_MOST_HELD_OUT_QUERIES = 1000


def make_profile(
    labeler: Labeler,
    learned: LabelledPairs,
    held_out: LabelledPairs,
    graded: pd.DataFrame,
    used_queries: Sequence[str],
    taught_by: Sequence[str],
    seed: int,
) -> TrainingProfile:
    """Profile a labeler.

    Args:
        labeler: Calibrated.
        learned: The pairs that it learned from.
        held_out: Pairs of early stopping and calibration.
        graded: The labeler's columns grade, expected_grade, confidence on `held_out`.
        used_queries: Texts of all queries whose labels were used.
        taught_by: Names of the judges of the labels.
        seed: Draws held-out queries where there are more than a thousand.

    Returns:
        The profile; the same for the same labeler and data.
    """
    template, scale = labeler.facts.template, labeler.scale
    queries, passages = template.render(learned.pairs)
    queries, passages = list(dict.fromkeys(queries)), list(dict.fromkeys(passages))
    vocabulary = Vocabulary.of([*queries, *passages])
    reader = pair_reader(labeler, vocabulary)
    correct = scale.positions(graded["grade"].to_numpy()) == held_out.positions
    shares = np.bincount(learned.positions, minlength=scale.size) / max(len(learned), 1)
    return TrainingProfile(
        key=vocabulary.key.hex(),
        taught_by=tuple(sorted(set(taught_by))),
        people=any(name.partition(":")[2] in PEOPLE or name in PEOPLE for name in taught_by),
        pairs=len(learned),
        queries=int(learned.pairs["query_id"].nunique()),
        taught_grades={
            str(grade.value): round(float(share), 6)
            for grade, share in zip(scale.grades, shares, strict=True)
        },
        lengths={
            "query_tokens": _quantiles(reader, queries),
            "text_tokens": _quantiles(reader, passages),
        },
        vocabulary=vocabulary.as_text(),
        query_digests=pack_digests(query_digests(used_queries, vocabulary.key)),
        held_out=HeldOut(
            pairs=len(held_out),
            queries=int(held_out.pairs["query_id"].nunique()),
            accuracy=round(float(correct.mean()), 6),
            confidence=round(float(graded["confidence"].mean()), 6),
            tallies=_by_query(reader, labeler, held_out, graded, seed),
        ),
    )


def pair_reader(labeler: Labeler, vocabulary: Vocabulary) -> PairReader:
    """Reads pairs as the labeler does."""
    return PairReader(
        labeler.facts.template, labeler.tokenizer, labeler.model.reads_together, vocabulary
    )


def _by_query(
    reader: PairReader, labeler: Labeler, pairs: LabelledPairs, graded: pd.DataFrame, seed: int
) -> dict[str, list[list[int | float]]]:
    names = np.unique(pairs.queries.astype(str))
    kept = np.random.default_rng(seed).permutation(len(names))[:_MOST_HELD_OUT_QUERIES]
    chosen = np.flatnonzero(np.isin(pairs.queries.astype(str), names[kept]))
    tally: Tally = {
        **tally_grades(graded.iloc[chosen], labeler.scale),
        **reader.tally(pairs.pairs.iloc[chosen]),
    }
    rows = by_group(tally, pairs.queries[chosen].astype(str).tolist())
    return {name: _plain(values) for name, values in rows.items()}


def _plain(values: np.ndarray) -> list[list[int | float]]:
    """Lists of numbers, rounded; whole ones as integers, which halves the file."""
    rounded = np.round(values, 4)
    whole = bool((rounded == np.floor(rounded)).all())
    listed: list[list[int | float]] = (rounded.astype(np.int64) if whole else rounded).tolist()
    return listed


def _quantiles(reader: PairReader, texts: Sequence[str]) -> tuple[int, ...]:
    lengths = reader.lengths(texts[:_MOST_LENGTHS])
    if not len(lengths):
        return ()
    return tuple(int(value) for value in np.quantile(lengths, _QUANTILES, method="lower"))
