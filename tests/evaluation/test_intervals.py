"""Intervals and tests over queries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr
from statsmodels.stats.multitest import multipletests

from relevance_distillery.evaluation.agreement.metrics import (
    METRICS,
    GradedPairs,
    ScoreCorrelation,
    graded_statistics,
    statistics,
)
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, difference, interval
from relevance_distillery.evaluation.statistics.comparison import compare, holm, swap_test
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


def test_bca_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).exponential(size=60)
    ours = interval(mean_of(values), resamples=6000, seed=1)
    theirs = bootstrap((values,), np.mean, n_resamples=6000, method="BCa", rng=2)
    assert ours.estimate == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


def test_coverage_is_near_nominal() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(300):
        found = interval(mean_of(rng.exponential(size=50)), resamples=400, seed=trial)
        covered += found.low <= 1.0 <= found.high
    assert 0.90 <= covered / 300 <= 0.98


def test_resampling_queries_is_wider_than_resampling_pairs() -> None:
    pairs = graded(0)
    by_query = graded_statistics(pairs, DEFAULT_SCALE)["bias"]
    singles = GradedPairs(
        pairs.human, pairs.judge, np.arange(pairs.human.size), int(pairs.human.size)
    )
    by_pair = graded_statistics(singles, DEFAULT_SCALE)["bias"]
    wide, narrow = interval(by_query), interval(by_pair)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_same_seed_same_interval() -> None:
    figure = graded_statistics(graded(1), DEFAULT_SCALE)["kappa"]
    assert interval(figure, seed=5) == interval(figure, seed=5)
    assert interval(figure, seed=5) != interval(figure, seed=6)


def test_one_query_has_an_estimate_and_no_interval() -> None:
    found = interval(graded_statistics(graded(2, queries=1), DEFAULT_SCALE)["accuracy"])
    assert np.isfinite(found.estimate)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_constant_figure_has_a_point_interval() -> None:
    found = interval(mean_of(np.full(30, 0.5)))
    assert (found.low, found.high) == (0.5, 0.5)


def test_score_correlation_equals_scipy_also_on_resamples() -> None:
    pairs = graded(4)
    scores = pairs.judge + np.random.default_rng(0).normal(size=pairs.judge.size)
    figure = ScoreCorrelation(GradedPairs(pairs.human, scores, pairs.query, 40, graded=False))
    weights = np.random.default_rng(1).integers(0, 4, (1, 40)).astype(float)
    repeated = np.repeat(np.arange(pairs.human.size), weights[0][pairs.query].astype(int))
    expected = spearmanr(pairs.human[repeated], scores[repeated]).statistic
    assert figure(weights)[0] == pytest.approx(expected)


def test_scores_have_ranking_metrics_only() -> None:
    pairs = graded(5)
    found = statistics(
        GradedPairs(pairs.human, pairs.judge, pairs.query, 40, graded=False), DEFAULT_SCALE
    )
    assert set(found) == {name for name, metric in METRICS.items() if metric.scored}
    whole = statistics(pairs, DEFAULT_SCALE)
    ones = np.ones((1, 40))
    for name, value in found.items():
        assert value(ones)[0] == pytest.approx(whole[name](ones)[0])


def test_swap_test_sees_a_difference_and_no_difference() -> None:
    good, poor = (graded_statistics(graded(6, noise=n), DEFAULT_SCALE) for n in (0.3, 1.5))
    name = "quadratic_kappa"
    assert swap_test(good[name], poor[name], 500) == pytest.approx(1 / 501)
    assert swap_test(good[name], good[name], 500) == 1.0


def test_swap_test_keeps_its_level() -> None:
    rejected = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        one, two = mean_of(rng.normal(size=30)), mean_of(rng.normal(size=30))
        rejected += swap_test(one, two, 200, seed) <= 0.05
    assert rejected / 120 < 0.12


def test_holm_equals_statsmodels() -> None:
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    expected = multipletests(list(p_values.values()), method="holm")[1]
    assert list(holm(p_values).values()) == pytest.approx(expected)
    assert np.isnan(holm({"a": float("nan"), "b": 0.02})["a"])
    assert holm({"a": float("nan"), "b": 0.02})["b"] == 0.02


def test_primary_metric_is_not_corrected() -> None:
    good, poor = (graded_statistics(graded(7, noise=n), DEFAULT_SCALE) for n in (0.7, 0.9))
    found = compare(good, poor, resamples=200, permutations=200)
    assert found["quadratic_kappa"].p == found["quadratic_kappa"].p_raw
    assert all(row.p >= row.p_raw for row in found.values())
    apart = interval(difference(good["bias"], poor["bias"]), 200)
    assert found["bias"].interval == apart
