"""How well people agree with people: what a judge can hope for."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.metrics import (
    METRICS,
    GradedPairs,
    graded_statistics,
)
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, interval
from relevance_distillery.evaluation.statistics.numbers import interval_json
from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]

_UNSIGNED = tuple(name for name in METRICS if name != "bias")
"""Between equals a bias has no direction."""


def human_ceiling(
    annotators: pd.DataFrame | None,
    scale: GradeScale,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Every metric of each person against each other person, averaged over the couples.

    Args:
        annotators: Columns query_id, document_id, annotator, grade; one row a grade. And
            weight, where the graded pairs are a sample in which not all count alike.
        scale: The grades.
        resamples: Resamples of queries for the intervals.
        seed: Seed of the resamples.
        level: Nominal coverage.

    Returns:
        Intervals by metric name; empty with fewer than two raters or none who graded the
        same pairs. Ranking metrics take the one as the truth and rank by the other.
    """
    if annotators is None or annotators["annotator"].nunique() < 2:
        return {}
    wide = annotators.pivot(index=["query_id", "document_id"], columns="annotator", values="grade")
    codes, names = pd.factorize(wide.index.get_level_values("query_id"))
    weight = None
    if "weight" in annotators:
        weight = annotators.groupby(["query_id", "document_id"])["weight"].first()
        weight = weight.reindex(wide.index)
    couples: list[dict[str, SumStatistic]] = []
    for one, other in permutations(sorted(wide.columns), 2):
        both = (wide[one].notna() & wide[other].notna()).to_numpy()
        if both.any():
            pairs = GradedPairs(
                human=wide.loc[both, one].to_numpy(dtype=np.int64),
                judge=wide.loc[both, other].to_numpy(dtype=np.float64),
                query=codes[both].astype(np.int64),
                queries=len(names),
                weight=None if weight is None else weight.to_numpy(dtype=np.float64)[both],
            )
            couples.append(graded_statistics(pairs, scale))
    if not couples:
        return {}
    return {
        name: interval_json(
            interval(_mean([couple[name] for couple in couples]), resamples, seed, level),
            METRICS[name].undefined,
            "too few queries for an interval",
        )
        for name in _UNSIGNED
    }


def _mean(parts: list[SumStatistic]) -> SumStatistic:
    """The mean of figures over the same queries."""
    width = parts[0].sums.shape[1]

    def finish(sums: Floats) -> Floats:
        values = [
            part.finish(sums[:, place * width : (place + 1) * width])
            for place, part in enumerate(parts)
        ]
        return np.mean(values, axis=0)

    return SumStatistic(np.hstack([part.sums for part in parts]), finish)
