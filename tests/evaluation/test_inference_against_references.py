"""What intervals and tests rest on, against statsmodels and against doing it one by one.

Intervals, Holm, prediction-powered means and rank correlations of systems have their references
beside their other tests: test_intervals, test_comparison, test_prediction_powered,
test_systems_figures.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from relevance_distillery.evaluation.agreement.confusion import confusion
from relevance_distillery.evaluation.agreement.metrics import (
    METRICS,
    GradedPairs,
    graded_statistics,
    statistics,
)
from relevance_distillery.evaluation.statistics.bootstrap import standard_error
from relevance_distillery.evaluation.statistics.randomization import swap_test
from relevance_distillery.grading import DEFAULT_SCALE


def some_pairs(seed: int, queries: int = 25, noise: float = 0.8, each: int = 8) -> GradedPairs:
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), each)
    human = rng.integers(0, 4, query.size)
    shift = rng.normal(0, 0.4, queries)[query]
    judge = np.clip(np.rint(human + shift + rng.normal(0, noise, query.size)), 0, 3)
    return GradedPairs(human, judge, query, queries)


@pytest.mark.parametrize("name", list(METRICS))
def test_resampling_a_query_twice_is_having_it_twice(name: str) -> None:
    pairs = some_pairs(0)
    times = np.random.default_rng(1).integers(0, 3, pairs.queries)
    rows = [np.flatnonzero(pairs.query == query) for query in np.repeat(np.arange(25), times)]
    row = np.concatenate(rows)
    query = np.repeat(np.arange(len(rows)), [part.size for part in rows])
    often = GradedPairs(pairs.human[row], pairs.judge[row], query, len(rows))
    weighted = statistics(pairs, DEFAULT_SCALE)[name](times[None, :].astype(float))
    repeated = statistics(often, DEFAULT_SCALE)[name](np.ones((1, len(rows))))
    assert weighted == pytest.approx(repeated)


@pytest.mark.parametrize("name", [n for n in METRICS if n not in ("ndcg", "ndcg_at_10")])
def test_a_weight_is_so_many_rows(name: str) -> None:
    pairs = some_pairs(1)
    times = np.random.default_rng(2).integers(1, 4, pairs.queries)[pairs.query]
    weighted = GradedPairs(
        pairs.human, pairs.judge, pairs.query, pairs.queries, weight=times.astype(float)
    )
    if METRICS[name].scored and name != "spearman":
        # A mean over queries counts the queries: those that stand for several are there as often.
        row = np.concatenate([np.flatnonzero(pairs.query == q) for q in expanded(pairs, times)])
        number = np.repeat(np.arange(row.size // 8), 8)
        often = GradedPairs(pairs.human[row], pairs.judge[row], number, row.size // 8)
    else:
        repeated = (np.repeat(part, times) for part in (pairs.human, pairs.judge, pairs.query))
        often = GradedPairs(*repeated, queries=pairs.queries)
    one = statistics(weighted, DEFAULT_SCALE)[name](np.ones((1, pairs.queries)))
    assert one == pytest.approx(statistics(often, DEFAULT_SCALE)[name](np.ones((1, often.queries))))


def expanded(pairs: GradedPairs, times: np.ndarray) -> np.ndarray:
    """Every query as often as its pairs weigh."""
    first = np.searchsorted(pairs.query, np.arange(pairs.queries))
    return np.repeat(np.arange(pairs.queries), times[first])


def test_standard_errors_of_kappa_equal_statsmodels() -> None:
    # With one pair a query, queries are independent pairs: the case of the textbook formula.
    pairs = some_pairs(3, queries=2000, each=1)
    counts = confusion(pairs.human, pairs.judge.astype(int), DEFAULT_SCALE)
    figures = graded_statistics(pairs, DEFAULT_SCALE)
    for name, weights in (("kappa", None), ("quadratic_kappa", "quadratic")):
        figure, expected = figures[name], cohens_kappa(counts, wt=weights)
        assert standard_error(figure) == pytest.approx(expected.std_kappa, rel=0.01)
        value, slope = figure.slopes(figure.sums.sum(0)[None])
        linearised = np.sqrt(((figure.sums @ slope[0]) ** 2).sum())
        assert value[0] == pytest.approx(expected.kappa)
        assert linearised == pytest.approx(expected.std_kappa, rel=1e-3)


@pytest.mark.parametrize("name", ["krippendorff_alpha", "bias", "pairwise_accuracy", "spearman"])
def test_standard_error_equals_leaving_out_one_query_after_the_other(name: str) -> None:
    pairs = some_pairs(3, queries=12)
    values = []
    for left_out in range(12):
        rows = pairs.query != left_out
        number = np.unique(pairs.query[rows], return_inverse=True)[1]
        part = GradedPairs(pairs.human[rows], pairs.judge[rows], number, 11)
        values.append(graded_statistics(part, DEFAULT_SCALE)[name](np.ones((1, 11)))[0])
    expected = np.sqrt(11 / 12 * ((values - np.mean(values)) ** 2).sum())
    assert standard_error(graded_statistics(pairs, DEFAULT_SCALE)[name]) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["quadratic_kappa", "accuracy", "pairwise_accuracy"])
def test_swap_test_equals_exact_enumeration(name: str) -> None:
    one, two = (
        graded_statistics(some_pairs(9, queries=8, noise=noise), DEFAULT_SCALE)[name]
        for noise in (0.8, 1.3)
    )
    kept = np.array(list(product([0.0, 1.0], repeat=8)))
    apart = one.finish(kept @ one.sums + (1 - kept) @ two.sums)
    apart = np.abs(apart - one.finish((1 - kept) @ one.sums + kept @ two.sums))
    exact = (apart >= apart[-1] - 1e-12).mean()
    found = swap_test(one, two, permutations=20_000, seed=1)
    assert 0.02 < exact < 0.5
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
