"""What a reader of the figures has to know: what was left out, what is doubtful, what is null."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement import ranking
from relevance_distillery.evaluation.agreement.tables import (
    graded_by,
    grading_judges,
    query_numbers,
)
from relevance_distillery.grading import GradeScale

FEW_QUERIES = 20
"""Below so many queries an interval over queries is not to be trusted."""


def excluded(
    grades: pd.DataFrame, scale: GradeScale, roles: Mapping[str, str], ungraded: int = 0
) -> dict[str, int]:
    """What some metric could not use, with counts.

    Args:
        grades: The benchmark_grades table.
        scale: The grades.
        roles: Judges by role.
        ungraded: Rows without people's grade, left out of the table.
    """
    query, queries = query_numbers(grades)
    human = grades["human"].to_numpy(dtype=np.int64)
    relevant = np.bincount(query[human >= scale.relevant_from], minlength=queries)
    orderable = np.isfinite(
        ranking.per_query("pairwise_accuracy", human, human, query, queries, scale.relevant_from)
    )
    counts = {
        "pairs without a grade by people, left out": ungraded,
        "queries without a relevant document, left out of nDCG": int((relevant == 0).sum()),
        "queries with one grade only, left out of pairwise accuracy": int((~orderable).sum()),
    }
    for name in grading_judges(grades):
        known = f"the {name}" if name in roles.values() else name
        counts[f"pairs without a grade by {known}"] = int((~graded_by(grades, name)).sum())
    return {reason: count for reason, count in counts.items() if count}


def notes(grades: pd.DataFrame, roles: Mapping[str, str], whole_queries: bool) -> list[str]:
    """Sentences that qualify all figures.

    Args:
        grades: The benchmark_grades table.
        roles: Judges by role; empty where judges have none.
        whole_queries: Where pairs were sampled, all pairs of a drawn query were taken.
    """
    found = []
    _, queries = query_numbers(grades)
    if queries < FEW_QUERIES:
        some = f"{queries} {'query' if queries == 1 else 'queries'}"
        found.append(
            f"Only {some}: intervals resample queries and are not to be trusted "
            f"below {FEW_QUERIES}."
        )
    if grades["human"].nunique() == 1:
        found.append(
            "All pairs have one and the same grade: chance-corrected figures do not exist."
        )
    if "weight" in grades:
        found.append(
            f"The {len(grades)} pairs are a sample of about {grades['weight'].sum():,.0f}: every "
            "figure weights them by inclusion probability, counts in the confusion tables do not."
        )
    if "weight" in grades and not whole_queries:
        found.append(
            "Single pairs were sampled, not whole queries: ranking metrics describe the graded "
            "documents of each query, not its whole ranking."
        )
    columns = [
        name for name in grades if str(name).endswith("_grade") and grades[name].isna().all()
    ]
    for column in columns if len(grades) else ():
        found.append(f"{str(column).removesuffix('_grade')} graded none of these pairs.")
    if roles and "base" not in roles:
        found.append("No grades by the base.")
    return found


def not_defined(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Where a null stands and why, for readers who look for what is missing.

    Args:
        result: The content of agreement.json; slices are left out, they carry their reasons.
    """
    return [
        {"where": f"{where}.{metric}", "reason": value["reason"]}
        for where, metrics in _groups(result)
        for metric, value in metrics.items()
        if isinstance(value, dict) and "reason" in value
    ]


def _groups(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, metrics in result["judges"].items():
        yield f"judges.{name}", metrics
    for row in result["comparisons"]:
        couple = f"{row['first']}_minus_{row['second']}"
        yield couple, row["metrics"]
        yield "comparisons", {couple: row}
    yield "human_ceiling", result["human_ceiling"]
    for side in ("raters", "judges", "judge_minus_people"):
        for name, metrics in result["one_scale"].get(side, {}).items():
            yield f"one_scale.{side}.{name}", metrics
    for name, found in result["calibration"].items():
        yield f"calibration.{name}", found
        yield f"calibration.{name}.relevant", found["relevant"]
    for name, rows in result["thresholds"].items():
        for row in rows:
            yield f"thresholds.{name}.from_{row['from']}", row
