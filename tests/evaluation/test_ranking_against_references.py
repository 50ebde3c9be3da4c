"""Figures of order against trec_eval, scikit-learn, scipy and brute force, on drawn grades."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import kendalltau, spearmanr
from sklearn import metrics as sk

from relevance_distillery.evaluation.agreement import ranking
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.ranking import ScoreCorrelation


def of_query(name: str, human: ArrayLike, judge: ArrayLike) -> float:
    """A ranking metric of one query's documents."""
    grades = np.asarray(human)
    query = np.zeros(grades.size, dtype=np.int64)
    return float(ranking.ranking_metrics(grades, judge, query, 1, relevant=1)[name][0])


def same(expected: float) -> Any:
    return pytest.approx(expected, abs=1e-9, nan_ok=True)


@st.composite
def one_query(draw: st.DrawFn, most: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Grades of people and scores of a judge for the documents of a query."""
    pair = st.tuples(st.integers(0, 3), st.integers(-3, 3))
    drawn = draw(st.lists(pair, min_size=1, max_size=most))
    human, score = np.array(drawn).T
    return human, score.astype(float)


@given(one_query())
@settings(max_examples=200, deadline=None)
def test_pairwise_accuracy_equals_a_double_loop(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    human, score = drawn
    points = [
        float(np.sign(score[i] - score[j]) + 1) / 2
        for i, j in product(range(human.size), repeat=2)
        if human[i] > human[j]
    ]
    expected = np.mean(points) if points else np.nan
    assert of_query("pairwise_accuracy", human, score) == same(float(expected))


@given(one_query())
@settings(max_examples=100, deadline=None)
def test_pairwise_accuracy_is_the_area_under_the_curve_of_two_grades(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    human, score = drawn
    relevant = human >= 2
    expected = np.nan if relevant.all() or not relevant.any() else sk.roc_auc_score(relevant, score)
    assert of_query("pairwise_accuracy", relevant, score) == same(float(expected))


@given(st.permutations(range(12)))
@settings(max_examples=50, deadline=None)
def test_pairwise_accuracy_is_kendalls_tau_without_ties(order: list[int]) -> None:
    tau = kendalltau(np.arange(12), order).statistic
    assert of_query("pairwise_accuracy", np.arange(12), order) == same((tau + 1) / 2)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_ndcg_equals_trec_eval(grades: list[int], random: Any) -> None:
    score = list(range(len(grades)))
    random.shuffle(score)
    qrels = [ir_measures.Qrel("q", f"d{i}", grade) for i, grade in enumerate(grades)]
    run = [ir_measures.ScoredDoc("q", f"d{i}", float(s)) for i, s in enumerate(score)]
    gains = {grade: 2**grade - 1 for grade in range(4)}
    for name, cutoff in (("ndcg", None), ("ndcg_at_10", 10)):
        asked = ir_measures.nDCG(gains=gains)
        asked = asked if cutoff is None else asked @ cutoff
        expected = ir_measures.pytrec_eval.calc_aggregate([asked], qrels, run)[asked]
        # trec_eval writes 0 for a query without a relevant document; here it has no value.
        expected = expected if any(grades) else float("nan")
        assert of_query(name, grades, score) == same(expected)


@given(one_query(most=6), st.sampled_from([None, 1, 3]))
@settings(max_examples=100, deadline=None)
def test_ndcg_of_ties_is_the_mean_over_all_orders(
    drawn: tuple[np.ndarray, np.ndarray], cutoff: int | None
) -> None:
    human, score = drawn
    values = []
    name = "ndcg" if cutoff is None else "ndcg_at_10"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_CUTOFF", cutoff)
        for order in permutations(range(human.size)):
            if (np.diff(score[list(order)]) <= 0).all():
                strict = np.empty(human.size)
                strict[list(order)] = -np.arange(human.size)
                values.append(of_query(name, human, strict))
        assert of_query(name, human, score) == same(float(np.mean(values)))


@pytest.mark.filterwarnings("ignore:An input array is constant")
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3), st.integers(0, 3))))
@settings(max_examples=100, deadline=None)
def test_rank_correlation_of_resampled_scores(drawn: list[tuple[int, int, int]]) -> None:
    human, score, times = np.array(drawn, dtype=int).reshape(-1, 3).T
    query = np.arange(human.size)
    pairs = GradedPairs(human, score.astype(float), query, human.size, graded=False)
    row = np.repeat(query, times)
    expected = spearmanr(human[row], score[row]).statistic if row.size > 1 else np.nan
    assert ScoreCorrelation(pairs)(times[None, :].astype(float))[0] == same(float(expected))
