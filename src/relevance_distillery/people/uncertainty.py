"""How uncertain judges are about a pair: where a person's grade teaches most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]

KEY = ["query_id", "passage_id"]


def uncertainties(labels: pd.DataFrame, scale: GradeScale, measure: str) -> pd.DataFrame:
    """Uncertainty about every labelled pair, from all judges that graded it.

    Each judge gives a distribution over the grades: its probabilities where there are any,
    else all of it on its grade. The measures are

    - `entropy` of the mean distribution: high where one judge is unsure and where sure judges
      contradict each other (consensus entropy; McCallum and Nigam, 1998);
    - `confidence`: 1 minus the highest mean probability (least confidence; Lewis and Gale, 1994);
    - `disagreement`: mean distance of two judges' grades, in grades, over all couples.

    Args:
        labels: Columns query_id, passage_id, judge, grade, probabilities.
        scale: The grades.
        measure: `entropy`, `confidence` or `disagreement`.

    Returns:
        Columns query_id, passage_id, uncertainty; 0 where judges are certain and agree.

    Raises:
        UserError: Uncertainty cannot be measured: a single judge without probabilities, or
            `disagreement` with a single judge.
    """
    judges = labels["judge"].nunique()
    has_probabilities = labels["probabilities"].notna().any()
    if judges < 2 and (measure == "disagreement" or not has_probabilities):
        lack = "probabilities" if measure != "disagreement" else "a second judge to differ from"
        raise UserError(
            f"design=active: the labels are of one judge without {lack}; label with a judge that "
            "gives probabilities, or name further judges with hand_grading.doubters"
        )
    places = scale.positions(labels["grade"].to_numpy())
    if measure == "disagreement":
        return _per_pair(labels, lambda rows: _mean_distance(places[rows]))
    spread = _distributions(labels, places, scale.size)
    if measure == "confidence":
        return _per_pair(labels, lambda rows: 1.0 - float(spread[rows].mean(0).max()))
    return _per_pair(labels, lambda rows: _entropy(spread[rows].mean(0)))


def _per_pair(labels: pd.DataFrame, measure: Callable[[NDArray[np.int64]], float]) -> pd.DataFrame:
    number = labels.groupby(KEY, sort=False).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    pairs = labels[KEY].iloc[[int(rows[0]) for rows in groups]].reset_index(drop=True)
    return pairs.assign(uncertainty=[round(measure(rows), 9) for rows in groups])


def _distributions(labels: pd.DataFrame, places: NDArray[np.int64], size: int) -> Floats:
    """One distribution a label, shape (labels, grades)."""
    found = np.eye(size)[places]
    for row, given in enumerate(labels["probabilities"]):
        if isinstance(given, list | tuple | np.ndarray) and len(given) == size:
            found[row] = given
    return found


def _entropy(chances: Floats) -> float:
    some = chances[chances > 0]
    return float(-(some * np.log(some)).sum())


def _mean_distance(places: NDArray[np.int64]) -> float:
    couples = places.size * (places.size - 1)
    return float(np.abs(places[:, None] - places[None, :]).sum() / couples) if couples else 0.0
