"""Intervals over queries, against independent computations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, sem
from scipy.stats import t as student_t
from sklearn.metrics import cohen_kappa_score

from relevance_distillery.evaluation.agreement.estimates import paired_differences
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import (
    METRICS,
    graded_statistics,
    statistics,
)
from relevance_distillery.evaluation.agreement.ranking import ScoreCorrelation
from relevance_distillery.evaluation.statistics.bootstrap import (
    SumStatistic,
    difference,
    interval,
    intervals,
    resamples_of_queries,
    standard_error,
    studentized,
)
from relevance_distillery.grading import DEFAULT_SCALE


def mean_of(values: np.ndarray, bounds: tuple[float, float] | None = None) -> SumStatistic:
    sums = np.column_stack([values, np.ones(len(values))])
    if bounds is None:
        return SumStatistic(sums, lambda totals: totals[:, 0] / totals[:, 1])
    return SumStatistic(sums, lambda totals: totals[:, 0] / totals[:, 1], bounds)


def graded(seed: int, queries: int = 40, noise: float = 0.8) -> GradedPairs:
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), 12)
    human = rng.integers(0, 4, query.size)
    shift = rng.normal(0, 0.5, queries)[query]
    judge = np.clip(np.rint(human + shift + rng.normal(0, noise, query.size)), 0, 3)
    return GradedPairs(human, judge, query, queries)


def test_the_standard_error_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).exponential(size=60)
    assert standard_error(mean_of(values)) == pytest.approx(sem(values))


def test_agrees_with_scipy_where_the_data_are_many() -> None:
    values = np.random.default_rng(0).exponential(size=2000)
    ours = interval(mean_of(values), resamples=4000, seed=1)
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=2)
    assert ours.estimate == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.004)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.004)


def test_a_mean_equals_the_symmetric_bootstrap_t_written_out() -> None:
    values = np.random.default_rng(2).exponential(size=25)
    counts = np.concatenate(list(resamples_of_queries(25, 400, 3))).astype(int)
    drawn = np.array([np.repeat(values, row) for row in counts])
    error = values.std(ddof=1) / 5.0
    own = np.maximum(drawn.std(axis=1) / 5.0, 0.2 * error)
    critical = np.quantile(np.abs(drawn.mean(axis=1) - values.mean()) / own, 0.95)
    critical = max(critical, student_t.ppf(0.975, 24))
    found = interval(mean_of(values), resamples=400, seed=3)
    assert found.low == pytest.approx(values.mean() - critical * error, abs=1e-5)
    assert found.high == pytest.approx(values.mean() + critical * error, abs=1e-5)


def test_quadratic_kappa_equals_the_same_from_scikit_learn_on_fishers_scale() -> None:
    pairs = graded(3, queries=12)

    def kappa(weights: np.ndarray) -> float:
        return cohen_kappa_score(
            pairs.human,
            pairs.judge.astype(int),
            weights="quadratic",
            sample_weight=weights[pairs.query],
        )

    def influences(weights: np.ndarray) -> np.ndarray:
        moved = weights + 1e-4 * np.eye(12)
        return np.array([kappa(row) - kappa(weights) for row in moved]) / 1e-4

    estimate = kappa(np.ones(12))
    without = np.array([kappa(1.0 - row) for row in np.eye(12)])
    error = np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
    ratios = []
    for row in np.concatenate(list(resamples_of_queries(12, 60, 4))):
        own = np.sqrt((row * influences(row) ** 2).sum())
        ratios.append(abs(kappa(row) - estimate) / max(own, 0.2 * error))
    critical = max(np.quantile(ratios, 0.95), student_t.ppf(0.975, 11))
    reach = critical * error / (1 - estimate**2)
    figure = graded_statistics(pairs, DEFAULT_SCALE)["quadratic_kappa"]
    found = interval(figure, resamples=60, seed=4)
    assert found.low == pytest.approx(np.tanh(np.arctanh(estimate) - reach), abs=1e-3)
    assert found.high == pytest.approx(np.tanh(np.arctanh(estimate) + reach), abs=1e-3)


def test_together_is_the_same_as_one_by_one() -> None:
    pairs = graded(8)
    whole = dict(statistics(pairs, DEFAULT_SCALE))
    whole["score"] = ScoreCorrelation(pairs)
    whole["other queries"] = graded_statistics(graded(9, queries=25), DEFAULT_SCALE)["kappa"]
    found = intervals(whole, resamples=200, seed=5)
    assert found == {name: interval(figure, 200, 5) for name, figure in whole.items()}


def test_differences_share_their_sums_and_equal_one_by_one() -> None:
    one, other = (graded_statistics(graded(6, noise=n), DEFAULT_SCALE) for n in (0.5, 0.9))
    apart = paired_differences(one, other)
    assert apart["kappa"].sums is apart["bias"].sums
    for name, figure in apart.items():
        assert interval(figure, 100) == interval(difference(one[name], other[name]), 100)


def test_a_difference_has_the_slopes_of_the_function_that_it_is() -> None:
    one, other = (graded_statistics(graded(6, noise=n), DEFAULT_SCALE) for n in (0.5, 0.9))
    totals = np.concatenate(list(resamples_of_queries(40, 20, 0)))
    for name, apart in paired_differences(one, other).items():
        found = apart.slopes(totals @ apart.sums)
        expected = SumStatistic(apart.sums, apart.finish).slopes(totals @ apart.sums)
        assert found[0] == pytest.approx(expected[0]), name
        assert found[1] == pytest.approx(expected[1], abs=1e-7), name


def test_pseudo_values_take_the_place_of_slopes_where_there_are_many_sums() -> None:
    values = np.random.default_rng(2).exponential(size=25)
    narrow = mean_of(values)
    wide = SumStatistic(np.hstack([narrow.sums, np.zeros((25, 70))]), narrow.finish)
    found, expected = interval(wide, 300), interval(narrow, 300)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-5)

    class Whole:
        """The same without sums."""

        queries = 25

        def __call__(self, weights: np.ndarray) -> np.ndarray:
            return narrow(weights)

    assert interval(Whole(), 300).high == pytest.approx(expected.high, abs=1e-5)
    student = values.mean() + student_t.ppf(0.975, 24) * sem(values)
    assert expected.high > student + 0.01


def test_limits_stay_within_the_bounds() -> None:
    values = np.r_[np.ones(18), 0.2, 0.9]
    free, bounded = (interval(mean_of(values, bounds)) for bounds in (None, (0.0, 1.0)))
    assert free.high > 1.0
    assert bounded.estimate < bounded.high < 1.0
    assert bounded.estimate - bounded.low > bounded.high - bounded.estimate
    for name, figure in graded_statistics(graded(1, queries=6), DEFAULT_SCALE).items():
        found = interval(figure, 200)
        assert figure.bounds[0] <= found.low <= found.estimate <= found.high <= figure.bounds[1], (
            name
        )


def test_a_share_that_is_rarely_missed_is_as_sure_as_textbooks_say() -> None:
    for hits in (18, 19):
        found = interval(mean_of(np.repeat([1.0, 0.0], [hits, 20 - hits]), (0.0, 1.0)))
        wilson = binomtest(hits, 20).proportion_ci(method="wilson")
        assert wilson.low - 0.2 < found.low < wilson.low
        assert wilson.high < found.high < 1.0


def test_a_difference_of_few_queries_stays_within_what_it_can_be() -> None:
    shares = [
        mean_of(np.array(values), (0.0, 1.0)) for values in ([1.0, 0.4, 1.0], [0.0, 0.1, 0.9])
    ]
    apart = difference(*shares)
    free = interval(replace(apart, bounds=(-np.inf, np.inf)))
    found = interval(apart)
    assert free.high > 1.0
    assert (found.estimate, found.low, found.high) == (free.estimate, max(free.low, -1.0), 1.0)


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0.0, 1.0)])
@pytest.mark.parametrize("value", [0.0, 0.4, 0.7, 0.79, 0.8, 0.85, 1.0])
def test_p_is_the_interval_turned_round(value: float, bounds: tuple[float, float]) -> None:
    values = np.random.default_rng(5).beta(4, 1, size=30)
    found = studentized({"": mean_of(values, bounds)}, 999)[""]
    for level in (0.8, 0.9, 0.95, 0.99):
        limits = found.interval(level)
        assert (found.p_at_most(value) < (1 - level) / 2) == (limits.low > value)
        assert (found.p_at_least(value) < (1 - level) / 2) == (limits.high < value)
    assert found.p_at_most(value) >= 1 / 1000


def test_coverage_is_near_nominal_where_students_t_fails() -> None:
    rng = np.random.default_rng(3)
    covered = plain = 0
    for trial in range(400):
        values = rng.lognormal(0, 1, size=20)
        found = interval(mean_of(values), resamples=300, seed=trial)
        truth = np.exp(0.5)
        covered += found.low <= truth <= found.high
        plain += abs(values.mean() - truth) <= student_t.ppf(0.975, 19) * sem(values)
    assert plain / 400 < 0.90
    assert 0.91 <= covered / 400 <= 0.98


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
    one = graded_statistics(graded(2, queries=1), DEFAULT_SCALE)["accuracy"]
    # A query without pairs is no second query.
    alone = SumStatistic(np.vstack([one.sums, 0 * one.sums]), one.finish, one.bounds)
    for figure in (one, alone):
        found = interval(figure)
        assert np.isfinite(found.estimate)
        assert np.isnan(found.low)
        assert np.isnan(found.high)
        assert np.isnan(studentized({"": figure})[""].p_at_most(0.0))


def test_a_figure_that_rests_on_one_query_has_no_interval() -> None:
    pairs = graded(2, queries=3)
    human = np.where(pairs.query == 0, pairs.human, 0)
    judge = np.where(pairs.query == 0, pairs.judge, 0)
    figure = graded_statistics(GradedPairs(human, judge, pairs.query, 3), DEFAULT_SCALE)["kappa"]
    found = interval(figure)
    assert np.isfinite(found.estimate)
    assert np.isnan(found.low)


def test_constant_figure_has_a_point_interval() -> None:
    found = interval(mean_of(np.full(30, 0.5)))
    assert (found.low, found.high) == (0.5, 0.5)
    ratio = studentized({"": mean_of(np.full(30, 0.5))}, 99)[""]
    assert (ratio.p_at_most(0.4), ratio.p_at_most(0.5)) == (0.01, 1.0)


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
