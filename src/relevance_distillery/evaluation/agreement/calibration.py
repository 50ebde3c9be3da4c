"""Calibration of a judge's probabilities.

Measured twice: for the likeliest grade, and for `relevant` (the summed probability of all grades
from the threshold on). Each has a reliability diagram (Murphy and Winkler, 1977), the expected
calibration error over equally wide bins (Naeini et al., 2015) and the Brier score (Brier, 1950).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relevance_distillery.evaluation.agreement.confusion import divide
from relevance_distillery.evaluation.agreement.estimates import NO_INTERVAL, Options, estimates
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.statistics.arrays import Floats, Ints
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, mean_of_pairs, ratio
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale

BINS = 10

_NO_PAIRS = "there are no graded pairs with probabilities"


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike) -> float:
    """Mean distance of confidence and accuracy over equally wide bins (Naeini et al., 2015).

    From probabilities of the given grades and whether people gave them, shapes (pairs,); 0 for
    perfect calibration, at most 1, nan without pairs.
    """
    sure, hit = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    parts = (np.ones(sure.size), sure, hit)
    sums = [np.bincount(_bin_of(sure), weights=part, minlength=BINS) for part in parts]
    return float(_calibration_error(np.array(sums, dtype=np.float64).reshape(1, -1))[0])


def measure_calibration(
    pairs: GradedPairs, probabilities: Floats, scale: GradeScale, options: Options | None = None
) -> dict[str, Any]:
    """Calibration of a judge's probabilities of the grades, lowest first, shape (pairs, grades).

    Of `pairs` people's grades count; what `judge` holds does not matter.

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
    by_grade = _Binned(pairs, sure, (top == place).astype(np.float64))
    by_side = _Binned(pairs, chance, relevant)

    def brier(squares: Floats, highest: float) -> SumStatistic:
        return mean_of_pairs(squares, pairs.query, pairs.queries, pairs.weight, (0.0, highest))

    groups: dict[str, dict[str, SumStatistic]] = {
        "grade": {"ece": by_grade.ece, "brier": brier(((probabilities - truth) ** 2).sum(1), 2.0)},
        "relevant": {"ece": by_side.ece, "brier": brier((chance - relevant) ** 2, 1.0)},
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


def _bin_of(probability: Floats) -> Ints:
    return np.clip((probability * BINS).astype(np.int64), 0, BINS - 1)


class _Binned:
    """Pairs by bins of probability.

    Attributes:
        sums: Weight of the pairs, of their probabilities and of those that came true, shape
            (queries, 3, bins).
        ece: The expected calibration error.
        pairs: Number of pairs, shape (bins,).
        filled: Bins with pairs.
    """

    def __init__(self, pairs: GradedPairs, probability: Floats, happened: Floats) -> None:
        place = _bin_of(probability)
        share = np.ones(probability.size) if pairs.weight is None else pairs.weight
        cells, shape = pairs.query * BINS + place, (pairs.queries, BINS)
        parts = [
            np.bincount(cells, weights=values, minlength=pairs.queries * BINS).reshape(shape)
            for values in (share, share * probability, share * happened)
        ]
        self.sums: Floats = np.stack(parts, axis=1).astype(np.float64)
        flat = self.sums.reshape(pairs.queries, 3 * BINS)
        self.ece = SumStatistic(flat, _calibration_error, (0.0, 1.0))
        self.pairs = np.bincount(place, minlength=BINS)
        self.filled = np.flatnonzero(self.pairs).tolist()

    def rows(self, predicted: str, observed: str) -> list[dict[str, Any]]:
        """Bins with pairs for a reliability diagram, under these names."""
        size, probability, true = self.sums.sum(0)
        return [
            {
                "low": number(place / BINS),
                "high": number((place + 1) / BINS),
                predicted: number(probability[place] / size[place]),
                observed: number(true[place] / size[place]),
                "pairs": int(self.pairs[place]),
            }
            for place in self.filled
        ]


def _calibration_error(sums: Floats) -> Floats:
    """From flat sums, shape (n, 3 * bins), to errors, shape (n,)."""
    size, predicted, observed = np.moveaxis(sums.reshape(len(sums), 3, BINS), 1, 0)
    return divide(np.abs(predicted - observed).sum(1), size.sum(1))
