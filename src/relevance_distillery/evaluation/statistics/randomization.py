"""Paired randomisation test with queries as units, and correction for many tests."""

import numpy as np

from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.evaluation.statistics.bootstrap import CELLS, SumStatistic


def swap_test(
    first: SumStatistic, second: SumStatistic, permutations: int = 2000, seed: int = 0
) -> float:
    """Two-sided p-value of the paired randomisation test with queries as units.

    Under the null hypothesis it does not matter which of the two graded a query, so the two
    are swapped within queries at random (Smucker, Allan and Carterette, 2007).

    Returns:
        The share of swaps with a difference at least as large as the observed one, itself
        included, so at least 1 / (permutations + 1); nan where the difference is not defined.
    """
    ones = np.ones((1, first.queries))
    observed = abs(float(first(ones)[0] - second(ones)[0]))
    if not np.isfinite(observed):
        return float("nan")
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // max(1, first.queries))
    as_large, defined = 0, 0
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        kept = rng.integers(2, size=(rows, first.queries)).astype(np.float64)
        one = first.finish(kept @ first.sums + (1.0 - kept) @ second.sums)
        two = first.finish((1.0 - kept) @ first.sums + kept @ second.sums)
        apart = np.abs(one - two)
        apart = apart[np.isfinite(apart)]
        as_large += int((apart >= observed - 1e-12).sum())
        defined += apart.size
    return (as_large + 1) / (defined + 1)


def sign_flips(apart: Floats, permutations: int = 2000, seed: int = 0) -> Floats:
    """Two-sided p-values of mean differences of 0, as `swap_test`, with the same swaps for all.

    From differences by query, shape (tests, queries), 0 where a query has none, to shape (tests,).
    """
    tests, queries = apart.shape
    observed = np.abs(apart.sum(1))
    as_large = np.zeros(tests, dtype=np.int64)
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // max(1, tests, queries))
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        signs = rng.integers(2, size=(queries, rows)) * 2.0 - 1.0
        as_large += (np.abs(apart @ signs) >= observed[:, None] - 1e-12).sum(1)
    return ((as_large + 1.0) / (permutations + 1.0)).astype(np.float64)


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """P-values corrected for their number (Holm, 1979); undefined ones stay and do not count."""
    defined = {name: p for name, p in p_values.items() if np.isfinite(p)}
    corrected = dict(p_values)
    largest = 0.0
    for place, name in enumerate(sorted(defined, key=lambda key: (defined[key], key))):
        largest = max(largest, min(1.0, defined[name] * (len(defined) - place)))
        corrected[name] = largest
    return corrected
