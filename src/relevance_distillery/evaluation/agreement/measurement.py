"""Everything measured about agreement, as the content of agreement.json."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.judgments import KEY
from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.annotators import compare_with_people, human_ceiling
from relevance_distillery.evaluation.agreement.breakdowns import measure_slices, measure_thresholds
from relevance_distillery.evaluation.agreement.calibration import measure_calibration
from relevance_distillery.evaluation.agreement.estimates import Options, differences, estimates
from relevance_distillery.evaluation.agreement.graded_pairs import (
    GradedPairs,
    graded_by,
    grading_judges,
    judges_in,
    pairs_of,
    probabilities_of,
    query_numbers,
)
from relevance_distillery.evaluation.agreement.metrics import PRIMARY, graded_statistics, statistics
from relevance_distillery.evaluation.agreement.sample_size import sample_size
from relevance_distillery.evaluation.statistics.arrays import Mask
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale

FEW_QUERIES = 20
"""With fewer queries an interval over queries is not reliable."""

_PEERS = ("teacher", "base")
_ROLES = ("student", *_PEERS, "second_pass")


def measure(
    grades: pd.DataFrame,
    scale: GradeScale,
    benchmark: dict[str, Any],
    annotators: pd.DataFrame | None = None,
    options: Options | None = None,
    roles: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Measure every judge against people's grades.

    `grades` is the benchmark_grades table: query_id, document_id, human, the judges' columns (see
    `graded_pairs`; missing where a judge has no grade), and style, query_words, passages, seen,
    folder. With a column weight every figure is an estimate for the population that the rows were
    sampled from (Horvitz-Thompson totals, so ratios are Hájek's). `annotators` has single raters'
    grades, columns query_id, document_id, annotator, grade; facts of `benchmark` are repeated.

    `roles` names the student, the teacher and the base. A student is compared with the other two,
    and slices are made by its confidence; without one every judge is compared with every other.
    By default judges have the roles that they are named after, none of them unless there is a
    student.

    Returns:
        The content of agreement.json; every number is finite, or null with a reason.
    """
    options = options or Options()
    graded_by_people = grades["human"].notna()
    ungraded = int((~graded_by_people).sum())
    grades = grades[graded_by_people.to_numpy()].reset_index(drop=True)
    _, queries = query_numbers(grades)
    graded = grading_judges(grades)
    if roles is None:
        roles = {name: name for name in _ROLES if name in graded and "student" in graded}
    pairs = {name: pairs_of(grades, name) for name in judges_in(grades)}
    figures = {name: statistics(said, scale) for name, said in pairs.items()}
    raters = annotators
    if annotators is not None:
        # Grades of the pairs that the judges are measured on, with the weight of those.
        weighted = grades[[*KEY, *(["weight"] if "weight" in grades else [])]]
        raters = annotators[[*KEY, "annotator", "grade"]].merge(weighted, on=KEY)
    couples = list(combinations(graded, 2))
    if "student" in roles:
        couples = [(roles["student"], roles[name]) for name in _ROLES[1:] if name in roles]
    comparisons = [_comparison(grades, scale, options, *couple) for couple in couples]
    by_couple = {(row["first"], row["second"]): row["metrics"] for row in comparisons}
    confident = [roles["student"]] if "student" in roles else graded
    measured = estimates(figures, options)
    result = {
        "benchmark": benchmark | {"pairs": len(grades), "queries": queries},
        "primary": PRIMARY,
        "roles": dict(roles),
        "judges": measured,
        **{
            f"student_minus_{other}": by_couple.get((roles.get("student"), roles.get(other)), {})
            for other in _PEERS
        },
        "comparisons": comparisons,
        "human_ceiling": human_ceiling(raters, scale, options),
        "one_scale": compare_with_people(raters, grades, scale, options),
        "confusion": {name: _confusion(pairs[name], scale) for name in graded},
        "calibration": _calibration(grades, scale, options),
        "thresholds": measure_thresholds({name: pairs[name] for name in graded}, scale, options),
        "slices": measure_slices(grades, scale, options, confident),
        "sample_size": _sample_size(grades, scale, options, _leading(graded, roles, measured)),
        "graded_pairs": {name: int(graded_by(grades, name).sum()) for name in pairs},
        "excluded": _excluded(grades, scale, roles, ungraded),
        "scale": [grade.model_dump() for grade in scale.grades],
        "relevant_from": scale.relevant_from,
        "notes": _notes(grades, roles, bool(benchmark.get("whole_queries"))),
    }
    result["not_defined"] = _not_defined(result)
    return result


def _comparison(
    grades: pd.DataFrame, scale: GradeScale, options: Options, first: str, second: str
) -> dict[str, Any]:
    """First minus second on the pairs that both graded; no metrics where there are none."""
    both = graded_by(grades, first) & graded_by(grades, second)
    found: dict[str, Any] = {
        "first": first,
        "second": second,
        "margin": options.margin,
        "pairs": int(both.sum()),
        "metrics": {},
    }
    if not both.any():
        return found | {"reason": "they graded no pair in common"}
    sides = [graded_statistics(pairs_of(grades, side, both), scale) for side in (first, second)]
    return found | {"metrics": differences(sides[0], sides[1], options)}


def _confusion(pairs: GradedPairs, scale: GradeScale) -> dict[str, Any]:
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


def _calibration(grades: pd.DataFrame, scale: GradeScale, options: Options) -> dict[str, Any]:
    """Of every judge that gives probabilities."""
    found = {}
    for name in grading_judges(grades):
        probabilities = probabilities_of(grades, name)
        if probabilities is None:
            continue
        rows: Mask = np.isfinite(probabilities).all(axis=1) & graded_by(grades, name)
        said = pairs_of(grades, name, rows)
        found[name] = measure_calibration(said, probabilities[rows], scale, options)
    return found


def _leading(graded: list[str], roles: Mapping[str, str], measured: dict[str, Any]) -> list[str]:
    """The student and its teacher, else the judges from the best on; those with a figure first."""
    if "student" in roles:
        return [roles[role] for role in _ROLES if role in roles]

    def place(name: str) -> float:
        estimate = measured[name][PRIMARY]["estimate"]
        return np.inf if estimate is None else -float(estimate)

    return sorted(graded, key=place)


def _sample_size(
    grades: pd.DataFrame, scale: GradeScale, options: Options, judges: list[str]
) -> dict[str, Any]:
    """How many human grades are needed for the first judge and its comparison with the second."""
    if not judges:
        return {"metric": PRIMARY, "judge": None, "reason": "no judge gave grades"}
    first, second = (*judges, "")[:2]
    both = graded_by(grades, first) & graded_by(grades, second)
    shared = bool(both.any())
    return sample_size(
        pairs_of(grades, first, both if shared else None),
        pairs_of(grades, second, both) if shared else None,
        scale,
        options,
        (first, second),
    )


def _excluded(
    grades: pd.DataFrame, scale: GradeScale, roles: Mapping[str, str], ungraded: int
) -> dict[str, int]:
    """What some metric could not use, with counts."""
    by_query = grades.groupby("query_id")["human"]
    irrelevant, alike = by_query.max() < scale.relevant_from, by_query.nunique() == 1
    counts = {
        "pairs without a right grade, left out": ungraded,
        "queries without a relevant document, left out of nDCG": int(irrelevant.sum()),
        "queries with one grade only, left out of pairwise accuracy": int(alike.sum()),
    }
    for name in grading_judges(grades):
        known = f"the {name}" if name in roles.values() else name
        counts[f"pairs without a grade by {known}"] = int((~graded_by(grades, name)).sum())
    return {reason: count for reason, count in counts.items() if count}


def _notes(grades: pd.DataFrame, roles: Mapping[str, str], whole_queries: bool) -> list[str]:
    """Sentences that qualify all figures."""
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
    for name in grades if len(grades) else ():
        if str(name).endswith("_grade") and grades[name].isna().all():
            found.append(f"{str(name).removesuffix('_grade')} graded none of these pairs.")
    if roles and "base" not in roles:
        found.append("No grades by the base.")
    return found


def _not_defined(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every null figure with its reason."""
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
