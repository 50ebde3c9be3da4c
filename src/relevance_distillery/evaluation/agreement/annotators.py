"""Several people and the judges, all measured against single people on the same pairs.

How well people agree with each other is what a judge can hope for. And a judge that is compared
with a consensus looks better than any single person, whose errors the consensus has averaged
away: so one annotator after the other is the truth, and what the judge reaches against it is
compared with what another person reaches, pair by pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, Self

import numpy as np
import pandas as pd

from relevance_distillery.collections.judgments import KEY
from relevance_distillery.evaluation.agreement.estimates import Options, differences, estimates
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs, grading_judges
from relevance_distillery.evaluation.agreement.metrics import METRICS, graded_statistics
from relevance_distillery.evaluation.statistics.arrays import Floats, Ints, Mask
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.grading import GradeScale

MOST_ANNOTATORS = 12
"""Pairs of annotators grow with the square: of more, those with the most grades are compared."""


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
    query: Ints
    queries: int
    weight: Floats | None
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, annotators: pd.DataFrame) -> Self:
        """Line up the grades of all raters.

        Columns query_id, document_id, annotator, grade, one row a grade, of several by the same
        rater the last counts; and weight, where the pairs are a sample in which not all count
        alike.
        """
        rows = annotators[annotators["grade"].notna()]
        rows = rows.drop_duplicates([*KEY, "annotator"], keep="last")
        wide = rows.pivot(index=KEY, columns="annotator", values="grade")
        number = wide.notna().sum()
        most = sorted(number.index, key=lambda name: (-number[name], str(name)))
        kept = sorted(most[:MOST_ANNOTATORS], key=str)
        wide = wide[kept].dropna(how="all")
        codes, names = pd.factorize(wide.index.get_level_values("query_id"))
        weight = None
        if "weight" in rows:
            first = rows.groupby(KEY)["weight"].first()
            weight = first.reindex(wide.index).to_numpy(dtype=np.float64)
        return cls(
            index=wide.index,
            grades={str(name): wide[name].to_numpy(dtype=np.float64) for name in kept},
            query=codes.astype(np.int64),
            queries=len(names),
            weight=weight,
            left_out=tuple(sorted(map(str, most[MOST_ANNOTATORS:]))),
        )

    def couples(self) -> dict[tuple[str, str], Mask]:
        """Truth and other rater, and the pairs that both graded; no couple without any."""
        there = {name: np.isfinite(given) for name, given in self.grades.items()}
        both = {(one, other): there[one] & there[other] for one, other in permutations(there, 2)}
        return {couple: rows for couple, rows in both.items() if rows.any()}

    def statistics(
        self, truth: Floats, judge: Floats, rows: Mask, scale: GradeScale
    ) -> dict[str, SumStatistic]:
        """Every metric of one side's grades with another's as the truth, on some pairs."""
        pairs = GradedPairs(
            human=truth[rows].astype(np.int64),
            judge=judge[rows],
            query=self.query[rows],
            queries=self.queries,
            weight=None if self.weight is None else self.weight[rows],
        )
        return graded_statistics(pairs, scale)


def mean_of_couples(parts: Sequence[dict[str, SumStatistic]]) -> dict[str, SumStatistic]:
    """The mean over couples of raters of each figure, where defined; over the same queries."""
    joined: dict[tuple[int, ...], Floats] = {}
    found = {}
    for name, first in parts[0].items():
        # Figures of one matrix of counts share its sums here as they do in each part.
        if first.memory not in joined:
            joined[first.memory] = np.hstack([part[name].sums for part in parts])
        found[name] = _mean(first, joined[first.memory], len(parts))
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

    `annotators` is as in `Ratings.of`.

    Returns:
        Intervals by metric name; empty with fewer than two raters or none who graded the
        same pairs. Ranking metrics take the one as the truth and rank by the other.
    """
    if annotators is None or annotators["annotator"].nunique() < 2:
        return {}
    ratings = Ratings.of(annotators)
    couples = [
        ratings.statistics(ratings.grades[truth], ratings.grades[other], both, scale)
        for (truth, other), both in ratings.couples().items()
    ]
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
    given, couples = ratings.grades, ratings.couples()
    figures = {
        (truth, other): ratings.statistics(given[truth], given[other], both, scale)
        for (truth, other), both in couples.items()
    }
    people = {
        rater: mean_of_couples(parts)
        for rater in given
        if (parts := [found for (_, other), found in figures.items() if other == rater])
    }
    judged = {
        # Of the raters' pairs, nan where the judge gave no grade.
        judge: grades.set_index(KEY)[f"{judge}_grade"]
        .reindex(ratings.index)
        .to_numpy(dtype=np.float64, na_value=np.nan)
        for judge in grading_judges(grades)
    }
    own, others = {}, {}
    for judge, said in judged.items():
        # The judge, and the people it is compared with, against the same truths.
        sides = [
            [ratings.statistics(given[truth], side, rows, scale) for side in (said, given[other])]
            for (truth, other), both in couples.items()
            if (rows := both & np.isfinite(said)).any()
        ]
        if sides:
            own[judge], others[judge] = (mean_of_couples(side) for side in zip(*sides, strict=True))
    apart = [" and ".join(pair) for pair in combinations(given, 2) if pair not in couples]
    skipped = {
        "raters who graded no pair in common": sorted(apart),
        f"beyond the {MOST_ANNOTATORS} raters with the most grades": list(ratings.left_out),
        "graded no pair that another person graded": [name for name in given if name not in people],
        "graded none of the pairs that two people graded": [
            judge for judge in judged if couples and judge not in own
        ],
    }
    shared = np.sum([np.isfinite(column) for column in given.values()], axis=0) >= 2
    return {
        "pairs": int(shared.sum()),
        "raters": estimates(people, options),
        "couples": estimates(
            {
                f"{one} and {other}": {name: found[name] for name in found if name != "bias"}
                for (one, other), found in figures.items()
                if one < other
            },
            options,
        ),
        "judges": estimates(own, options),
        "judge_pairs": {judge: int((shared & np.isfinite(judged[judge])).sum()) for judge in own},
        "judge_minus_people": {
            judge: differences(own[judge], others[judge], options) for judge in own
        },
        "skipped": {reason: who for reason, who in skipped.items() if who},
    }
