"""Where one grade ends and the next begins, chosen without a single human grade.

Two samples of pairs anchor the scale: random pairs, nearly all of which are irrelevant, and
seed pairs, a query with the passage that it was written from, nearly all of which are
relevant. A grade's threshold is a quantile of one of them.
"""

from __future__ import annotations

import logging
import math

import numpy as np

from relevance_distillery.grading import GradeScale

logger = logging.getLogger(__name__)

MIN_GAP = 0.01
"""Smallest distance of two thresholds, in standard deviations of the score."""


def choose_thresholds(
    random: np.ndarray,
    seeds: np.ndarray,
    scale: GradeScale,
    *,
    related: float,
    relevant: float,
    perfect: float,
) -> np.ndarray:
    """Score thresholds between neighbouring grades.

    With four grades, relevant from the third: the first threshold is the `related` quantile
    of random pairs, the second the `relevant` and the third the `perfect` quantile of seed
    pairs. On another scale the thresholds below the first relevant grade are spread evenly
    in score between the first two anchors, those above it evenly in quantile between the
    last two; a scale without an irrelevant-but-related grade has no use for `related`
    except that no threshold lies below that anchor.

    Args:
        random: Scores of random pairs, any number above 0.
        seeds: Scores of seed pairs, any number above 0.
        scale: The grades.
        related: Share of random pairs that stay in the lowest grade.
        relevant: Share of seed pairs that fall below the first relevant grade.
        perfect: Share of seed pairs that fall below the highest grade.

    Returns:
        Shape (grades − 1,), strictly increasing; a pair has at least the grade at position
        g when its score reaches threshold g − 1.
    """
    first_relevant = int(scale.positions([scale.relevant_from])[0])
    floor = float(np.quantile(random, related))
    shares = np.linspace(relevant, perfect, scale.size - first_relevant)
    upper = np.quantile(seeds, shares)
    if upper[0] <= floor:
        logger.warning(
            "the embedded judge tells seed pairs from random ones badly: the scores of both "
            "overlap, so its grades mean little on this corpus"
        )
    upper = np.maximum(upper, floor + (MIN_GAP if first_relevant > 1 else 0.0))
    lower = np.linspace(floor, upper[0], first_relevant)[:-1]
    thresholds = np.concatenate([lower, upper])
    for at in range(1, thresholds.size):
        thresholds[at] = max(thresholds[at], thresholds[at - 1] + MIN_GAP)
    return thresholds


def noise_scale(first: np.ndarray, second: np.ndarray, weights: tuple[float, float]) -> float:
    """Scale of the logistic error of a score that is the weighted mean of two signals.

    Classical test theory (Lord and Novick, 1968): two standardised measurements of the same
    thing, each with its own independent error, differ by the sum of both errors. So the
    error variance of each is half the variance of their difference.

    Args:
        first: One signal, standardised, shape (pairs,).
        second: The other signal for the same pairs, standardised.
        weights: Weight of each in the mean.

    Returns:
        Scale of a logistic distribution with the standard deviation of the mean's error.
    """
    share = np.array(weights) / sum(weights)
    variance = float((share**2).sum() * np.var(first - second) / 2)
    return max(math.sqrt(3 * variance) / math.pi, MIN_GAP)


def grade_probabilities(scores: np.ndarray, thresholds: np.ndarray, tau: float) -> np.ndarray:
    """Probability of every grade by cumulative logits (McCullagh, 1980).

    Args:
        scores: Shape (pairs,).
        thresholds: Shape (grades − 1,), increasing.
        tau: Scale of the logistic error.

    Returns:
        Shape (pairs, grades), rows sum to 1, rounded to four digits so that noise of
        floating-point arithmetic does not show.
    """
    reach = np.clip((scores[:, None] - thresholds[None, :]) / tau, -50, 50)
    at_least = np.round(1 / (1 + np.exp(-reach)), 4)
    ends = np.ones((len(scores), 1)), np.zeros((len(scores), 1))
    cumulative = np.hstack([ends[0], at_least, ends[1]])
    return np.round(cumulative[:, :-1] - cumulative[:, 1:], 4)


def median_position(probabilities: np.ndarray) -> np.ndarray:
    """Highest position that is reached with probability ½ or more: the median grade.

    Args:
        probabilities: Shape (pairs, grades), lowest grade first.

    Returns:
        Positions on the scale, shape (pairs,), int64.
    """
    at_least = np.round(np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1], 4)
    return (at_least[:, 1:] >= 0.5).sum(axis=1).astype(np.int64)
