"""One judge against another on the same pairs: the difference, its interval and its tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.evaluation.statistics.bootstrap import (
    SumStatistic,
    difference,
    studentized,
)
from relevance_distillery.evaluation.statistics.studentized import Interval, Studentized

Floats = NDArray[np.float64]
Conclusion = Literal["superior", "non-inferior", "inferior", "open"]

_CELLS = 4_000_000


@dataclass(frozen=True)
class Difference:
    """First judge minus second.

    Attributes:
        interval: The difference and its limits.
        p: Two-sided p-value as it is to be read: raw for the primary metric, Holm-corrected
            over the others; nan where it is not defined.
        p_raw: The p-value before correction.
        p_non_inferior: One-sided p-value of the null hypothesis that the first is worse by the
            margin or more, not corrected; nan where it is not defined.
        conclusion: `superior` (the interval lies wholly on the better side of 0),
            `non-inferior` (its worse end is inside the margin), `inferior` (it lies wholly
            beyond the margin), `open`; None where `reason` says why.
        reason: Why there is no conclusion; empty when there is one.
    """

    interval: Interval
    p: float
    p_raw: float
    p_non_inferior: float = float("nan")
    conclusion: Conclusion | None = None
    reason: str = ""


def swap_test(
    first: SumStatistic, second: SumStatistic, permutations: int = 2000, seed: int = 0
) -> float:
    """Two-sided p-value of the paired randomisation test with queries as units.

    Under the null hypothesis it does not matter which of the two graded a query, so the two
    are swapped within queries at random (Smucker, Allan and Carterette, 2007).

    Args:
        first: A metric of the first judge.
        second: The same metric of the second judge on the same pairs.
        permutations: How many random swaps; the smallest p-value is 1 / (permutations + 1).
        seed: Seed of the swaps.

    Returns:
        The share of swaps with a difference at least as large as the observed one, itself
        included; nan where the difference is not defined.
    """
    ones = np.ones((1, first.queries))
    observed = abs(float(first(ones)[0] - second(ones)[0]))
    if not np.isfinite(observed):
        return float("nan")
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // max(1, first.queries))
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


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """P-values corrected for their number (Holm, 1979); undefined ones stay and do not count."""
    defined = {name: p for name, p in p_values.items() if np.isfinite(p)}
    corrected = dict(p_values)
    largest = 0.0
    for place, name in enumerate(sorted(defined, key=lambda key: (defined[key], key))):
        largest = max(largest, min(1.0, defined[name] * (len(defined) - place)))
        corrected[name] = largest
    return corrected


def compare(
    first: Mapping[str, SumStatistic],
    second: Mapping[str, SumStatistic],
    resamples: int = 1000,
    permutations: int = 2000,
    seed: int = 0,
    margin: float = 0.03,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Compare two judges on the same pairs in every metric that both have.

    Args:
        first: Metrics of the first judge by name, names of `METRICS`.
        second: Metrics of the second judge on the same pairs.
        resamples: How many resamples of queries the intervals take.
        permutations: How many random swaps the p-values take.
        seed: Seed of both.
        margin: The loss that does not matter, in units of the metric; above 0, and fixed
            before looking.
        level: Nominal coverage of the intervals; non-inferiority is tested at half of what
            is left, 2.5 % for 95 % (Piaggio et al., 2012).

    Returns:
        Differences by metric name.

    Raises:
        ValueError: The margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, not {margin}")
    names = [name for name in first if name in second]
    raw = {name: swap_test(first[name], second[name], permutations, seed) for name in names}
    others = holm({name: p for name, p in raw.items() if name != PRIMARY})
    found = studentized(differences(first, second), resamples, seed)
    return {
        name: _concluded(name, apart, others.get(name, raw[name]), raw[name], margin, level)
        for name, apart in found.items()
    }


def conclude(
    interval: Interval, margin: float, better: Literal["higher", "lower"] = "higher"
) -> Conclusion:
    """What an interval of a difference says (Piaggio et al., 2012).

    Args:
        interval: First minus second, with its limits.
        margin: The loss that does not matter.
        better: Which values of the metric are good.
    """
    worse, best = (
        (interval.low, interval.high) if better == "higher" else (-interval.high, -interval.low)
    )
    if worse > 0:
        return "superior"
    if worse > -margin:
        return "non-inferior"
    return "inferior" if best < -margin else "open"


def _concluded(
    name: str, apart: Studentized, p: float, p_raw: float, margin: float, level: float
) -> Difference:
    interval = apart.interval(level)
    better = METRICS[name].better
    if better == "zero":
        reason = f"{METRICS[name].title} has no better side"
        return Difference(interval, p, p_raw, reason=reason)
    if not np.isfinite(interval.low):
        defined = np.isfinite(interval.estimate)
        reason = "the difference has no interval" if defined else METRICS[name].undefined
        return Difference(interval, p, p_raw, reason=reason)
    p_non_inferior = apart.p_at_most(-margin) if better == "higher" else apart.p_at_least(margin)
    return Difference(interval, p, p_raw, p_non_inferior, conclude(interval, margin, better))


def differences(
    first: Mapping[str, SumStatistic], second: Mapping[str, SumStatistic]
) -> dict[str, SumStatistic]:
    """First minus second in every metric that both have.

    Metrics of the same two arrays of sums share the joined array, which is added up once.
    """
    joined: dict[tuple[int, ...], Floats] = {}
    found = {}
    for name in first:
        if name in second:
            apart = difference(first[name], second[name])
            key = (*_place(first[name].sums), *_place(second[name].sums))
            found[name] = replace(apart, sums=joined.setdefault(key, apart.sums))
    return found


def _place(sums: Floats) -> tuple[int, ...]:
    return (sums.__array_interface__["data"][0], *sums.shape)
