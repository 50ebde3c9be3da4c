"""Figures of several judges with their intervals, all from the same draws of queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.evaluation.statistics.bootstrap import Statistic, SumStatistic, intervals
from relevance_distillery.evaluation.statistics.comparison import compare
from relevance_distillery.evaluation.statistics.numbers import interval_json, number

NO_INTERVAL = "too few queries for an interval"


@dataclass(frozen=True)
class Options:
    """How the figures are computed.

    Attributes:
        resamples: Resamples of queries for each interval.
        permutations: Swaps for each p-value.
        seed: Seed of both.
        level: Nominal coverage of the intervals.
        slice_pairs: A slice with fewer pairs is marked as too small.
        margin: Loss that does not matter: of two judges the one that is worse by less is
            called non-inferior.
    """

    resamples: int = 1000
    permutations: int = 2000
    seed: int = 0
    level: float = 0.95
    slice_pairs: int = 50
    margin: float = 0.03


def metric_reason(metric: str) -> str:
    """Why a metric of `METRICS` has no value."""
    return METRICS[metric].undefined


def estimates(
    groups: Mapping[str, Mapping[str, Statistic]],
    options: Options,
    undefined: Callable[[str], str] = metric_reason,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Estimates and intervals as JSON.

    Args:
        groups: Figures by name, by judge. They share their draws of queries, which costs much
            less than one draw a figure, and makes figures move together.
        options: How the figures are computed.
        undefined: From a figure's name to the reason to give when it has no value.

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
    """First minus second on the same pairs, as JSON.

    Returns:
        By metric the keys of `estimates`, and p, p_raw, p_non_inferior, conclusion; see
        `statistics.comparison.compare`.
    """
    compared = compare(
        first,
        second,
        options.resamples,
        options.permutations,
        options.seed,
        margin=options.margin,
        level=options.level,
    )
    return {
        name: interval_json(value.interval, metric_reason(name), NO_INTERVAL)
        | {
            "p": number(value.p),
            "p_raw": number(value.p_raw),
            "p_non_inferior": number(value.p_non_inferior),
            "conclusion": value.conclusion,
        }
        for name, value in compared.items()
    }
