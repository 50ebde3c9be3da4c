"""Which calibrator each judge of a cascade gets, and what it says about pairs it never saw.

Everything is decided on the calibration set alone, by cross-validation over queries: the pairs
of one query resemble each other, and a calibrator that saw some of them would flatter itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from relevance_distillery.judges.composites.confidence import (
    Answers,
    Calibrator,
    Floats,
    MapKind,
    Places,
    fit_probability_map,
)
from relevance_distillery.judges.composites.grade_maps import GradeRegression, GradeTable

Fit = Callable[[Sequence[Answers], Places], Calibrator]

_FLOOR = 1e-4


@dataclass(frozen=True)
class Calibrated:
    """A judge's calibrator with what is known about it.

    Attributes:
        calibrator: Fitted on the whole calibration set.
        held_out: What calibrators fitted on other queries say about each pair of the set,
            shape (pairs, grades); nan where the judge gave no usable answer.
        losses: Cross-validated log loss of every calibrator that was tried.
    """

    calibrator: Calibrator
    held_out: Floats
    losses: dict[str, float]


def query_folds(queries: Places, folds: int, seed: int) -> Places:
    """A fold for every pair; no query is divided.

    Args:
        queries: Number of each pair's query, shape (pairs,).
        folds: How many; fewer where there are fewer queries.
        seed: Of the draw.
    """
    numbers, place = np.unique(queries, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    return (order % min(folds, len(numbers)))[place].astype(np.int64)


def calibrate(
    answers: Sequence[Answers],
    human: Places,
    queries: Places,
    folds: Places,
    size: int,
    probability_map: MapKind,
    enough: int,
) -> Calibrated:
    """Choose and fit the calibrator of the last judge among `answers`.

    A judge that gives probabilities takes `probability_map`. For the others the simplest
    calibrator is kept whose log loss is within one standard error, over queries, of the best
    (the rule of Breiman et al., 1984).

    Args:
        answers: Of all judges asked so far, the judge in question last.
        human: Places of people's grades, shape (pairs,).
        queries: Number of each pair's query, shape (pairs,).
        folds: From `query_folds`.
        size: How many grades the scale has.
        probability_map: The map of a judge that gives probabilities.
        enough: Examples that a grade needs for a map of its own.
    """
    usable = answers[-1].given
    if answers[-1].sure.any():
        usable = answers[-1].sure

        def fit_map(some: Sequence[Answers], graded: Places) -> Calibrator:
            probabilities = some[-1].probabilities
            assert probabilities is not None
            return fit_probability_map(probability_map, probabilities, graded, enough)

        candidates: list[Fit] = [fit_map]
    else:
        candidates = _grade_candidates(answers, size)
    found = [_held_out(fit, answers, human, folds, usable, size) for fit in candidates]
    fits = [fit(_rows(answers, usable), human[usable]) for fit in candidates]
    losses = [_losses(held_out[usable], human[usable]) for held_out in found]
    chosen = _simplest(losses, queries[usable])
    return Calibrated(
        fits[chosen],
        found[chosen],
        {fit.kind: float(loss.mean()) for fit, loss in zip(fits, losses, strict=True)},
    )


def _grade_candidates(answers: Sequence[Answers], size: int) -> list[Fit]:
    """Simplest first."""
    found: list[Fit] = [lambda some, human: GradeTable.fit(some, human, size, 1)]
    if len(answers) > 1:
        if all(answer.probabilities is None for answer in answers):
            found.append(lambda some, human: GradeTable.fit(some, human, size, len(some)))
        found.append(lambda some, human: GradeRegression.fit(some, human, size, products=False))
        found.append(lambda some, human: GradeRegression.fit(some, human, size, products=True))
    return found


def _held_out(
    fit: Fit,
    answers: Sequence[Answers],
    human: Places,
    folds: Places,
    usable: np.ndarray,
    size: int,
) -> Floats:
    """Posterior of every usable pair by a calibrator of the other folds."""
    posterior = np.full((len(human), size), np.nan)
    for fold in np.unique(folds):
        inside, outside = usable & (folds == fold), usable & (folds != fold)
        if inside.any() and outside.any():
            calibrator = fit(_rows(answers, outside), human[outside])
            posterior[inside] = calibrator.posterior(_rows(answers, inside))
    return posterior


def _rows(answers: Sequence[Answers], chosen: np.ndarray) -> list[Answers]:
    return [answer.rows(chosen) for answer in answers]


def _losses(posterior: Floats, human: Places) -> Floats:
    """Log loss of each pair; a pair that no fold could judge counts as wholly unknown."""
    size = posterior.shape[1]
    of_truth = np.nan_to_num(posterior[np.arange(len(human)), human], nan=1.0 / size)
    return -np.log(np.clip(of_truth, _FLOOR, 1.0))


def _simplest(losses: Sequence[Floats], queries: Places) -> int:
    best = int(np.argmin([loss.mean() for loss in losses]))
    for place, loss in enumerate(losses):
        apart = loss - losses[best]
        _, query = np.unique(queries, return_inverse=True)
        centred = np.bincount(query, weights=apart - apart.mean())
        error = float(np.sqrt((centred**2).sum()) / max(1, len(apart)))
        if apart.mean() <= error:
            return place
    return best
