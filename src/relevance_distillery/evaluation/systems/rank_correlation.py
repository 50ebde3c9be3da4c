"""Whether two sets of grades rank systems alike: Kendall's tau and AP-correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relevance_distillery.evaluation.statistics.bootstrap import resamples_of_queries
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval

Floats = NDArray[np.float64]

_SAME = 1e-12
"""Means that differ by less tie: they differ by the order of additions alone."""

_CELLS = 2_000_000
_FEWEST_DEFINED = 0.9
"""An interval needs the correlation to be defined in this share of the resamples."""


def kendall_tau(truth: ArrayLike, estimate: ArrayLike) -> Floats:
    """Kendall's τ-b (Kendall, 1945): agreeing pairs minus disagreeing ones, corrected for ties.

    Args:
        truth: Scores of systems, shape (rankings, systems) or (systems,).
        estimate: Other scores of the same systems, the same shape.

    Returns:
        Shape (rankings,); nan where either ties all systems, or there is one system only.
    """
    one, two = _signs(truth), _signs(estimate)
    together = (one * two).sum((1, 2))
    untied = np.abs(one).sum((1, 2)) * np.abs(two).sum((1, 2))
    return _over(together, np.sqrt(untied), untied > 0)


def ap_correlation(truth: ArrayLike, estimate: ArrayLike) -> Floats:
    """AP-correlation τ_AP (Yilmaz, Aslam and Robertson, 2008), which weighs the top more.

    Walk down the estimated ranking: of the systems above each one, which share is truly better?
    Its mean over all but the first system, times two minus one. Systems that the estimate ties
    are taken in every order and averaged, exactly; a pair that the truth ties counts one half
    whichever stands above (as in Urbano and Marrero, 2017). It is not symmetric.

    Args:
        truth: Scores of systems, shape (rankings, systems) or (systems,).
        estimate: The scores whose ranking is judged, the same shape.

    Returns:
        Shape (rankings,), −1 to 1; nan where either ties all systems, or there is one only.
    """
    better, above = _signs(truth), _signs(estimate)
    size = better.shape[1]
    # above[r, i, j] is 1 where j stands above i; right, where it truly is better.
    above_one = above > 0
    right = np.where(above_one, (better + 1.0) / 2.0, 0.0).sum(2)
    higher = above_one.sum(2)
    tied = (above == 0).sum(2)
    total = np.zeros(better.shape[:2])
    for more in range(int(tied.max(initial=0))):
        # `more` of the systems tied with it stand above it, each right in half of all orders.
        reached = (more < tied) & (higher + more > 0)
        share = (right + more / 2.0) / np.maximum(higher + more, 1)
        total += np.where(reached, share / tied, 0.0)
    defined = (np.abs(better).sum((1, 2)) > 0) & (np.abs(above).sum((1, 2)) > 0)
    return _over(2.0 * total.sum(1), np.full(len(total), max(size - 1.0, 1.0)), defined, -1.0)


CORRELATIONS = {"kendall_tau": kendall_tau, "ap_correlation": ap_correlation}


def correlations(
    truth: Floats, estimate: Floats, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Correlations of two rankings of systems by their means, with intervals over queries.

    The intervals are plain percentiles of the resamples: a rank correlation moves in steps and is
    bounded, so corrections that divide by its spread or shift it by its bias (studentized, basic,
    BCa) cover too little (about 80 % in simulation, where percentiles cover 92 to 100 %). Noise
    pulls resampled correlations towards 0, so the estimate can stand at a limit.

    Args:
        truth: A measure by people's grades, shape (systems, queries), no nan.
        estimate: The same measure by other grades.
        resamples: How many times queries are drawn with replacement.
        seed: Of the draws.
        level: Nominal coverage.

    Returns:
        By name of `CORRELATIONS`; limits are nan with fewer than two queries, or where the
        correlation is not defined in a tenth of the resamples.
    """
    systems, queries = truth.shape
    drawn: dict[str, list[Floats]] = {name: [] for name in CORRELATIONS}
    step = max(1, _CELLS // systems**2)
    for counts in resamples_of_queries(queries, resamples, seed) if queries > 1 else ():
        for start in range(0, len(counts), step):
            weights = counts[start : start + step] / queries
            means = weights @ truth.T, weights @ estimate.T
            for name, figure in CORRELATIONS.items():
                drawn[name].append(figure(*means))
    found = {}
    for name, figure in CORRELATIONS.items():
        value = float(figure(truth.mean(1), estimate.mean(1))[0])
        values = np.concatenate(drawn[name]) if drawn[name] else np.zeros(0)
        values = values[np.isfinite(values)]
        if not np.isfinite(value) or values.size < max(_FEWEST_DEFINED * resamples, 2):
            found[name] = Interval(value)
            continue
        low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        found[name] = Interval(value, min(float(low), value), max(float(high), value))
    return found


def _signs(scores: ArrayLike) -> Floats:
    """Sign of system j minus system i, shape (rankings, i, j)."""
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    apart = table[:, None, :] - table[:, :, None]
    return np.where(np.abs(apart) <= _SAME, 0.0, np.sign(apart))


def _over(upper: Floats, lower: Floats, defined: NDArray[np.bool_], plus: float = 0.0) -> Floats:
    found = np.full(len(upper), np.nan)
    found[defined] = upper[defined] / lower[defined] + plus
    return found
