"""The same figures on parts of the benchmark: where a labeler is good and where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement.metrics import METRICS, statistics
from relevance_distillery.evaluation.agreement.tables import GRADING_JUDGES, graded_by, pairs_of
from relevance_distillery.evaluation.statistics.bootstrap import interval
from relevance_distillery.evaluation.statistics.numbers import interval_json
from relevance_distillery.grading import GradeScale

SLICE_METRICS = ("quadratic_kappa", "accuracy", "bias", "pairwise_accuracy")
"""Metrics worth their place in a table that is read row by row."""

FEW_QUERIES = 10

_WORDS = ((1, 2, "1–2 words"), (3, 4, "3–4 words"), (5, 8, "5–8 words"), (9, None, "9 or more"))
_PASSAGES = ((1, 1, "1 passage"), (2, 4, "2–4 passages"), (5, None, "5 or more"))


def measure_slices(
    grades: pd.DataFrame,
    scale: GradeScale,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    fewest_pairs: int = 50,
) -> dict[str, list[dict[str, Any]]]:
    """Measure student, teacher and base on every slice.

    Args:
        grades: The benchmark_grades table; slices come from its columns style, query_words,
            passages and seen, whichever are there.
        scale: The grades.
        resamples: Resamples of queries for the intervals.
        seed: Seed of the resamples.
        level: Nominal coverage.
        fewest_pairs: A slice with fewer pairs, or fewer than 10 queries, is marked `small`.

    Returns:
        By slice name one entry a value, with pairs, queries, small and the judges' metrics;
        a slice with one value only is left out, it would repeat the whole.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, values in _slicings(grades).items():
        kinds = [kind for kind in values.drop_duplicates() if kind]
        if len(kinds) < 2:
            continue
        order = _ordered(name, kinds)
        found[name] = [
            _one(
                grades[(values == kind).to_numpy()],
                kind,
                scale,
                resamples,
                seed,
                level,
                fewest_pairs,
            )
            for kind in order
        ]
    return found


def _one(
    part: pd.DataFrame,
    kind: str,
    scale: GradeScale,
    resamples: int,
    seed: int,
    level: float,
    fewest_pairs: int,
) -> dict[str, Any]:
    queries = int(part["query_id"].nunique())
    judges = {}
    for judge in GRADING_JUDGES:
        if graded_by(part, judge).any():
            metrics = statistics(pairs_of(part, judge), scale)
            judges[judge] = {
                name: interval_json(
                    interval(metrics[name], resamples, seed, level),
                    METRICS[name].undefined,
                    "too few queries for an interval",
                )
                for name in SLICE_METRICS
            }
    return {
        "value": kind,
        "pairs": len(part),
        "queries": queries,
        "small": len(part) < fewest_pairs or queries < FEW_QUERIES,
        "judges": judges,
    }


def _slicings(grades: pd.DataFrame) -> dict[str, pd.Series]:
    """The value of each slicing for every row, empty where a row belongs to none."""
    found: dict[str, pd.Series] = {}
    if "style" in grades:
        found["query style"] = (
            grades["style"].fillna("").astype(str).str.replace(r"[_-]", " ", regex=True)
        )
    if "query_words" in grades:
        found["query length"] = _bands(grades["query_words"], _WORDS)
    if "passages" in grades:
        found["document length"] = _bands(grades["passages"], _PASSAGES)
    if "seen" in grades:
        found["document in training"] = pd.Series(
            np.where(grades["seen"].astype(bool), "seen", "unseen"), index=grades.index
        )
    return found


def _bands(values: pd.Series, bands: tuple[tuple[int, int | None, str], ...]) -> pd.Series:
    names = pd.Series("", index=values.index, dtype=object)
    for low, high, name in bands:
        inside = (values >= low) & (values <= (high if high is not None else np.inf))
        names[inside] = name
    return names


def _ordered(name: str, kinds: list[str]) -> list[str]:
    wanted = [label for *_, label in (*_WORDS, *_PASSAGES)]
    if name in ("query length", "document length"):
        return sorted(kinds, key=wanted.index)
    return sorted(kinds)
