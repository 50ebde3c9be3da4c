"""How well people agree with people: what a judge can hope for."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement.estimates import Options, estimates
from relevance_distillery.evaluation.agreement.metrics import METRICS, graded_statistics
from relevance_distillery.evaluation.agreement.ratings import Ratings, mean_of_couples
from relevance_distillery.grading import GradeScale

_UNSIGNED = tuple(name for name in METRICS if name != "bias")
"""Between equals a bias has no direction."""


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
    figures = {name: mean[name] for name in _UNSIGNED}
    return estimates({"people": figures}, options or Options())["people"]
