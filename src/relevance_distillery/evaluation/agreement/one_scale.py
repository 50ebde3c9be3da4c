"""People and judges on one scale: each against the same other people, on the same pairs.

A judge that is compared with a consensus looks better than any single person, whose errors the
consensus has averaged away. Here one rater after the other is the truth, and what the judge
reaches against it stands beside what another person reaches, pair by pair.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.estimates import Options, differences, estimates
from relevance_distillery.evaluation.agreement.metrics import graded_statistics
from relevance_distillery.evaluation.agreement.ratings import (
    MOST_RATERS,
    Ratings,
    mean_of_couples,
)
from relevance_distillery.evaluation.agreement.tables import grading_judges
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]

_KEY = ["query_id", "document_id"]


def one_scale(
    annotators: pd.DataFrame | None,
    grades: pd.DataFrame,
    scale: GradeScale,
    options: Options | None = None,
) -> dict[str, Any]:
    """Single raters and judges, each against the other raters.

    Args:
        annotators: Columns query_id, document_id, annotator, grade, and perhaps weight.
        grades: The benchmark_grades table: the judges' grades.
        scale: The grades.
        options: How the figures are computed.

    Returns:
        Empty with fewer than two raters. Else `pairs` (graded by two people or more), `raters`
        (each as a judge of the others, mean over them), `couples` (each two raters, without a
        bias, which has no direction between equals), `judges` (each against the truths of
        the same couples, where it graded their pairs), `judge_pairs`, `judge_minus_people` (the
        judge instead of the person who was compared with the truth, paired, with its test), and
        `skipped`: by reason who or what could not be compared.
    """
    if annotators is None or annotators["annotator"].nunique() < 2:
        return {}
    options = options or Options()
    ratings = Ratings.of(annotators)
    couples, skipped = _couples(ratings)
    people, alone = _raters(ratings, couples, scale)
    skipped |= alone
    judged = {judge: _places(grades, judge, ratings) for judge in grading_judges(grades)}
    sides = {
        judge: found
        for judge, given in judged.items()
        if (found := _sides(ratings, couples, given, scale)) is not None
    }
    absent = [judge for judge in judged if judge not in sides]
    if absent and couples:
        skipped["graded none of the pairs that two people graded"] = absent
    shared = _shared(ratings)
    return {
        "pairs": int(shared.sum()),
        "raters": estimates(people, options),
        "couples": estimates(_one_by_one(ratings, couples, scale), options),
        "judges": estimates({judge: own for judge, (own, _) in sides.items()}, options),
        "judge_pairs": {judge: int((shared & np.isfinite(judged[judge])).sum()) for judge in sides},
        "judge_minus_people": {
            judge: differences(own, others, options) for judge, (own, others) in sides.items()
        },
        "skipped": skipped,
    }


def _couples(ratings: Ratings) -> tuple[dict[tuple[str, str], NDArray[np.bool_]], dict[str, Any]]:
    """Pairs that both graded, by truth and other rater; and who has none, by reason."""
    couples, apart = {}, set()
    for truth, other in permutations(ratings.grades, 2):
        both = np.isfinite(ratings.grades[truth]) & np.isfinite(ratings.grades[other])
        if both.any():
            couples[truth, other] = both
        else:
            apart.add(" and ".join(sorted((truth, other))))
    skipped: dict[str, Any] = {}
    if apart:
        skipped["raters who graded no pair in common"] = sorted(apart)
    if ratings.left_out:
        skipped[f"beyond the {MOST_RATERS} raters with the most grades"] = list(ratings.left_out)
    return couples, skipped


def _raters(
    ratings: Ratings, couples: dict[tuple[str, str], NDArray[np.bool_]], scale: GradeScale
) -> tuple[dict[str, dict[str, SumStatistic]], dict[str, Any]]:
    found, alone = {}, []
    for rater, given in ratings.grades.items():
        parts = [
            graded_statistics(ratings.pairs(ratings.grades[truth], given, both), scale)
            for (truth, other), both in couples.items()
            if other == rater
        ]
        if parts:
            found[rater] = mean_of_couples(parts)
        else:
            alone.append(rater)
    return found, {"graded no pair that another person graded": alone} if alone else {}


def _one_by_one(
    ratings: Ratings, couples: dict[tuple[str, str], NDArray[np.bool_]], scale: GradeScale
) -> dict[str, dict[str, SumStatistic]]:
    """Every couple of raters once."""
    found = {}
    for (one, other), both in couples.items():
        if one < other:
            pairs = ratings.pairs(ratings.grades[one], ratings.grades[other], both)
            figures = graded_statistics(pairs, scale)
            found[f"{one} and {other}"] = {
                name: figures[name] for name in figures if name != "bias"
            }
    return found


def _sides(
    ratings: Ratings,
    couples: dict[tuple[str, str], NDArray[np.bool_]],
    judged: Floats,
    scale: GradeScale,
) -> tuple[dict[str, SumStatistic], dict[str, SumStatistic]] | None:
    """The judge, and the people in whose place it stood, against the same truths."""
    own, people = [], []
    for (truth, other), both in couples.items():
        rows = both & np.isfinite(judged)
        if rows.any():
            right = ratings.grades[truth]
            own.append(graded_statistics(ratings.pairs(right, judged, rows), scale))
            people.append(
                graded_statistics(ratings.pairs(right, ratings.grades[other], rows), scale)
            )
    return (mean_of_couples(own), mean_of_couples(people)) if own else None


def _places(grades: pd.DataFrame, judge: str, ratings: Ratings) -> Floats:
    """The judge's grades of the raters' pairs, shape (pairs,), nan where it gave none."""
    column = grades.set_index(_KEY)[f"{judge}_grade"]
    return column.reindex(ratings.index).to_numpy(dtype=np.float64, na_value=np.nan)


def _shared(ratings: Ratings) -> NDArray[np.bool_]:
    """Pairs that two people graded."""
    given = np.sum([np.isfinite(column) for column in ratings.grades.values()], axis=0)
    return given >= 2
