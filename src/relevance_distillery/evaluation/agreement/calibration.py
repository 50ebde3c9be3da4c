"""Calibration of a judge's probabilities.

Measured twice: for the likeliest grade, and for `relevant` (the summed probability of all grades
from the threshold on). Each has a reliability
diagram (Murphy and Winkler, 1977), the expected calibration error over equally wide bins
(Naeini et al., 2015) and the Brier score (Brier, 1950).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relevance_distillery.evaluation.agreement.confusion import divide
from relevance_distillery.evaluation.agreement.estimates import NO_INTERVAL, Options, estimates
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, ratio
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]

BINS = 10

_NO_PAIRS = "there are no graded pairs with probabilities"


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Mean distance of confidence and accuracy over equally wide bins (Naeini et al., 2015).

    Args:
        confidence: Probability of the given grade, shape (pairs,).
        right: Whether people gave that grade, shape (pairs,).
        bins: How many bins between 0 and 1.

    Returns:
        0 for perfect calibration, at most 1; nan without pairs.
    """
    sure, hit = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    query = np.zeros(sure.size, dtype=np.int64)
    sums = _Binned.of(sure, hit, query, 1, None, bins).sums
    return float(_calibration_error(sums.reshape(1, -1))[0])


def measure_calibration(
    pairs: GradedPairs, probabilities: Floats, scale: GradeScale, options: Options | None = None
) -> dict[str, Any]:
    """Calibration of a judge's probabilities.

    Args:
        pairs: People's grades of the pairs that have probabilities; what `judge` holds does not
            matter.
        probabilities: Of the grades, lowest first, shape (pairs, grades).
        scale: The grades.
        options: How the figures are computed.

    Returns:
        `pairs`, and of the likeliest grade `ece`, `brier` (squared distances summed over the
        grades, 0 to 2) and `bins` (low, high, confidence, accuracy, pairs); of relevant or not
        the same under `relevant`, its bins with `predicted` and `observed` with an interval.
        Empty bins are left out.

    Raises:
        ValueError: The probabilities do not fit the scale or the pairs.
    """
    if probabilities.shape != (pairs.human.size, scale.size):
        raise ValueError(
            f"probabilities of shape {probabilities.shape} for {pairs.human.size} pairs and "
            f"{scale.size} grades"
        )
    options = options or Options()
    place = scale.positions(pairs.human)
    truth = (place[:, None] == np.arange(scale.size)).astype(np.float64)
    top = probabilities.argmax(axis=1) if len(place) else np.zeros(0, dtype=np.int64)
    sure = probabilities[np.arange(len(place)), top]
    first = int(scale.positions([scale.relevant_from])[0])
    chance = np.clip(probabilities[:, first:].sum(1), 0.0, 1.0)
    relevant = (place >= first).astype(np.float64)
    by_grade = _binned(pairs, sure, (top == place).astype(np.float64))
    by_side = _binned(pairs, chance, relevant)
    groups: dict[str, dict[str, SumStatistic]] = {
        "grade": {
            "ece": SumStatistic(by_grade.flat, _calibration_error, (0.0, 1.0)),
            "brier": _mean(pairs, ((probabilities - truth) ** 2).sum(1), 2.0),
        },
        "relevant": {
            "ece": SumStatistic(by_side.flat, _calibration_error, (0.0, 1.0)),
            "brier": _mean(pairs, (chance - relevant) ** 2, 1.0),
        },
        "observed": {
            str(number): SumStatistic(by_side.sums[:, [2, 0], number], ratio, (0.0, 1.0))
            for number in by_side.filled
        },
    }
    found = estimates(groups, options, lambda _: _NO_PAIRS)
    return {
        "pairs": int(pairs.human.size),
        **found["grade"],
        "bins": by_grade.rows("confidence", "accuracy"),
        "relevant": {
            **found["relevant"],
            "bins": [
                row
                | {"observed_low": inner["low"], "observed_high": inner["high"]}
                | ({"reason": NO_INTERVAL} if "reason" in inner else {})
                for row, inner in zip(
                    by_side.rows("predicted", "observed"), found["observed"].values(), strict=True
                )
            ],
        },
    }


@dataclass(frozen=True)
class _Binned:
    """What falls into each bin.

    Attributes:
        sums: Weight of the pairs, of their probabilities and of those that came true, shape
            (queries, 3, bins).
        pairs: Number of pairs, shape (bins,).
    """

    sums: Floats
    pairs: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        probability: Floats,
        happened: Floats,
        query: NDArray[np.int64],
        queries: int,
        weight: Floats | None,
        bins: int,
    ) -> _Binned:
        place = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
        share = np.ones(probability.size) if weight is None else weight
        cells = query * bins + place
        parts = [
            np.bincount(cells, weights=values, minlength=queries * bins).reshape(queries, bins)
            for values in (share, share * probability, share * happened)
        ]
        return cls(np.stack(parts, axis=1), np.bincount(place, minlength=bins))

    @property
    def flat(self) -> Floats:
        """The sums, shape (queries, 3 * bins)."""
        return self.sums.reshape(len(self.sums), 3 * self.pairs.size)

    @property
    def filled(self) -> list[int]:
        """Bins with pairs."""
        return [int(place) for place in np.flatnonzero(self.pairs)]

    def rows(self, predicted: str, observed: str) -> list[dict[str, Any]]:
        """Bins with pairs for a reliability diagram, under these names."""
        size, said, came = self.sums.sum(0)
        bins = self.pairs.size
        return [
            {
                "low": number(place / bins),
                "high": number((place + 1) / bins),
                predicted: number(said[place] / size[place]),
                observed: number(came[place] / size[place]),
                "pairs": int(self.pairs[place]),
            }
            for place in self.filled
        ]


def _binned(pairs: GradedPairs, probability: Floats, happened: Floats) -> _Binned:
    return _Binned.of(probability, happened, pairs.query, pairs.queries, pairs.weight, BINS)


def _calibration_error(sums: Floats) -> Floats:
    """From flat sums, shape (n, 3 * bins), to errors, shape (n,)."""
    size, predicted, observed = np.moveaxis(sums.reshape(len(sums), 3, sums.shape[1] // 3), 1, 0)
    return divide(np.abs(predicted - observed).sum(1), size.sum(1))


def _mean(pairs: GradedPairs, values: Floats, highest: float) -> SumStatistic:
    """The mean over pairs of values between 0 and the highest."""
    weight = np.ones(values.size) if pairs.weight is None else pairs.weight
    sums = [
        np.bincount(pairs.query, weights=part, minlength=pairs.queries)
        for part in (values * weight, weight)
    ]
    return SumStatistic(np.column_stack(sums), ratio, (0.0, highest))
