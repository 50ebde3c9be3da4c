"""The same figures on parts of the benchmark: where a labeler is good and where it is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from relevance_distillery.evaluation.agreement.estimates import Options, estimates
from relevance_distillery.evaluation.agreement.metrics import graded_statistics
from relevance_distillery.evaluation.agreement.slicings import slicings
from relevance_distillery.evaluation.agreement.tables import graded_by, grading_judges, pairs_of
from relevance_distillery.grading import GradeScale

SLICE_METRICS = ("quadratic_kappa", "accuracy", "bias", "pairwise_accuracy")
"""Metrics worth their place in a table that is read row by row."""

GRADE_METRICS = ("accuracy", "within_one", "mean_absolute_error", "bias")
"""Where people gave one grade only, what corrects for chance or orders does not exist."""

FEW_QUERIES = 10


def measure_slices(
    grades: pd.DataFrame,
    scale: GradeScale,
    options: Options | None = None,
    confident: Iterable[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """Measure every judge that gives grades on every slice.

    Args:
        grades: The benchmark_grades table, see `slicings`.
        scale: The grades.
        options: How the figures are computed; `slice_pairs` says below how many pairs a slice
            is marked as too small, as it is below 10 queries.
        confident: Judges whose confidence cuts the benchmark.

    Returns:
        By slicing one entry a value, with pairs, queries, small and why, and the judges'
        metrics; a slicing with one value only is left out, it would repeat the whole.
    """
    options = options or Options()
    judges = grading_judges(grades)
    needed = ["query_id", "human", "weight", *(f"{judge}_grade" for judge in judges)]
    table = grades[[column for column in needed if column in grades]]
    found: dict[str, list[dict[str, Any]]] = {}
    for name, values in slicings(grades, scale, confident).items():
        kinds = values.cat.categories
        if len(kinds) < 2:
            continue
        metrics = GRADE_METRICS if name == "grade" else SLICE_METRICS
        found[name] = [
            {"value": kind} | _one(table[(values == kind).to_numpy()], scale, options, metrics)
            for kind in kinds
        ]
    return found


def _one(
    part: pd.DataFrame, scale: GradeScale, options: Options, metrics: tuple[str, ...]
) -> dict[str, Any]:
    queries = int(part["query_id"].nunique())
    figures = {}
    for judge in grading_judges(part):
        if graded_by(part, judge).any():
            every = graded_statistics(pairs_of(part, judge), scale)
            figures[judge] = {name: every[name] for name in metrics}
    few = [
        f"{number} {unit}, fewer than {enough}"
        for number, unit, enough in (
            (len(part), "pairs", options.slice_pairs),
            (queries, "queries", FEW_QUERIES),
        )
        if number < enough
    ]
    return {
        "pairs": len(part),
        "queries": queries,
        "small": bool(few),
        "why": "; ".join(few),
        "judges": estimates(figures, options),
    }
