"""How many human grades are needed: interval width and power for a benchmark of another size.

Fewer queries, or fewer pairs of each, are drawn from the benchmark and measured. More queries are
projected: a standard error falls with the square root of their number. More pairs of each query
help less, since pairs of one query are correlated.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import nct, norm
from scipy.stats import t as student_t

from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import PRIMARY, primary
from relevance_distillery.evaluation.statistics.bootstrap import (
    SumStatistic,
    difference,
    interval,
    standard_error,
)
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale

FEWEST_QUERIES = 10
"""Of fewer queries the spread is too uncertain to project anything from it."""

HALF_WIDTHS = (0.10, 0.05, 0.03)

_QUERIES = (10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000)
_PAIRS = (2, 5, 10, 20, 50, 100, 200, 500)
_BEYOND = 4
"""Queries are projected to this many times those that are there."""

_REPEATS = 10
"""Random parts that a half width is averaged over."""

_NORMAL_FROM = 1000
"""The noncentral t is as good as normal from so many queries, and costly to compute."""

_MOST = 10_000_000
"""Upper limit of the search: more queries are never graded."""


def sample_size(
    judge_pairs: GradedPairs,
    rival_pairs: GradedPairs | None,
    scale: GradeScale,
    options: Options,
    names: tuple[str, str] = ("student", "teacher"),
) -> dict[str, Any]:
    """Interval width and power of the primary metric against the graded queries and pairs.

    A half width is Student's t times the jackknife standard error over queries, times the ratio
    of the report's bootstrap-t interval to that on the benchmark as it is. Where there is a
    rival, both judges graded the same pairs in the same order; power needs one.

    Returns:
        `metric`, `judge`, and either `reason` or: `by_queries` (queries, pairs, half_width,
        projected), `by_pairs` (pairs_per_query, pairs, half_width: at most so many pairs of
        each query, weighted up to all), `queries_for` (half_width, queries, pairs) and `power`
        (see `_power`). Pairs are means over queries times queries.
    """
    found: dict[str, Any] = {"metric": PRIMARY, "judge": names[0]}
    level, statistic = options.level, primary(judge_pairs, scale)
    graded = np.unique(judge_pairs.query)
    if graded.size < FEWEST_QUERIES:
        reason = f"fewer than {FEWEST_QUERIES} queries: too few to tell how much queries differ"
        return found | {"reason": reason}
    whole = SumStatistic(statistic.sums[graded], statistic.finish)
    spread = standard_error(whole) * graded.size**0.5
    if not np.isfinite(spread) or spread <= 1e-12:
        reason = "the metric is not defined or the same for all queries: nothing to project"
        return found | {"reason": reason}

    shown = interval(statistic, options.resamples, options.seed, level)
    widening = (
        (shown.high - shown.low) / 2.0 / _half_width(spread / graded.size**0.5, graded.size, level)
    )
    if not np.isfinite(widening):
        return found | {"reason": "the metric has no interval on this benchmark"}
    rng = np.random.default_rng(options.seed)
    each = judge_pairs.human.size / graded.size

    def projected(queries: int) -> float:
        return widening * _half_width(spread / queries**0.5, queries, level)

    found["by_queries"] = [
        {
            "queries": queries,
            "pairs": round(queries * each),
            "half_width": number(
                projected(queries)
                if queries >= graded.size
                else widening * _of_queries(whole, queries, rng, level)
            ),
            "projected": queries > graded.size,
        }
        for queries in sorted({*_QUERIES, graded.size})
        if queries <= _BEYOND * graded.size
    ]
    found["by_pairs"] = _by_pairs(judge_pairs, scale, rng, level, widening)
    found["queries_for"] = []
    for wanted in HALF_WIDTHS:
        needed = _fewest(projected, wanted, falling=True)
        pairs = None if needed is None else round(needed * each)
        found["queries_for"].append({"half_width": wanted, "queries": needed, "pairs": pairs})
    found["power"] = _power(judge_pairs, rival_pairs, scale, options, names)
    return found


def _half_width(error: float, queries: int, level: float) -> float:
    return float(student_t.ppf((1.0 + level) / 2.0, queries - 1)) * error


def _of_queries(
    statistic: SumStatistic, queries: int, rng: np.random.Generator, level: float
) -> float:
    """Mean half width over random parts of the queries."""
    widths = []
    for _ in range(_REPEATS):
        kept = rng.choice(statistic.queries, queries, replace=False)
        part = SumStatistic(statistic.sums[kept], statistic.finish)
        widths.append(_half_width(standard_error(part), queries, level))
    return float(pd.Series(widths).mean())


def _by_pairs(
    pairs: GradedPairs, scale: GradeScale, rng: np.random.Generator, level: float, widening: float
) -> list[dict[str, Any]]:
    """Half widths with at most so many pairs of each query, down to two."""
    query = pairs.query
    of_query = np.bincount(query, minlength=pairs.queries)
    weight = np.ones(query.size) if pairs.weight is None else pairs.weight
    queries = int((of_query > 0).sum())
    sizes = [*(size for size in _PAIRS if size < of_query.max()), int(of_query.max())]
    widths: dict[int, list[float]] = {most: [] for most in sizes}
    for _ in range(_REPEATS):
        # Place of each pair in a random order of its query's pairs, from 0.
        order = rng.permutation(query.size)
        place = np.empty(query.size, dtype=np.int64)
        place[order] = pd.Series(order).groupby(query[order]).cumcount()
        for most in sizes:
            kept = place < most
            # Kept pairs are weighted up to all pairs of their query: the same figure is estimated.
            scale_up = (of_query / np.clip(of_query, 1, most))[query]
            part = replace(
                pairs,
                human=pairs.human[kept],
                judge=pairs.judge[kept],
                query=query[kept],
                weight=(weight * scale_up)[kept],
            )
            error = standard_error(primary(part, scale))
            widths[most].append(_half_width(error, queries, level))
    return [
        {
            "pairs_per_query": most,
            "pairs": int(np.minimum(of_query, most).sum()),
            "half_width": number(widening * pd.Series(widths[most]).mean()),
        }
        for most in sizes
    ]


def _power(
    judge: GradedPairs,
    rival: GradedPairs | None,
    scale: GradeScale,
    options: Options,
    names: tuple[str, str],
) -> dict[str, Any]:
    """Power of the paired comparison over queries (noncentral t; Johnson and Welch, 1940).

    Returns:
        `first`, `second`, `margin`, and either `reason` or: `spread` (standard deviation of the
        difference between queries), `rows` (queries; non_inferior: chance to be called
        non-inferior when both are equally good; superior_by_margin: chance to be called
        superior when better by the margin, which is the same chance), `queries_for_80`.
    """
    found: dict[str, Any] = {"first": names[0], "second": names[1], "margin": options.margin}
    if rival is None:
        return found | {"reason": "there is no second judge to compare with"}
    if not judge.same_pairs(rival):
        return found | {"reason": "the two judges did not grade the same pairs"}
    apart = difference(primary(judge, scale), primary(rival, scale))
    graded = np.unique(judge.query)
    apart = SumStatistic(apart.sums[graded], apart.finish)
    spread = standard_error(apart) * graded.size**0.5
    if not np.isfinite(spread) or spread <= 1e-12:
        return found | {"reason": "the two judges do not differ, or the metric is not defined"}

    def power(queries: int) -> float:
        wanted = float(student_t.ppf((1.0 + options.level) / 2.0, queries - 1))
        shift = options.margin * queries**0.5 / spread
        if queries > _NORMAL_FROM:
            return float(norm.sf(wanted - shift))
        return float(nct.sf(wanted, queries - 1, shift))

    sizes = sorted({*_QUERIES, graded.size})
    most = _fewest(power, 0.8)
    return found | {
        "spread": number(spread),
        "rows": [
            {"queries": queries}
            | dict.fromkeys(("non_inferior", "superior_by_margin"), number(power(queries)))
            for queries in sizes
            if queries <= _BEYOND * max(graded.size, most or 0)
        ],
        "queries_for_80": most,
    }


def _fewest(figure: Callable[[int], float], wanted: float, falling: bool = False) -> int | None:
    """The smallest number of queries with such a figure; None above the upper limit."""

    def enough(queries: int) -> bool:
        return figure(queries) <= wanted if falling else figure(queries) >= wanted

    low, high = 1, 2
    while not enough(high):
        low, high = high, high * 2
        if high > _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
