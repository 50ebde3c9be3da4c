"""Figures of judges with their intervals, and one judge minus another with its tests.

All figures of a call come from the same draws of queries, so they move together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.evaluation.statistics.bootstrap import (
    Statistic,
    SumStatistic,
    difference,
    intervals,
    studentized,
)
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.evaluation.statistics.numbers import interval_json, number
from relevance_distillery.evaluation.statistics.randomization import holm, swap_test
from relevance_distillery.strict import Intervals

Conclusion = Literal["superior", "non-inferior", "inferior", "open"]

NO_INTERVAL = "too few queries for an interval"


@dataclass(frozen=True)
class Options:
    """How the figures are computed, as `strict.Intervals` says of the first four.

    A slice with fewer pairs than `slice_pairs` is marked as too small; `margin` is that of
    non-inferiority, the loss of one judge against another that does not matter.
    """

    resamples: int = 1000
    permutations: int = 2000
    seed: int = 0
    level: float = 0.95
    slice_pairs: int = 50
    margin: float = 0.03

    @classmethod
    def of(cls, asked: Intervals, **more: Any) -> Self:
        """As a user asks for them."""
        given: dict[str, Any] = {"seed": asked.seed, "level": asked.confidence} | more
        return cls(asked.resamples, asked.permutations, **given)


def estimates(
    groups: Mapping[str, Mapping[str, Statistic]],
    options: Options,
    undefined: Callable[[str], str] = lambda name: METRICS[name].undefined,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Estimates and intervals as JSON.

    All figures share their draws of queries, which costs much less than drawing for each.
    `undefined` gives the reason of a figure that has no value.

    Returns:
        By group and figure the keys estimate, low, high, and `reason` where one is null.
    """
    flat = {
        f"{place} {name}": figure
        for place, figures in enumerate(groups.values())
        for name, figure in figures.items()
    }
    found = intervals(flat, options.resamples, options.seed, options.level)
    return {
        group: {
            name: interval_json(found[f"{place} {name}"], undefined(name), NO_INTERVAL)
            for name in figures
        }
        for place, (group, figures) in enumerate(groups.items())
    }


def differences(
    first: dict[str, SumStatistic], second: dict[str, SumStatistic], options: Options
) -> dict[str, dict[str, Any]]:
    """`compare` as JSON: by metric estimate, low, high, p, p_raw, p_non_inferior, conclusion."""
    return {
        name: interval_json(value.interval, METRICS[name].undefined, NO_INTERVAL)
        | {
            "p": number(value.p),
            "p_raw": number(value.p_raw),
            "p_non_inferior": number(value.p_non_inferior),
            "conclusion": value.conclusion,
        }
        for name, value in compare(first, second, options).items()
    }


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
            beyond the margin), `open`; None without an interval and for a metric that has no
            better side.
    """

    interval: Interval
    p: float
    p_raw: float
    p_non_inferior: float = float("nan")
    conclusion: Conclusion | None = None


def compare(
    first: Mapping[str, SumStatistic], second: Mapping[str, SumStatistic], options: Options
) -> dict[str, Difference]:
    """Compare two judges on the same pairs in every metric that both have.

    The margin is in units of the metric and fixed before looking. Non-inferiority is tested at
    half of what the level leaves, 2.5 % for 95 % (Piaggio et al., 2012).

    Returns:
        Differences by metric name.

    Raises:
        ValueError: The margin is not above 0.
    """
    if not options.margin > 0:
        raise ValueError(f"the margin must be above 0, not {options.margin}")
    names = [name for name in first if name in second]
    raw = {
        name: swap_test(first[name], second[name], options.permutations, options.seed)
        for name in names
    }
    others = holm({name: p for name, p in raw.items() if name != PRIMARY})
    apart = studentized(paired_differences(first, second), options.resamples, options.seed)
    found = {}
    for name, figure in apart.items():
        interval, better = figure.interval(options.level), METRICS[name].better
        p_values = others.get(name, raw[name]), raw[name]
        if better == "zero" or not np.isfinite(interval.low):
            found[name] = Difference(interval, *p_values)
            continue
        worse = figure.p_at_most(-options.margin)
        if better == "lower":
            worse = figure.p_at_least(options.margin)
        conclusion = conclude(interval, options.margin, better)
        found[name] = Difference(interval, *p_values, worse, conclusion)
    return found


def conclude(
    interval: Interval, margin: float, better: Literal["higher", "lower"] = "higher"
) -> Conclusion:
    """What an interval of a difference says (Piaggio et al., 2012)."""
    worse, best = (
        (interval.low, interval.high) if better == "higher" else (-interval.high, -interval.low)
    )
    if worse > 0:
        return "superior"
    if worse > -margin:
        return "non-inferior"
    return "inferior" if best < -margin else "open"


def paired_differences(
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
            key = (*first[name].memory, *second[name].memory)
            found[name] = replace(apart, sums=joined.setdefault(key, apart.sums))
    return found
