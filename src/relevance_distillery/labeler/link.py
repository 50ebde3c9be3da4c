"""Fit the link from score to grades: by grades, by probabilities, or by expected shares.

P(grade > k) = sigmoid(slope * score - cut_k), proportional odds (McCullagh, 1980). A fit moves
three kinds of number: the log of the slope, where the cuts stand on average, and the logs of the
gaps between them, so that cuts stay in order. Each has a Gaussian prior around where the fit
starts; the estimate is the mode of the posterior (MAP). Plain NumPy and SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from scipy.stats import norm

from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.calibration import Array, Link, cut_points_at

INFORMATION = 0.25
"""What a pair at even odds tells about a logit (Fisher): the unit of the prior's strength."""

_SMALLEST_GAP = 0.05
_SMALLEST_SHARE = 1e-6
_HARDLY_ANY_PRIOR = 0.1
_LIMITS = (4.0, 20.0, 6.0)  # of log slope, mean of the cuts, log gaps
_ENOUGH_SCORES, _SPREAD = 1000, 9


@dataclass(frozen=True)
class _Frame:
    """Scores on a scale on which a fit is well behaved: mean 0, deviation 1."""

    center: float
    spread: float

    @classmethod
    def of(cls, scores: Array) -> _Frame:
        spread = float(scores.std())
        return cls(float(scores.mean()), spread if spread > 1e-9 else 1.0)

    def link(self, slope: float, cuts: Array) -> Link:
        """A link of the framed score as one of the score itself."""
        slope = max(slope / self.spread, 1e-12)
        moved = np.maximum.accumulate(np.round(cuts + slope * self.center, 9))
        return Link(slope=slope, cuts=tuple(moved.tolist()))


def fit_link(
    scores: Array, targets: Array, weights: Array, start: Link, prior_pairs: float
) -> Link:
    """The link that explains the grades, pulled to another one.

    Args:
        scores: The labeler's scores, shape (pairs,).
        targets: Probabilities of the grades, one-hot for grades, shape (pairs, grades).
        weights: How many pairs each one counts for, shape (pairs,).
        start: The mode of the prior.
        prior_pairs: How many pairs at even odds the prior weighs as much as.
    """
    frame = _Frame.of(scores)
    framed = (scores - frame.center) / frame.spread
    slope = start.slope * frame.spread
    cuts = np.asarray(start.cuts) - start.slope * frame.center
    gaps = np.maximum(np.diff(cuts), _SMALLEST_GAP)
    offsets = _centred(len(cuts))
    precision = prior_pairs * INFORMATION

    def unfold(moves: Array) -> tuple[float, Array, Array]:
        wider = gaps * np.exp(moves[2:])
        steep = slope * float(np.exp(moves[0]))
        return steep, wider, cuts.mean() + moves[1] + offsets @ wider

    def loss(moves: Array) -> tuple[float, Array]:
        steep, wider, placed = unfold(moves)
        above = expit(steep * framed[:, None] - placed)
        ends = np.ones((len(framed), 1)), np.zeros((len(framed), 1))
        chances = np.maximum(np.hstack([ends[0], above]) - np.hstack([above, ends[1]]), 1e-12)
        value = -float(weights @ (targets * np.log(chances)).sum(axis=1))
        pull = targets / chances
        slack = (pull[:, :-1] - pull[:, 1:]) * above * (1 - above) * weights[:, None]
        towards_cuts = -slack.sum(axis=0)
        gradient = np.concatenate(
            [
                [steep * float(framed @ slack.sum(axis=1)), towards_cuts.sum()],
                (towards_cuts @ offsets) * wider,
            ]
        )
        return value + 0.5 * precision * float(moves @ moves), gradient + precision * moves

    limits = [_LIMITS[0], _LIMITS[1], *[_LIMITS[2]] * len(gaps)]
    found = minimize(
        loss,
        np.zeros(len(limits)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-limit, limit) for limit in limits],
    )
    steep, _, placed = unfold(np.asarray(found.x, dtype=np.float64))
    return frame.link(steep, placed)


def imitate(scores: Array, probabilities: Array, weights: Array) -> Link:
    """The link that comes nearest to given probabilities, by cross-entropy.

    Args:
        scores: The labeler's scores, shape (pairs,).
        probabilities: Its calibrated probabilities, shape (pairs, grades).
        weights: How many pairs each one counts for, shape (pairs,).
    """
    frame = _Frame.of(scores)
    shares = weights @ probabilities / weights.sum()
    below = np.clip(np.cumsum(shares)[:-1], 0.001, 0.999)
    start = frame.link(1.0, logit(below))
    # So little that it matters only where nothing else is known.
    return fit_link(scores, probabilities, weights, start, _HARDLY_ANY_PRIOR)


def match_shares(scores: Array, start: Link, shares: Array) -> Link:
    """Cuts at which the mean probability of each grade is what it is expected to be.

    Args:
        scores: Of pairs drawn from the collection, shape (pairs,).
        start: Its slope is kept.
        shares: Expected share of each grade, lowest first, shape (grades,).
    """
    steep = start.slope * scores
    tails = np.clip(1 - np.cumsum(shares)[:-1], _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
    low, high = float(steep.min()) - 40.0, float(steep.max()) + 40.0
    cuts = [
        brentq(lambda cut, tail=tail: float(expit(steep - cut).mean()) - tail, low, high)
        for tail in tails
    ]
    return Link(slope=start.slope, cuts=tuple(np.maximum.accumulate(cuts).tolist()))


def cut_points_of(link: Link, scores: Array, weights: Array, scale: GradeScale) -> Array:
    """Cut points that give each grade to as many pairs as the link expects to have it.

    Few scores are smoothed first (Silverman, 1986), since their gaps are chance.

    Args:
        link: From score to probabilities.
        scores: Of pairs of the collection, shape (pairs,).
        weights: How many pairs each one counts for, shape (pairs,).
        scale: The grades.

    Returns:
        On the expected grade, never decreasing, shape (grades - 1,).
    """
    scores, weights = _smoothed(scores, weights)
    probabilities = link.probabilities(scores)
    expected = probabilities @ scale.values.astype(np.float64)
    return cut_points_at(weights @ probabilities / weights.sum(), expected, scale, weights)


def _smoothed(scores: Array, weights: Array) -> tuple[Array, Array]:
    """Each score as nine, spread by the normal distribution; many scores as they are."""
    if len(scores) >= _ENOUGH_SCORES:
        return scores, weights
    width = 1.06 * float(scores.std()) * len(scores) ** -0.2
    steps = norm.ppf((np.arange(_SPREAD) + 0.5) / _SPREAD)
    return (scores[:, None] + width * steps).ravel(), np.repeat(weights / _SPREAD, _SPREAD)


def _centred(cuts: int) -> Array:
    """From gaps to cuts whose mean is 0, shape (cuts, cuts - 1)."""
    steps = np.tril(np.ones((cuts, cuts - 1)), -1)
    return np.asarray(steps - steps.mean(axis=0))
