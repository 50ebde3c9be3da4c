"""Make probabilities mean what they say, and turn them into grades.

A link of the score gives the probabilities (proportional odds; McCullagh, 1980):
P(grade > k) = sigmoid(slope * score - cut_k). Four numbers for four grades, so that little data
fits it, and a better score never has a worse expected grade. It is fitted to grades or
probabilities as the mode of a posterior (MAP), with a Gaussian prior around where the fit starts,
or moved until the mean probability of each grade is what a user expects.

Cut points on the expected grade give each grade to as many pairs as the judge did. Cut points that
maximise kappa on the same pairs overfit, and are worse than the shares on another collection (see
docs/results/student.md). Everything is plain numbers, stored as JSON.

A labeler orders the passages of a query better than it knows how good they are as a whole. So a
query can have a shift of its own: P(grade > k) = sigmoid(slope * (score + shift) - cut_k), a random
intercept. How far queries lie apart is estimated from all of them by marginal maximum likelihood,
and each one's shift is its posterior mean, so that few grades, or queries that hardly differ, shift
little (empirical Bayes; Efron and Morris, 1973).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit, logit, logsumexp, softmax

from relevance_distillery.grading import GradeScale
from relevance_distillery.strict import StrictModel

Array = NDArray[np.float64]
_DIGITS = 6
_STEP = 10.0**-_DIGITS
_INFORMATION = 0.25
"""Fisher information of a pair at even odds about a logit: the unit of the prior's strength."""

_SMALLEST_GAP = 0.05
_SMALLEST_SHARE = 1e-6
_HARDLY_ANY_PRIOR = 0.1
_LIMITS = (4.0, 20.0, 6.0)  # of log slope, mean of the cuts, log gaps
_ENOUGH_SCORES, _SPREAD = 1000, 9

FEWEST_GRADES = 2
"""Grades that a query needs for a shift: one is left out to see whether the others foretell it."""

FEWEST_QUERIES = 10
"""Of fewer queries the spread cannot be told, and is taken to be the usual one."""

USUAL_SPREAD = 0.8
"""Standard deviation of shifts, in logits; .6 to .9 by GPT-4o's grades of TREC DL 2020."""

_STEPS = np.linspace(-6.0, 6.0, 49)  # shifts in logits
_SPREADS = np.linspace(0.1, 3.0, 30)
_SMALLEST_CHANCE = 1e-6


class Link(StrictModel):
    """From the score to probabilities: P(grade > k) = sigmoid(slope * score - cut_k)."""

    slope: float = Field(gt=0)
    """How fast the odds of a better grade grow with the score."""
    cuts: tuple[float, ...]
    """Where each grade ends, never decreasing, shape (grades - 1,)."""

    def probabilities(self, scores: Array) -> Array:
        """One probability a grade, lowest first, shape (pairs, grades)."""
        return _differences(expit(self.slope * scores[:, None] - np.asarray(self.cuts)))


def midpoints(scale: GradeScale) -> Array:
    """Cut points halfway between neighbouring grades, shape (grades - 1,)."""
    values = scale.values.astype(np.float64)
    return (values[1:] + values[:-1]) / 2


def cut_points_at(
    shares: Array, expected: Array, scale: GradeScale, weights: Array | None = None
) -> Array:
    """Cut points on the expected grade that give each grade to its share of the pairs.

    Shares are of the grades, lowest first; expected grades and weights (how many pairs each one
    counts for; None for one) have shape (pairs,).

    Returns:
        Non-decreasing, shape (grades - 1,), rounded to 6 digits; midpoints without pairs.
    """
    cuts = midpoints(scale)
    if len(expected) == 0:
        return cuts
    order = np.argsort(expected, kind="stable")
    ordered = np.round(expected, _DIGITS)[order]
    mass = np.cumsum(np.ones(len(order)) if weights is None else weights[order])
    mass = mass / mass[-1]
    for k, below in enumerate(np.cumsum(shares)[:-1]):
        place = int(np.searchsorted(mass, below + 1e-9, side="right"))
        if place == 0:
            cuts[k] = min(cuts[k], ordered[0])
        elif place == len(ordered):
            cuts[k] = max(cuts[k], ordered[-1] + _STEP)
        else:
            cuts[k] = (ordered[place - 1] + ordered[place]) / 2
    ordered_cuts: Array = np.maximum.accumulate(cuts)
    return np.round(ordered_cuts, _DIGITS)


def cut_points_like(positions: NDArray[np.int64], expected: Array, scale: GradeScale) -> Array:
    """Cut points that give each grade as often as the judge gave it to the same pairs.

    The judge's grades are positions on the scale, shape (pairs,), as the expected grades.
    """
    shares = np.bincount(positions, minlength=scale.size) / max(len(positions), 1)
    return cut_points_at(shares, expected, scale)


def quadratic_kappa(
    first: NDArray[np.int64], second: NDArray[np.int64], grades: int, weights: Array | None = None
) -> float:
    """Quadratic kappa (Cohen, 1968) of two raters' grades; 0 where it is not defined.

    Grades are positions on the scale, shape (pairs,); `weights` is how many pairs each one counts
    for, None for one.
    """
    counts = np.bincount(first * grades + second, weights, minlength=grades * grades)
    observed = counts.reshape(grades, grades).astype(np.float64)
    ranks = np.arange(grades, dtype=np.float64)
    distances = (ranks[:, None] - ranks[None, :]) ** 2
    chance = np.outer(observed.sum(1), observed.sum(0)) / max(observed.sum(), 1.0)
    disagreement = float((distances * chance).sum())
    if disagreement <= 0:
        return 0.0
    return 1.0 - float((distances * observed).sum()) / disagreement


@dataclass(frozen=True)
class _Standardised:
    """Scores standardised to mean 0 and deviation 1, on which a fit is well conditioned."""

    center: float
    spread: float

    @classmethod
    def of(cls, scores: Array) -> Self:
        spread = float(scores.std())
        return cls(float(scores.mean()), spread if spread > 1e-9 else 1.0)

    def link(self, slope: float, cuts: Array) -> Link:
        """A link of the standardised score as one of the score itself."""
        slope = max(slope / self.spread, 1e-12)
        moved = np.maximum.accumulate(np.round(cuts + slope * self.center, 9))
        return Link(slope=slope, cuts=tuple(moved.tolist()))


def fit_link(
    scores: Array, targets: Array, weights: Array, start: Link, prior_pairs: float
) -> Link:
    """The link that explains the grades, with another one as prior.

    A fit moves the log of the slope, the mean of the cuts, and the logs of the gaps between them,
    so that cuts stay in order.

    Args:
        scores: The labeler's scores, shape (pairs,).
        targets: Probabilities of the grades, one-hot for grades, shape (pairs, grades).
        weights: How many pairs each one counts for, shape (pairs,).
        start: The mode of the prior.
        prior_pairs: How many pairs at even odds the prior weighs as much as.
    """
    from scipy.optimize import minimize

    standardised = _Standardised.of(scores)
    standard = (scores - standardised.center) / standardised.spread
    slope = start.slope * standardised.spread
    cuts = np.asarray(start.cuts) - start.slope * standardised.center
    gaps = np.maximum(np.diff(cuts), _SMALLEST_GAP)
    # From gaps to cuts whose mean is 0, shape (cuts, cuts - 1).
    steps = np.tril(np.ones((len(cuts), len(cuts) - 1)), -1)
    offsets = steps - steps.mean(axis=0)
    precision = prior_pairs * _INFORMATION

    def unfold(moves: Array) -> tuple[float, Array, Array]:
        wider = gaps * np.exp(moves[2:])
        steep = slope * float(np.exp(moves[0]))
        return steep, wider, cuts.mean() + moves[1] + offsets @ wider

    def loss(moves: Array) -> tuple[float, Array]:
        steep, wider, placed = unfold(moves)
        above = expit(steep * standard[:, None] - placed)
        chances = np.maximum(_differences(above), 1e-12)
        value = -float(weights @ (targets * np.log(chances)).sum(axis=1))
        pull = targets / chances
        slack = (pull[:, :-1] - pull[:, 1:]) * above * (1 - above) * weights[:, None]
        towards_cuts = -slack.sum(axis=0)
        gradient = np.concatenate(
            [
                [steep * float(standard @ slack.sum(axis=1)), towards_cuts.sum()],
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
    return standardised.link(steep, placed)


def fit_link_to_probabilities(scores: Array, probabilities: Array, weights: Array) -> Link:
    """The link from scores that comes nearest to given probabilities, by cross-entropy."""
    standardised = _Standardised.of(scores)
    shares = weights @ probabilities / weights.sum()
    below = np.clip(np.cumsum(shares)[:-1], 0.001, 0.999)
    start = standardised.link(1.0, logit(below))
    # So little that it matters only where nothing else is known.
    return fit_link(scores, probabilities, weights, start, _HARDLY_ANY_PRIOR)


def match_shares(scores: Array, start: Link, shares: Array) -> Link:
    """Cuts at which the mean probability of each grade is its expected share, lowest grade first.

    Scores are of pairs drawn from the collection; the slope of `start` is kept.
    """
    from scipy.optimize import brentq

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

    They lie on the expected grade and never decrease, shape (grades - 1,). Few scores are smoothed
    first (Silverman, 1986), since their gaps are chance.
    """
    scores, weights = _smoothed(scores, weights)
    probabilities = link.probabilities(scores)
    expected = probabilities @ scale.values.astype(np.float64)
    return cut_points_at(weights @ probabilities / weights.sum(), expected, scale, weights)


def log_likelihoods(link: Link, scores: Array, positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of grades as positions on the scale, for every shift on a grid, shape (pairs, steps)."""
    cuts = np.array([-np.inf, *link.cuts, np.inf])
    logits = link.slope * scores[:, None] + _STEPS
    chances = expit(logits - cuts[positions, None]) - expit(logits - cuts[positions + 1, None])
    return np.log(np.maximum(chances, _SMALLEST_CHANCE))


def spread_of(levels: NDArray[np.float64]) -> float:
    """Standard deviation of queries' shifts in logits.

    `levels` are sums of `log_likelihoods`, shape (queries, steps).
    """
    if len(levels) < FEWEST_QUERIES:
        return USUAL_SPREAD
    evidence = [logsumexp(levels + _prior(spread), axis=1).sum() for spread in _SPREADS]
    return round(float(_SPREADS[np.argmax(evidence)]), 6)


def mean_shifts(levels: NDArray[np.float64], spread: float, link: Link) -> Array:
    """Posterior means, in units of the score; shapes (queries, steps) and (queries,)."""
    return softmax(levels + _prior(spread), axis=1) @ _STEPS / link.slope


def _differences(above: Array) -> Array:
    """From P(grade > k), shape (pairs, grades - 1), to P(grade), shape (pairs, grades)."""
    one, none = np.ones((len(above), 1)), np.zeros((len(above), 1))
    return np.hstack([one, above]) - np.hstack([above, none])


def _smoothed(scores: Array, weights: Array) -> tuple[Array, Array]:
    """Each score as nine, spread by the normal distribution; many scores as they are."""
    if len(scores) >= _ENOUGH_SCORES:
        return scores, weights
    from scipy.stats import norm

    width = 1.06 * float(scores.std()) * len(scores) ** -0.2
    steps = norm.ppf((np.arange(_SPREAD) + 0.5) / _SPREAD)
    return (scores[:, None] + width * steps).ravel(), np.repeat(weights / _SPREAD, _SPREAD)


def _prior(spread: float) -> NDArray[np.float64]:
    density = -0.5 * (_STEPS / spread) ** 2
    return density - logsumexp(density)
