"""Agreement on one question at a time: does this document have at least this grade?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.estimates import Options, estimates
from relevance_distillery.evaluation.agreement.metrics import counts_by_query
from relevance_distillery.evaluation.agreement.pairs import GradedPairs
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]

_UNDEFINED = {
    "kappa": "people and judge put all pairs on the same side of the threshold",
    "precision": "the judge put no pair at or above the threshold",
    "recall": "people put no pair at or above the threshold",
    "f1": "neither people nor judge put a pair at or above the threshold",
    "accuracy": "there are no graded pairs",
}


def measure_thresholds(
    judges: dict[str, GradedPairs], scale: GradeScale, options: Options | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Binary agreement at each grade above the lowest.

    Args:
        judges: What people and each judge that gives grades said.
        scale: The grades.
        options: How the figures are computed.

    Returns:
        By judge one entry a threshold: `from` and `name` (the grade), `people` and `judge`
        (share of pairs at or above it, null without pairs), and estimates with intervals of
        kappa, precision, recall, f1 and accuracy, people being right.
    """
    counts = {name: counts_by_query(pairs, scale) for name, pairs in judges.items()}
    figures: dict[str, dict[str, SumStatistic]] = {
        f"{place} {name}": {metric: _figure(by_query, place, metric) for metric in _FIGURES}
        for name, by_query in counts.items()
        for place in range(1, scale.size)
    }
    found = estimates(figures, options or Options(), _UNDEFINED.__getitem__)
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, by_query in counts.items():
        whole = by_query.sum(0)
        rows[name] = []
        for place in range(1, scale.size):
            halves = confusion.halves(whole, place)
            shares = halves / max(halves.sum(), 1e-12)
            there = halves.sum() > 0
            rows[name].append(
                {
                    "from": scale.grades[place].value,
                    "name": scale.grades[place].name,
                    "people": number(shares[1].sum()) if there else None,
                    "judge": number(shares[:, 1].sum()) if there else None,
                    **found[f"{place} {name}"],
                }
            )
    return rows


def _figure(by_query: Floats, threshold: int, metric: str) -> SumStatistic:
    size = by_query.shape[-1]
    lowest = -1.0 if metric == "kappa" else 0.0

    def finish(sums: Floats) -> Floats:
        return _FIGURES[metric](confusion.halves(sums.reshape(-1, size, size), threshold))

    return SumStatistic(by_query.reshape(-1, size * size), finish, (lowest, 1.0))


def _precision(halves: Floats) -> Floats:
    return confusion.precision_by_grade(halves)[..., 1]


def _recall(halves: Floats) -> Floats:
    return confusion.recall_by_grade(halves)[..., 1]


def _f1(halves: Floats) -> Floats:
    """Harmonic mean of precision and recall (van Rijsbergen, 1979), shape (...)."""
    wrong = halves[..., 0, 1] + halves[..., 1, 0]
    return confusion.divide(2.0 * halves[..., 1, 1], 2.0 * halves[..., 1, 1] + wrong)


_FIGURES: dict[str, Callable[[Floats], Floats]] = {
    "kappa": confusion.kappa,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "accuracy": confusion.accuracy,
}
