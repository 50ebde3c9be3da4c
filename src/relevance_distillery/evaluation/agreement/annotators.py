"""Several people and the judges, all measured against single people on the same pairs.

How well people agree with each other is what a judge can hope for. And a judge that is compared
with a consensus looks better than any single person, whose errors the consensus has averaged
away: so one annotator after the other is the truth, and what the judge reaches against it is
compared with what another person reaches, pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.estimates import Options, differences, estimates
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs, grading_judges
from relevance_distillery.evaluation.agreement.metrics import METRICS, graded_statistics
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]

MOST_ANNOTATORS = 12
"""Pairs of annotators grow with the square: of more, those with the most grades are compared."""

_KEY = ["query_id", "document_id"]


@dataclass(frozen=True)
class Ratings:
    """Grades of several people for the same pairs.

    Attributes:
        index: query_id and document_id of each pair, shape (pairs,).
        grades: Grades by rater, shape (pairs,); nan where a rater gave none.
        query: Number of each pair's query, shape (pairs,).
        queries: How many queries there are.
        weight: How many pairs each pair stands for, shape (pairs,); None where all count alike.
        left_out: Raters beyond `MOST_ANNOTATORS`.
    """

    index: pd.Index
    grades: dict[str, Floats]
    query: NDArray[np.int64]
    queries: int
    weight: Floats | None
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, annotators: pd.DataFrame) -> Ratings:
        """Line up the grades of all raters.

        Args:
            annotators: Columns query_id, document_id, annotator, grade; one row a grade, of
                several by the same rater the last counts. And weight, where the pairs are a
                sample in which not all count alike.
        """
        rows = annotators[annotators["grade"].notna()]
        rows = rows.drop_duplicates([*_KEY, "annotator"], keep="last")
        wide = rows.pivot(index=_KEY, columns="annotator", values="grade")
        number = wide.notna().sum()
        most = sorted(number.index, key=lambda name: (-number[name], str(name)))
        kept = sorted(most[:MOST_ANNOTATORS], key=str)
        wide = wide[kept].dropna(how="all")
        codes, names = pd.factorize(wide.index.get_level_values("query_id"))
        weight = None
        if "weight" in rows:
            first = rows.groupby(_KEY)["weight"].first()
            weight = first.reindex(wide.index).to_numpy(dtype=np.float64)
        return cls(
            index=wide.index,
            grades={str(name): wide[name].to_numpy(dtype=np.float64) for name in kept},
            query=codes.astype(np.int64),
            queries=len(names),
            weight=weight,
            left_out=tuple(sorted(map(str, most[MOST_ANNOTATORS:]))),
        )

    def pairs(self, truth: Floats, other: Floats, rows: NDArray[np.bool_]) -> GradedPairs:
        """Some pairs, with grades of one side as the truth and of another as the judge's."""
        return GradedPairs(
            human=truth[rows].astype(np.int64),
            judge=other[rows],
            query=self.query[rows],
            queries=self.queries,
            weight=None if self.weight is None else self.weight[rows],
        )


def mean_of_couples(parts: Sequence[dict[str, SumStatistic]]) -> dict[str, SumStatistic]:
    """The mean over couples of raters of each figure, where defined; over the same queries."""
    joined: dict[tuple[int, int], Floats] = {}
    found = {}
    for name, first in parts[0].items():
        # Figures of one matrix of counts share its sums here as they do in each part.
        key = (first.sums.__array_interface__["data"][0], first.sums.shape[1])
        if key not in joined:
            joined[key] = np.hstack([part[name].sums for part in parts])
        found[name] = _mean(first, joined[key], len(parts))
    return found


def _mean(first: SumStatistic, joined: Floats, parts: int) -> SumStatistic:
    def finish(sums: Floats) -> Floats:
        each = sums.reshape(len(sums) * parts, first.sums.shape[1])
        values = first.finish(each).reshape(len(sums), parts)
        defined = np.isfinite(values)
        number = defined.sum(1)
        total = np.where(defined, values, 0.0).sum(1)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    return SumStatistic(joined, finish, first.bounds)


def human_ceiling(
    annotators: pd.DataFrame | None, scale: GradeScale, options: Options | None = None
) -> dict[str, Any]:
    """Every metric of each person against each other person, averaged over the couples.

    Args:
        annotators: Columns query_id, document_id, annotator, grade; one row a grade. And
            weight, where the graded pairs are a sample in which not all count alike.
        scale: The grades.
        options: How the figures are computed.

    Returns:
        Intervals by metric name; empty with fewer than two raters or none who graded the
        same pairs. Ranking metrics take the one as the truth and rank by the other.
    """
    if annotators is None or annotators["annotator"].nunique() < 2:
        return {}
    ratings = Ratings.of(annotators)
    couples = []
    for one, other in permutations(ratings.grades.values(), 2):
        both = np.isfinite(one) & np.isfinite(other)
        if both.any():
            couples.append(graded_statistics(ratings.pairs(one, other, both), scale))
    if not couples:
        return {}
    mean = mean_of_couples(couples)
    # Between equals a bias has no direction.
    figures = {name: mean[name] for name in METRICS if name != "bias"}
    return estimates({"people": figures}, options or Options())["people"]


def compare_with_people(
    annotators: pd.DataFrame | None,
    grades: pd.DataFrame,
    scale: GradeScale,
    options: Options | None = None,
) -> dict[str, Any]:
    """Single raters and judges, each measured against the other raters.

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
    people, alone = _each_rater(ratings, couples, scale)
    skipped |= alone
    judged = {judge: _aligned(grades, judge, ratings) for judge in grading_judges(grades)}
    sides = {
        judge: found
        for judge, given in judged.items()
        if (found := _sides(ratings, couples, given, scale)) is not None
    }
    absent = [judge for judge in judged if judge not in sides]
    if absent and couples:
        skipped["graded none of the pairs that two people graded"] = absent
    given = np.sum([np.isfinite(column) for column in ratings.grades.values()], axis=0)
    shared = given >= 2
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
        skipped[f"beyond the {MOST_ANNOTATORS} raters with the most grades"] = list(
            ratings.left_out
        )
    return couples, skipped


def _each_rater(
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
    """The judge, and the people it is compared with, against the same truths."""
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


def _aligned(grades: pd.DataFrame, judge: str, ratings: Ratings) -> Floats:
    """The judge's grades of the raters' pairs, shape (pairs,), nan where it gave none."""
    column = grades.set_index(_KEY)[f"{judge}_grade"]
    return column.reindex(ratings.index).to_numpy(dtype=np.float64, na_value=np.nan)
