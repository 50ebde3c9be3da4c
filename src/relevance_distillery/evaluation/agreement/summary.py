"""Everything that is said about agreement, as the content of agreement.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement import confusion, ranking
from relevance_distillery.evaluation.agreement.ceiling import human_ceiling
from relevance_distillery.evaluation.agreement.metrics import (
    METRICS,
    PRIMARY,
    graded_statistics,
    statistics,
)
from relevance_distillery.evaluation.agreement.slices import measure_slices
from relevance_distillery.evaluation.agreement.tables import (
    GRADING_JUDGES,
    graded_by,
    judges_in,
    pairs_of,
    query_numbers,
)
from relevance_distillery.evaluation.statistics.bootstrap import interval
from relevance_distillery.evaluation.statistics.comparison import compare
from relevance_distillery.evaluation.statistics.numbers import interval_json, number
from relevance_distillery.grading import GradeScale

FEW_QUERIES = 20
"""Below so many queries an interval over queries is not to be trusted."""

_NO_INTERVAL = "too few queries for an interval"


@dataclass(frozen=True)
class Options:
    """How the figures are computed.

    Attributes:
        resamples: Resamples of queries for each interval.
        permutations: Swaps for each p-value.
        seed: Seed of both.
        level: Nominal coverage of the intervals.
        slice_pairs: A slice with fewer pairs is marked as too small.
    """

    resamples: int = 1000
    permutations: int = 2000
    seed: int = 0
    level: float = 0.95
    slice_pairs: int = 50


def measure(
    grades: pd.DataFrame,
    scale: GradeScale,
    benchmark: dict[str, Any],
    annotators: pd.DataFrame | None = None,
    options: Options | None = None,
) -> dict[str, Any]:
    """Measure every judge against people's grades.

    Args:
        grades: The benchmark_grades table: query_id, document_id, human, the judges' columns
            (missing where a judge has no grade), and style, query_words, passages, seen.
            With a column weight every figure is an estimate for the population that the
            rows were sampled from (Horvitz-Thompson totals, so ratios are Hájek's).
        scale: The grades.
        benchmark: Facts to repeat: name, human, kind, ...
        annotators: Single raters' grades, columns query_id, document_id, annotator, grade.
        options: How the figures are computed.

    Returns:
        The content of agreement.json; every number is finite, or null with a reason.
    """
    options = options or Options()
    _, queries = query_numbers(grades)
    found = {name: statistics(pairs_of(grades, name), scale) for name in judges_in(grades)}
    judges = {
        name: {
            metric: interval_json(
                interval(value, options.resamples, options.seed, options.level),
                METRICS[metric].undefined,
                _NO_INTERVAL,
            )
            for metric, value in metrics.items()
        }
        for name, metrics in found.items()
    }
    if annotators is not None and "weight" in grades:
        key = ["query_id", "document_id"]
        annotators = annotators.merge(grades[[*key, "weight"]], on=key)
    ceiling = human_ceiling(annotators, scale, options.resamples, options.seed, options.level)
    result = {
        "benchmark": benchmark | {"pairs": len(grades), "queries": queries},
        "primary": PRIMARY,
        "judges": judges,
        "student_minus_teacher": _difference(grades, scale, options, "student", "teacher"),
        "student_minus_base": _difference(grades, scale, options, "student", "base"),
        "human_ceiling": ceiling,
        "confusion": {
            name: _confusion(grades, name, scale) for name in judges if name in GRADING_JUDGES
        },
        "slices": measure_slices(
            grades, scale, options.resamples, options.seed, options.level, options.slice_pairs
        ),
        "graded_pairs": {name: int(graded_by(grades, name).sum()) for name in judges},
        "excluded": _excluded(grades, scale),
        "scale": [grade.model_dump() for grade in scale.grades],
        "relevant_from": scale.relevant_from,
        "notes": _notes(queries, grades, judges, bool(benchmark.get("whole_queries"))),
    }
    result["not_defined"] = _not_defined(result)
    return result


def _difference(
    grades: pd.DataFrame, scale: GradeScale, options: Options, first: str, second: str
) -> dict[str, Any]:
    """First minus second on the pairs that both graded; empty when one is absent."""
    both = graded_by(grades, first) & graded_by(grades, second)
    if not both.any():
        return {}
    sides = [graded_statistics(pairs_of(grades, side, both), scale) for side in (first, second)]
    compared = compare(sides[0], sides[1], options.resamples, options.permutations, options.seed)
    return {
        name: interval_json(value.interval, METRICS[name].undefined, _NO_INTERVAL)
        | {"p": number(value.p), "p_raw": number(value.p_raw)}
        for name, value in compared.items()
    }


def _confusion(grades: pd.DataFrame, judge: str, scale: GradeScale) -> dict[str, Any]:
    pairs = pairs_of(grades, judge)
    judged = pairs.judge.astype(np.int64)
    counts = confusion.confusion(pairs.human, judged, scale)
    weighted = confusion.confusion(pairs.human, judged, scale, pairs.weight)
    recall = confusion.recall_by_grade(weighted)
    precision = confusion.precision_by_grade(weighted)
    return {
        "grades": scale.values.tolist(),
        "counts": counts.astype(int).tolist(),
        "recall": [number(value) for value in recall],
        "precision": [number(value) for value in precision],
    }


def _excluded(grades: pd.DataFrame, scale: GradeScale) -> dict[str, int]:
    """What some metric could not use, with counts."""
    query, queries = query_numbers(grades)
    human = grades["human"].to_numpy()
    relevant = np.bincount(query[human >= scale.relevant_from], minlength=queries)
    orderable = np.isfinite(
        ranking.per_query("pairwise_accuracy", human, human, query, queries, scale.relevant_from)
    )
    counts = {
        "queries without a relevant document, left out of nDCG": int((relevant == 0).sum()),
        "queries with one grade only, left out of pairwise accuracy": int((~orderable).sum()),
    }
    for name in GRADING_JUDGES:
        graded = graded_by(grades, name)
        if graded.any():
            counts[f"pairs without a grade by the {name}"] = int((~graded).sum())
    return {reason: count for reason, count in counts.items() if count}


def _notes(
    queries: int, grades: pd.DataFrame, judges: dict[str, Any], whole_queries: bool
) -> list[str]:
    notes = []
    if queries < FEW_QUERIES:
        notes.append(
            f"Only {queries} queries: intervals resample queries and are not to be trusted "
            f"below {FEW_QUERIES}."
        )
    if grades["human"].nunique() == 1:
        notes.append(
            "All pairs have one and the same grade: chance-corrected figures do not exist."
        )
    if "weight" in grades:
        notes.append(
            f"The {len(grades)} pairs are a sample of about {grades['weight'].sum():,.0f}: every "
            "figure weights them by inclusion probability, counts in the confusion tables do not."
        )
    if "weight" in grades and not whole_queries:
        notes.append(
            "Single pairs were sampled, not whole queries: ranking metrics describe the graded "
            "documents of each query, not its whole ranking."
        )
    absent = [name for name in GRADING_JUDGES if name not in judges]
    notes += [f"No grades by the {name}." for name in absent if name != "teacher"]
    return notes


def _not_defined(result: dict[str, Any]) -> list[dict[str, str]]:
    """Where a null stands and why, for readers who look for what is missing."""
    found = []
    groups = {f"judges.{name}": value for name, value in result["judges"].items()}
    for name in ("student_minus_teacher", "student_minus_base", "human_ceiling"):
        groups[name] = result[name]
    for where, metrics in groups.items():
        for metric, value in metrics.items():
            if isinstance(value, dict) and "reason" in value:
                found.append({"where": f"{where}.{metric}", "reason": value["reason"]})
    return found
