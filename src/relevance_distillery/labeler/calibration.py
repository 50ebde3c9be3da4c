"""Make probabilities mean what they say, and turn them into grades.

Isotonic regression per grade (Zadrozny & Elkan, 2002), renormalised; a grade with too few
examples takes its column from temperature scaling (Guo et al., 2017), which has one parameter.
Cut points on the expected grade maximise quadratic kappa, as the metric of the report does.
A link of the score (see `recalibration`) takes the place of both where there is one. Everything
is plain numbers, stored as JSON.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from relevance_distillery.grading import GradeScale

Array = NDArray[np.float64]
ENOUGH_EXAMPLES = 100
_CANDIDATE_CUTS = 99
_SWEEPS = 4


class Knots(BaseModel):
    """A monotone piecewise linear function: from raw to calibrated probability."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: tuple[float, ...]
    y: tuple[float, ...]


class Link(BaseModel):
    """From the score to probabilities: P(grade > k) = sigmoid(slope * score - cut_k).

    Attributes:
        slope: How fast the odds of a better grade grow with the score.
        cuts: Where each grade ends, never decreasing, shape (grades - 1,).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float = Field(gt=0)
    cuts: tuple[float, ...]

    def probabilities(self, scores: Array) -> Array:
        """One probability a grade, lowest first, shape (pairs, grades)."""
        above = expit(self.slope * scores[:, None] - np.asarray(self.cuts))
        ends = np.ones((len(scores), 1)), np.zeros((len(scores), 1))
        return np.hstack([ends[0], above]) - np.hstack([above, ends[1]])


class Calibration(BaseModel):
    """Calibrators of all grades.

    Attributes:
        temperature: Divides log probabilities; 1 changes nothing.
        isotonic: One function a grade, None where the temperature serves.
        link: Takes the place of both; None where the labeler was not recalibrated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = 1.0
    isotonic: tuple[Knots | None, ...] = ()
    link: Link | None = None

    def apply(self, probabilities: Array, scores: Array | None = None) -> Array:
        """Calibrated probabilities, shape (pairs, grades); rows sum to 1.

        Args:
            probabilities: The labeler's raw probabilities, shape (pairs, grades).
            scores: Its scores, shape (pairs,); a link reads nothing else.

        Raises:
            ValueError: There is a link and no scores.
        """
        if self.link is not None:
            if scores is None:
                raise ValueError("a recalibrated labeler needs the scores of the pairs")
            return self.link.probabilities(scores)
        tempered = _temper(probabilities, self.temperature)
        columns = tempered.copy()
        for grade, knots in enumerate(self.isotonic):
            if knots is not None:
                columns[:, grade] = np.interp(probabilities[:, grade], knots.x, knots.y)
        total = columns.sum(axis=1, keepdims=True)
        # Where every function says zero there is nothing to renormalise.
        return np.where(total > 1e-9, columns / np.maximum(total, 1e-9), tempered)


def fit_calibration(
    probabilities: Array, targets: Array, positions: NDArray[np.int64]
) -> Calibration:
    """Calibrators fitted on pairs that training never saw.

    Args:
        probabilities: The labeler's raw probabilities, shape (pairs, grades).
        targets: The judge's probabilities, one-hot where it gives grades only.
        positions: The judge's grades as positions on the scale, shape (pairs,); they decide
            which grades have enough examples for isotonic regression.

    Returns:
        The identity when there are no pairs.
    """
    if len(probabilities) == 0:
        return Calibration()

    def loss(log_temperature: float) -> float:
        tempered = _temper(probabilities, float(np.exp(log_temperature)))
        return float(-(targets * np.log(np.maximum(tempered, 1e-12))).sum(axis=1).mean())

    best = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    isotonic: list[Knots | None] = []
    for grade in range(probabilities.shape[1]):
        if int((positions == grade).sum()) < ENOUGH_EXAMPLES:
            isotonic.append(None)
            continue
        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        model.fit(probabilities[:, grade], targets[:, grade])
        isotonic.append(
            Knots(
                x=tuple(np.round(model.X_thresholds_, 6).tolist()),
                y=tuple(np.round(model.y_thresholds_, 6).tolist()),
            )
        )
    return Calibration(temperature=round(float(np.exp(best.x)), 6), isotonic=tuple(isotonic))


def cross_fitted(
    probabilities: Array,
    targets: Array,
    positions: NDArray[np.int64],
    queries: NDArray[np.object_],
    seed: int,
) -> Array:
    """Probabilities calibrated by calibrators that never saw the pair's query.

    Queries are dealt into two halves; each half is calibrated by the other, so that what is
    fitted next on the result does not learn the calibrators' own errors.
    """
    names = np.array(sorted(set(queries.tolist())), dtype=object)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    half = dict(zip(names[shuffled].tolist(), np.arange(len(names)) % 2, strict=True))
    side = np.array([half[name] for name in queries.tolist()], dtype=np.int64)
    calibrated = np.array(probabilities, dtype=np.float64)
    for here in (0, 1):
        learn, use = side != here, side == here
        if learn.any() and use.any():
            fitted = fit_calibration(probabilities[learn], targets[learn], positions[learn])
            calibrated[use] = fitted.apply(probabilities[use])
    return calibrated


def midpoints(scale: GradeScale) -> Array:
    """Cut points halfway between neighbouring grades, shape (grades - 1,)."""
    values = scale.values.astype(np.float64)
    return (values[1:] + values[:-1]) / 2


def fit_cut_points(expected: Array, positions: NDArray[np.int64], scale: GradeScale) -> Array:
    """Cut points on the expected grade with the best quadratic kappa against the judge.

    Coordinate ascent over quantiles of `expected` from the midpoints; a cut moves only for a
    real gain, so grades that nobody used keep their midpoints.

    Args:
        expected: Expected grades, shape (pairs,).
        positions: The judge's grades as positions on the scale, shape (pairs,).
        scale: The grades.

    Returns:
        Non-decreasing, shape (grades - 1,), rounded to 6 digits.
    """
    cuts = midpoints(scale)
    if len(expected) == 0 or len(np.unique(positions)) < 2:
        return cuts
    candidates = np.unique(np.quantile(expected, np.linspace(0.005, 0.995, _CANDIDATE_CUTS)))
    best = kappa_of_positions(positions, np.searchsorted(cuts, expected, "right"), scale.size)
    for _ in range(_SWEEPS):
        before = best
        for k in range(len(cuts)):
            low = cuts[k - 1] if k else -np.inf
            high = cuts[k + 1] if k + 1 < len(cuts) else np.inf
            for candidate in candidates[(candidates >= low) & (candidates <= high)]:
                trial = cuts.copy()
                trial[k] = candidate
                graded = np.searchsorted(trial, expected, "right")
                value = kappa_of_positions(positions, graded, scale.size)
                if value > best + 1e-6:
                    best, cuts = value, trial
        if best <= before:
            break
    return np.round(cuts, 6)


def kappa_of_positions(first: NDArray[np.int64], second: NDArray[np.int64], grades: int) -> float:
    """Quadratic kappa (Cohen, 1968) of two arrays of positions; 0 where it is not defined."""
    table = np.bincount(first * grades + second, minlength=grades * grades)
    return kappa_of_table(table.reshape(grades, grades).astype(np.float64))


def kappa_of_table(observed: Array) -> float:
    """Quadratic kappa of a table of counts or weights, shape (grades, grades)."""
    ranks = np.arange(len(observed), dtype=np.float64)
    weights = (ranks[:, None] - ranks[None, :]) ** 2
    chance = np.outer(observed.sum(1), observed.sum(0)) / max(observed.sum(), 1.0)
    disagreement = float((weights * chance).sum())
    if disagreement <= 0:
        return 0.0
    return 1.0 - float((weights * observed).sum()) / disagreement


def _temper(probabilities: Array, temperature: float) -> Array:
    logs = np.log(np.maximum(probabilities, 1e-12)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
