"""The metrics of agreement: names, meaning, and how each becomes a statistic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from relevance_distillery.evaluation.agreement import confusion, ranking
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.evaluation.statistics.bootstrap import (
    Statistic,
    SumStatistic,
    mean_of_pairs,
)
from relevance_distillery.grading import GradeScale

PRIMARY = "quadratic_kappa"
"""The metric on which decisions rest; all others are described and Holm-corrected."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Key in agreement.json; of a pooled metric also its function in `confusion`.
        title: What the report prints.
        meaning: One sentence for the glossary.
        better: Whether more is better, less is better, or the best value is 0.
        scored: A score without grades is enough (a rank correlation or a ranking metric).
        undefined: When the metric has no value, in the words of the report.
    """

    name: str
    title: str
    meaning: str
    better: Literal["higher", "lower", "zero"] = "higher"
    scored: bool = False
    undefined: str = "there are no graded pairs"


_ONE_GRADE = "both gave one and the same grade to all pairs"
_ONE_SIDE = "one of the two gave only one grade"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "quadratic_kappa",
            "quadratic κ",
            "Agreement beyond chance (Cohen, 1968); being two grades off counts four times as "
            "much as one. 1 is perfect, 0 is chance. The primary metric.",
            undefined=_ONE_GRADE,
        ),
        Metric(
            "kappa",
            "κ",
            "Agreement beyond chance on the exact grade (Cohen, 1960).",
            undefined=_ONE_GRADE,
        ),
        Metric(
            "binary_kappa",
            "binary κ",
            "Agreement beyond chance on relevant or not.",
            undefined="both put all pairs on the same side of the threshold",
        ),
        Metric(
            "krippendorff_alpha",
            "ordinal α",
            "Krippendorff's α: agreement beyond chance for ordered grades, whose distance is how "
            "many ratings lie between them (Krippendorff, 2011).",
            undefined=_ONE_GRADE,
        ),
        Metric(
            "gwet_ac2",
            "AC2",
            "Gwet's AC2: agreement beyond chance with quadratic weights that stays sensible when "
            "one grade is far more frequent than the others (Gwet, 2014).",
        ),
        Metric("accuracy", "accuracy", "Share of pairs with exactly the right grade."),
        Metric("within_one", "within one", "Share of pairs at most one grade away."),
        Metric(
            "mean_absolute_error",
            "mean absolute error",
            "Mean distance from the right grade, in grades.",
            better="lower",
        ),
        Metric(
            "bias",
            "bias",
            "Mean of judge minus right grade: above 0 it is too generous, below too strict.",
            better="zero",
        ),
        Metric(
            "spearman",
            "Spearman's ρ",
            "Rank correlation with the right grades over all pairs.",
            scored=True,
            undefined=_ONE_SIDE,
        ),
        Metric(
            "pairwise_accuracy",
            "pairwise accuracy",
            "Two documents of one query with different right grades: how often the judge "
            "orders them alike (a tie counts ½), averaged over queries.",
            scored=True,
            undefined="no query has documents with different grades",
        ),
        Metric(
            "ndcg",
            "nDCG",
            "How good the ranking by the judge is (gain 2^grade - 1, ties averaged), averaged "
            "over queries with a relevant document.",
            scored=True,
            undefined="no query has a relevant document",
        ),
        Metric(
            "ndcg_at_10",
            "nDCG@10",
            "The same over the first ten documents.",
            scored=True,
            undefined="no query has a relevant document",
        ),
    )
}


def statistics(pairs: GradedPairs, scale: GradeScale) -> dict[str, Statistic]:
    """Every metric that these pairs have, in the order of `METRICS`.

    All of them for grades, the rank correlation and the ranking metrics for scores.
    """
    if pairs.graded:
        return dict(graded_statistics(pairs, scale))
    return {"spearman": ranking.ScoreCorrelation(pairs), **_ranking_statistics(pairs, scale)}


def graded_statistics(pairs: GradedPairs, scale: GradeScale) -> dict[str, SumStatistic]:
    """Every metric of a judge that gives grades, in the order of `METRICS`.

    Those that are pooled over pairs share one array of sums: a resample adds it up once.
    """
    counts = counts_by_query(pairs, scale)
    ordering = _ranking_statistics(pairs, scale)
    return {
        name: ordering[name] if name in ordering else pooled(name, counts, scale)
        for name in METRICS
    }


def counts_by_query(pairs: GradedPairs, scale: GradeScale) -> Floats:
    """One confusion matrix a query, shape (queries, grades, grades), people in rows."""
    return confusion.confusion_by_query(
        pairs.human, pairs.judge.astype(np.int64), pairs.query, pairs.queries, scale, pairs.weight
    )


def primary(pairs: GradedPairs, scale: GradeScale) -> SumStatistic:
    """The primary metric of a judge that gives grades."""
    return pooled(PRIMARY, counts_by_query(pairs, scale), scale)


def pooled(name: str, counts: Floats, scale: GradeScale) -> SumStatistic:
    """A metric of the pooled matrix; `counts` has the shape (queries, grades, grades)."""
    size = scale.size
    threshold = int(scale.positions([scale.relevant_from])[0])

    def finish(sums: Floats) -> Floats:
        matrices = sums.reshape(-1, size, size)
        if name == "binary_kappa":
            return confusion.binary_kappa(matrices, threshold)
        measure: Callable[[Floats], Floats] = getattr(confusion, name)
        return measure(matrices)

    bounds = {
        "accuracy": (0.0, 1.0),
        "within_one": (0.0, 1.0),
        "mean_absolute_error": (0.0, size - 1.0),
        "bias": (1.0 - size, size - 1.0),
    }
    return SumStatistic(counts.reshape(-1, size * size), finish, bounds.get(name, (-1.0, 1.0)))


def _ranking_statistics(pairs: GradedPairs, scale: GradeScale) -> dict[str, SumStatistic]:
    """Metrics of the order within queries, means over the queries that have them."""
    found = ranking.ranking_metrics(
        pairs.human, pairs.judge, pairs.query, pairs.queries, scale.relevant_from
    )
    weight = np.ones(pairs.queries)
    if pairs.weight is not None:
        # A query stands for as many as its pairs on average: exact where whole queries were
        # sampled, since all pairs of one then weigh the same.
        number = np.bincount(pairs.query, minlength=pairs.queries)
        total = np.bincount(pairs.query, weights=pairs.weight, minlength=pairs.queries)
        weight = total / np.maximum(number, 1)
    statistics = {}
    for name, values in found.items():
        some = np.flatnonzero(np.isfinite(values))
        statistics[name] = mean_of_pairs(
            values[some], some, pairs.queries, weight[some], (0.0, 1.0)
        )
    return statistics
