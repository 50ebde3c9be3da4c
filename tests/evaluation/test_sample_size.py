"""How many human grades are needed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import graded_statistics
from relevance_distillery.evaluation.agreement.sample_size import sample_size
from relevance_distillery.evaluation.statistics.bootstrap import (
    difference,
    interval,
    standard_error,
)
from relevance_distillery.grading import DEFAULT_SCALE


def graded(seed: int, queries: int, noise: float = 0.8, leaning: float = 0.4) -> GradedPairs:
    """Thirty pairs of each query; judges of one seed with another noise share the pairs."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), 30)
    human = rng.integers(0, 4, query.size)
    shift = rng.normal(0, leaning, queries)[query]
    judge = np.clip(np.rint(human + shift + noise * rng.normal(size=query.size)), 0, 3)
    return GradedPairs(human, judge, query, queries)


@pytest.fixture(scope="module")
def found() -> dict:
    return sample_size(graded(1, 60), graded(1, 60, 1.0), DEFAULT_SCALE, Options(resamples=300))


def test_the_benchmark_as_it_is_has_half_the_width_of_its_interval(found: dict) -> None:
    figure = graded_statistics(graded(1, 60), DEFAULT_SCALE)["quadratic_kappa"]
    shown = interval(figure, 300)
    row = next(row for row in found["by_queries"] if row["queries"] == 60)
    assert row["half_width"] == pytest.approx((shown.high - shown.low) / 2, abs=1e-6)
    assert row["pairs"] == 1800
    assert found["by_pairs"][-1] == {
        "pairs_per_query": 30,
        "pairs": 1800,
        "half_width": row["half_width"],
    }


def test_more_queries_and_more_pairs_narrow_the_interval(found: dict) -> None:
    for name in ("by_queries", "by_pairs"):
        widths = [row["half_width"] for row in found[name]]
        assert all(later < earlier for earlier, later in pairwise(widths))
    assert [row["projected"] for row in found["by_queries"]] == [
        row["queries"] > 60 for row in found["by_queries"]
    ]
    first, last = found["by_queries"][0], found["by_queries"][-1]
    assert (first["queries"], last["queries"]) == (10, 200)


def test_ten_times_the_pairs_help_less_the_more_queries_differ() -> None:
    gains = []
    for leaning in (0.0, 2.0):
        rows = sample_size(
            graded(1, 60, leaning=leaning), None, DEFAULT_SCALE, Options(resamples=200)
        )
        widths = {row["pairs_per_query"]: row["half_width"] for row in rows["by_pairs"]}
        gains.append(widths[2] / widths[20])
    assert gains[0] == pytest.approx(10**0.5, rel=0.25)
    assert gains[1] < 0.75 * gains[0]


def test_projected_widths_come_true() -> None:
    small, large = graded(2, 50), graded(3, 200)
    projected = sample_size(small, None, DEFAULT_SCALE, Options(resamples=300))["by_queries"]
    real = sample_size(large, None, DEFAULT_SCALE, Options(resamples=300))["by_queries"]
    at = [{row["queries"]: row["half_width"] for row in rows}[200] for rows in (projected, real)]
    assert at[0] == pytest.approx(at[1], rel=0.25)


def test_queries_for_a_half_width(found: dict) -> None:
    wanted = {row["half_width"]: row["queries"] for row in found["queries_for"]}
    assert list(wanted) == [0.10, 0.05, 0.03]
    assert wanted[0.10] < wanted[0.05] < wanted[0.03]
    at = {row["queries"]: row["half_width"] for row in found["by_queries"]}
    assert at[200] == pytest.approx(0.03 * (wanted[0.03] / 200) ** 0.5, rel=0.03)
    assert all(row["pairs"] == 30 * row["queries"] for row in found["queries_for"])


def test_power_equals_statsmodels(found: dict) -> None:
    power = found["power"]
    sides = [
        graded_statistics(graded(1, 60, noise), DEFAULT_SCALE)["quadratic_kappa"]
        for noise in (0.8, 1.0)
    ]
    spread = standard_error(difference(*sides)) * 60**0.5
    assert power["spread"] == pytest.approx(spread, abs=1e-6)
    test = TTestPower()
    for row in power["rows"]:
        expected = test.power(0.03 / spread, row["queries"], 0.025, alternative="larger")
        assert row["non_inferior"] == pytest.approx(expected, abs=1e-4)
        assert row["superior_by_margin"] == row["non_inferior"]
    eighty = test.solve_power(0.03 / spread, None, 0.025, 0.8, alternative="larger")
    assert power["queries_for_80"] == np.ceil(eighty)


def test_weights_that_are_all_alike_change_nothing() -> None:
    pairs = graded(4, 40)
    kept = np.random.default_rng(0).random(pairs.query.size) < np.where(pairs.query < 20, 1, 0.2)
    uneven = GradedPairs(pairs.human[kept], pairs.judge[kept], pairs.query[kept], 40)
    weighted = replace(uneven, weight=np.full(kept.sum(), 7.0))
    found = [
        sample_size(side, None, DEFAULT_SCALE, Options(resamples=200))
        for side in (uneven, weighted)
    ]
    assert found[0] == found[1]
    assert found[0]["by_pairs"][-1]["pairs"] == kept.sum()


def test_what_cannot_be_told_has_a_reason() -> None:
    few = sample_size(graded(1, 9), None, DEFAULT_SCALE, Options())
    assert "fewer than 10 queries" in few["reason"]
    pairs = graded(1, 20)
    one_grade = GradedPairs(0 * pairs.human, 0 * pairs.judge, pairs.query, 20)
    assert "reason" in sample_size(one_grade, None, DEFAULT_SCALE, Options())
    assert (
        "no second judge" in sample_size(pairs, None, DEFAULT_SCALE, Options())["power"]["reason"]
    )
    assert "do not differ" in sample_size(pairs, pairs, DEFAULT_SCALE, Options())["power"]["reason"]
    other = sample_size(pairs, graded(2, 20), DEFAULT_SCALE, Options())["power"]
    assert "same pairs" in other["reason"]


def test_same_seed_same_figures(found: dict) -> None:
    again = sample_size(graded(1, 60), graded(1, 60, 1.0), DEFAULT_SCALE, Options(resamples=300))
    assert again == found
