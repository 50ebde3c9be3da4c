"""One judge against another: tests, conclusions, and how often they err."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from relevance_distillery.evaluation.agreement.estimates import (
    NO_INTERVAL,
    Options,
    compare,
    conclude,
    differences,
)
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import METRICS, graded_statistics
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, difference, interval
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.evaluation.statistics.randomization import holm, swap_test
from relevance_distillery.grading import DEFAULT_SCALE


def mean_of(values: np.ndarray) -> SumStatistic:
    sums = np.column_stack([values, np.ones(len(values))])
    return SumStatistic(sums, lambda totals: totals[:, 0] / totals[:, 1])


def graded(seed: int, queries: int = 40, noise: float = 0.8) -> GradedPairs:
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), 12)
    human = rng.integers(0, 4, query.size)
    shift = rng.normal(0, 0.5, queries)[query]
    judge = np.clip(np.rint(human + shift + rng.normal(0, noise, query.size)), 0, 3)
    return GradedPairs(human, judge, query, queries)


def test_swap_test_sees_a_difference_and_no_difference() -> None:
    good, poor = (graded_statistics(graded(6, noise=n), DEFAULT_SCALE) for n in (0.3, 1.5))
    name = "quadratic_kappa"
    assert swap_test(good[name], poor[name], 500) == pytest.approx(1 / 501)
    assert swap_test(good[name], good[name], 500) == 1.0


def test_swap_test_equals_scipy() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(0.25, 1, 30), rng.normal(size=30)
    theirs = permutation_test(
        (one, two),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=3,
    )
    ours = swap_test(mean_of(one), mean_of(two), 9999, 4)
    assert 0.01 < ours < 0.9
    assert ours == pytest.approx(theirs.pvalue, abs=0.015)


def test_swap_test_keeps_its_level() -> None:
    rejected = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        one, two = mean_of(rng.normal(size=30)), mean_of(rng.normal(size=30))
        rejected += swap_test(one, two, 200, seed) <= 0.05
    assert rejected / 120 < 0.12


@pytest.mark.parametrize("seed", range(5))
def test_holm_equals_statsmodels(seed: int) -> None:
    values = np.random.default_rng(seed).beta(0.4, 2, 8).round(2)
    p_values = dict(zip("abcdefgh", values, strict=True))
    expected = multipletests(values, method="holm")[1]
    assert list(holm(p_values).values()) == pytest.approx(expected)


def test_holm_leaves_out_what_is_not_defined() -> None:
    assert np.isnan(holm({"a": float("nan"), "b": 0.02})["a"])
    assert holm({"a": float("nan"), "b": 0.02})["b"] == 0.02


def test_primary_metric_is_not_corrected() -> None:
    good, poor = (graded_statistics(graded(7, noise=n), DEFAULT_SCALE) for n in (0.7, 0.9))
    found = compare(good, poor, Options(200, 200))
    assert found["quadratic_kappa"].p == found["quadratic_kappa"].p_raw
    assert all(row.p >= row.p_raw for row in found.values())
    assert found["bias"].interval == interval(difference(good["bias"], poor["bias"]), 200)


@pytest.mark.parametrize(
    ("low", "high", "higher", "lower"),
    [
        (0.01, 0.05, "superior", "open"),
        (-0.02, 0.02, "non-inferior", "non-inferior"),
        (-0.02, 0.05, "non-inferior", "open"),
        (-0.05, 0.02, "open", "non-inferior"),
        (-0.09, -0.04, "inferior", "superior"),
        (-0.09, -0.02, "open", "superior"),
        (0.04, 0.09, "superior", "inferior"),
        (-0.03, 0.0, "open", "non-inferior"),
        (0.0, 0.0, "non-inferior", "non-inferior"),
    ],
)
def test_conclusions(low: float, high: float, higher: str, lower: str) -> None:
    found = Interval((low + high) / 2, low, high)
    assert conclude(found, 0.03) == higher
    assert conclude(found, 0.03, "lower") == lower


@pytest.mark.parametrize("margin", [0.001, 0.03, 0.1, 0.5])
def test_p_of_non_inferiority_says_what_the_conclusion_says(margin: float) -> None:
    sides = [graded_statistics(graded(8, noise=noise), DEFAULT_SCALE) for noise in (0.95, 0.8)]
    for one, other in (sides, sides[::-1]):
        for name, found in compare(one, other, Options(499, 99, margin=margin)).items():
            if name == "bias":
                continue
            passed = found.conclusion in ("superior", "non-inferior")
            assert (found.p_non_inferior < 0.025) == passed, name


def test_errors_are_better_when_lower_and_bias_has_no_better_side() -> None:
    good, poor = (graded_statistics(graded(6, noise=n), DEFAULT_SCALE) for n in (0.3, 1.5))
    found = compare(good, poor, Options(200, 99))
    back = compare(poor, good, Options(200, 99))
    assert found["mean_absolute_error"].interval.high < 0
    for name, metric in METRICS.items():
        if metric.better == "zero":
            assert found[name].conclusion is None
            assert np.isnan(found[name].p_non_inferior)
        else:
            assert (found[name].conclusion, back[name].conclusion) == ("superior", "inferior")
            assert found[name].p_non_inferior < 0.025 < 0.975 < back[name].p_non_inferior


def test_what_is_not_defined_has_a_reason() -> None:
    pairs = graded(1)
    same = GradedPairs(0 * pairs.human, 0 * pairs.judge, pairs.query, 40)
    figures = graded_statistics(same, DEFAULT_SCALE)
    found = compare(figures, figures, Options(100, 50))
    assert found["kappa"].conclusion is None
    assert np.isnan(found["kappa"].p)
    shown = differences(figures, figures, Options(100, 50))
    assert shown["kappa"]["reason"] == METRICS["kappa"].undefined
    assert found["accuracy"].conclusion == "non-inferior"
    single = graded_statistics(graded(2, queries=1), DEFAULT_SCALE)
    shown = differences(single, single, Options(100, 50))
    assert shown["accuracy"]["reason"] == NO_INTERVAL


def test_a_margin_is_above_zero() -> None:
    figures = graded_statistics(graded(1), DEFAULT_SCALE)
    with pytest.raises(ValueError, match="above 0"):
        compare(figures, figures, Options(margin=0.0))
