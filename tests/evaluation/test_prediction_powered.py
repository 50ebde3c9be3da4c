"""Prediction-powered means, against ppi-python and in simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate
from scipy.stats import t as student_t

from relevance_distillery.evaluation.statistics.prediction_powered import (
    FEWEST_TUNED,
    powered_mean,
)

Values = tuple[np.ndarray, np.ndarray, np.ndarray]


def world(seed: int, human: int = 30, machine: int = 300, noise: float = 0.5) -> Values:
    """Values by people, by a machine that is 0.3 too high, and by the machine alone."""
    rng = np.random.default_rng(seed)
    truth = rng.exponential(size=human + machine)
    said = truth + 0.3 + noise * rng.normal(size=truth.size)
    return truth[:human], said[:human], said[human:]


@pytest.mark.parametrize("power", [None, 0.0, 0.37, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_normal_form_equals_ppi_python(power: float | None, seed: int) -> None:
    values = world(seed, human=12 + 10 * seed, noise=(0.2, 0.5, 2.0, 9.0)[seed])
    low, high = ppi_mean_ci(*values, alpha=0.05, lam=power)
    found = powered_mean(*values, power=power, quantiles="normal").interval
    assert found.low == pytest.approx(low.item(), abs=1e-12)
    assert found.high == pytest.approx(high.item(), abs=1e-12)
    assert found.estimate == pytest.approx(ppi_mean_pointestimate(*values, lam=power).item())


def test_weights_give_the_estimate_of_ppi_python() -> None:
    values = world(1)
    weights = np.random.default_rng(0).uniform(0.5, 3, 30)
    found = powered_mean(*values, weight=weights, quantiles="normal")
    assert found.interval.estimate == pytest.approx(ppi_mean_pointestimate(*values, w=weights)[0])


def test_a_constant_added_to_every_value_moves_the_interval_and_nothing_else() -> None:
    weights = np.random.default_rng(0).uniform(0.5, 3, 30)
    here = powered_mean(*world(1), weight=weights)
    there = powered_mean(*(values + 100 for values in world(1)), weight=weights)
    assert there.power == pytest.approx(here.power)
    for side in ("low", "estimate", "high"):
        moved = getattr(there.interval, side) - getattr(here.interval, side)
        assert moved == pytest.approx(100)


def test_a_whole_weight_counts_like_so_many_units_in_the_estimate() -> None:
    human, machine, only = world(2)
    weights = np.random.default_rng(0).integers(1, 4, human.size)
    weighted = powered_mean(human, machine, only, power=0.6, weight=weights)
    repeated = powered_mean(np.repeat(human, weights), np.repeat(machine, weights), only, power=0.6)
    assert weighted.interval.estimate == pytest.approx(repeated.interval.estimate)
    assert weighted.machine == pytest.approx(repeated.machine)


def test_without_power_it_is_the_classical_interval() -> None:
    human, machine, only = world(3)
    found = powered_mean(human, machine, only, power=0.0)
    reach = student_t.ppf(0.975, 29) * human.std(ddof=1) / math.sqrt(30)
    assert found.interval == found.classical
    assert found.classical.high - human.mean() == pytest.approx(reach)
    assert found.effective_units == pytest.approx(30)


def test_a_good_machine_narrows_and_a_bad_one_hardly_widens() -> None:
    good, bad = powered_mean(*world(4, noise=0.2)), powered_mean(*world(4, noise=50.0))
    assert good.power > 0.8
    assert good.effective_units > 3 * good.human_units
    assert good.interval.high - good.interval.low < 0.6 * (good.classical.high - good.classical.low)
    assert bad.power < 0.1
    assert bad.interval.high - bad.interval.low < 1.1 * (bad.classical.high - bad.classical.low)
    assert good.machine > good.interval.high


def test_a_difference_of_systems_has_a_p_value() -> None:
    first, second = world(5, noise=0.2), world(6, noise=0.2)
    same = powered_mean(*(one - other for one, other in zip(first, second, strict=True)))
    apart = powered_mean(*(one - other + 1 for one, other in zip(first, second, strict=True)))
    for found in (same, apart):
        assert (found.p < 0.05) == (found.interval.low > 0 or found.interval.high < 0)
    assert apart.p < 0.05 < same.p


def covered(human: int, trials: int, **options: Any) -> tuple[float, float]:
    """Share of intervals with the truth, which is 1: of people and machine, and of the paper."""
    hits, paper = 0, 0
    for trial in range(trials):
        values = world(1000 + trial, human, 200)
        found = powered_mean(*values, **options).interval
        hits += found.low <= 1.0 <= found.high
        found = powered_mean(*values, quantiles="normal").interval
        paper += found.low <= 1.0 <= found.high
    return hits / trials, paper / trials


def test_it_covers_with_ten_human_queries_where_normal_quantiles_do_not() -> None:
    ours, paper = covered(10, 500)
    assert paper < 0.90
    assert 0.91 <= ours <= 0.985


@pytest.mark.parametrize(
    ("human", "machine", "only", "reason"),
    [
        ([], [], [1.0, 2.0], "no query"),
        ([], [], [], "no query"),
        ([0.5], [0.4], [1.0, 2.0], "one query"),
        ([0.5] * 8, [0.1, 0.2] * 4, [1.0, 2.0], "all 8 queries are equal"),
        ([1.0, 2, 3, 4, 5], [1.0, 2, 3, 4, 5], [2.0, 2.0], "no spread"),
    ],
)
def test_no_limits_have_a_reason(human: Any, machine: Any, only: Any, reason: str) -> None:
    found = powered_mean(human, machine, only, power=1.0 if reason == "no spread" else None)
    assert reason in found.reason
    assert np.isnan(found.interval.low)
    assert np.isnan(found.interval.high)
    assert np.isnan(found.p)
    assert np.isnan(found.effective_units)
    assert np.isfinite(found.power)
    assert len(human) == 0 or np.isfinite(found.interval.estimate)


def test_without_other_queries_or_with_few_human_ones_people_stand_alone() -> None:
    human, machine, only = world(7)
    alone = powered_mean(human, machine, [])
    few = powered_mean(human[: FEWEST_TUNED - 1], machine[: FEWEST_TUNED - 1], only)
    for found in (alone, few):
        assert found.interval == found.classical
        assert found.power == 0.0
        assert "people's values" in found.reason


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="2 human values but 1"):
        powered_mean([1, 2], [1], [1])
    with pytest.raises(ValueError, match="machine_only has 1 values that are not finite"):
        powered_mean([1, 2], [1, 2], [1, np.nan])
    with pytest.raises(ValueError, match="weight must be above 0"):
        powered_mean([1, 2], [1, 2], [1], weight=[1, 0])
    with pytest.raises(ValueError, match="3 values of weight for 2 units"):
        powered_mean([1, 2], [1, 2], [1], weight=[1, 1, 1])


few_values = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2), max_size=8), few_values)
def test_limits_or_a_reason_whatever_comes(
    both: list[tuple[float, float]], only: list[float]
) -> None:
    found = powered_mean([one for one, _ in both], [other for _, other in both], only)
    if np.isfinite(found.interval.low):
        assert found.interval.low < found.interval.estimate < found.interval.high
        assert 0 <= found.p <= 1
        assert found.effective_units > 0
    else:
        assert found.reason
