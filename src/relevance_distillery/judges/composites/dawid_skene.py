"""Grades and error rates of several judges at once, without anybody's truth.

Dawid and Skene (1979): each judge has its own matrix of errors, each pair its own true grade;
expectation-maximisation finds both from the judges' agreement alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relevance_distillery.judges.composites.confidence import Floats, Places

ITERATIONS = 500
TOLERANCE = 1e-9
_TINY = 1e-12


@dataclass(frozen=True)
class DawidSkene:
    """The fitted model.

    Attributes:
        posterior: Probability of each true grade, shape (pairs, grades).
        prior: Share of each grade, shape (grades,).
        errors: What each judge says about each true grade, shape (judges, true, said).
        log_likelihood: Of the judges' grades.
        iterations: How many steps it took.
    """

    posterior: Floats
    prior: Floats
    errors: Floats
    log_likelihood: float
    iterations: int


def fit_dawid_skene(places: Places, size: int, smoothing: float = 0.01) -> DawidSkene:
    """Fit by expectation-maximisation, starting from the shares of votes.

    Args:
        places: Each judge's grade for each pair as a place on the scale, -1 for none, shape
            (judges, pairs); every pair has at least one grade.
        size: How many grades the scale has.
        smoothing: Pairs added to every cell of a judge's matrix, so that an error which was
            never seen is not impossible; 0 for the method as published.

    Raises:
        ValueError: A pair has no grade.
    """
    given = places >= 0
    if not given.any(axis=0).all():
        raise ValueError("every pair needs a grade by at least one judge")
    said = (places[:, :, None] == np.arange(size)[None, None, :]).astype(np.float64)
    posterior = said.sum(axis=0)
    posterior /= posterior.sum(axis=1, keepdims=True)
    likelihood, iterations = -np.inf, 0
    while iterations < ITERATIONS:
        iterations += 1
        prior = posterior.mean(axis=0)
        errors = np.einsum("pt,jps->jts", posterior, said) + smoothing
        errors /= np.maximum(errors.sum(axis=2, keepdims=True), _TINY)
        logs = np.log(np.maximum(prior, _TINY))[None, :] + np.einsum(
            "jps,jts->pt", said, np.log(np.maximum(errors, _TINY))
        )
        highest = logs.max(axis=1, keepdims=True)
        raised = np.exp(logs - highest)
        total = raised.sum(axis=1, keepdims=True)
        posterior = raised / total
        before, likelihood = likelihood, float((highest + np.log(total)).sum())
        if likelihood - before < TOLERANCE * max(1.0, abs(likelihood)):
            break
    return DawidSkene(posterior, prior, errors, likelihood, iterations)
