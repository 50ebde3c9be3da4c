"""Ranking metrics of all queries at once, and where they do not exist."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.ranking import ScoreCorrelation, ranking_metrics


def test_undefined_queries() -> None:
    found = ranking_metrics([2, 2, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1], queries=2, relevant=1)
    assert np.isnan(found["pairwise_accuracy"]).all()
    assert np.isnan(found["ndcg"]).tolist() == [False, True]


def test_queries_without_a_relevant_document_are_left_out() -> None:
    human, score = np.array([1, 0, 3, 0]), np.array([1.0, 0.0, 0.0, 1.0])
    query = np.array([0, 0, 1, 1])
    found = ranking_metrics(human, score, query, queries=3, relevant=2)
    values = found["ndcg"]
    assert np.isnan(values[[0, 2]]).all()
    assert values[1] == pytest.approx(1 / np.log2(3))
    assert found["pairwise_accuracy"][:2].tolist() == [1.0, 0.0]


PAIRS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(-1, 3), st.sampled_from([-2.0, 0.0, 0.5, 1e-9, 7.0])),
    max_size=30,
)


def orders_alike(human: np.ndarray, score: np.ndarray) -> float:
    points = [
        1.0 if product > 0 else 0.5 if product == 0 else 0.0
        for i, j in combinations(range(len(human)), 2)
        if human[i] != human[j]
        for product in [np.sign(human[i] - human[j]) * np.sign(score[i] - score[j])]
    ]
    return float(np.mean(points)) if points else float("nan")


def gain_of_ranking(human: np.ndarray, score: np.ndarray, cutoff: int | None) -> float:
    """nDCG with every document at the mean discount of the ranks that its score covers."""
    gain = 2.0 ** np.maximum(human, 0) - 1
    discount = 1 / np.log2(np.arange(len(human)) + 2)
    discount[cutoff if cutoff is not None else len(human) :] = 0
    total = 0.0
    for value, own in zip(score, gain, strict=True):
        above, same = int((score > value).sum()), int((score == value).sum())
        total += own * discount[above : above + same].mean()
    best = float((np.sort(gain)[::-1] * discount).sum())
    return total / best if best > 0 else float("nan")


@settings(max_examples=150, deadline=None)
@given(PAIRS)
def test_all_queries_at_once_equal_one_after_the_other(rows: list) -> None:
    """Queries in any order and without documents, ties, one grade only, grades below 0."""
    query = np.array([row[0] for row in rows], dtype=np.int64)
    human = np.array([row[1] for row in rows], dtype=np.int64)
    score = np.array([row[2] for row in rows])
    found = ranking_metrics(human, score, query, 6, 2)
    for number in range(6):
        own = query == number
        relevant = (human[own] >= 2).any()
        expected = {
            "pairwise_accuracy": orders_alike(human[own], score[own]),
            "ndcg": gain_of_ranking(human[own], score[own], None) if relevant else np.nan,
            "ndcg_at_10": gain_of_ranking(human[own], score[own], 10) if relevant else np.nan,
        }
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert found[name][number] == pytest.approx(value, nan_ok=True), name


@settings(max_examples=100, deadline=None)
@given(PAIRS, st.lists(st.integers(0, 3), min_size=5, max_size=5), st.booleans())
def test_correlation_of_scores_equals_scipy_on_any_resample(
    rows: list, drawn: list[int], weighted: bool
) -> None:
    query = np.array([row[0] for row in rows], dtype=np.int64)
    human = np.array([row[1] for row in rows], dtype=np.int64)
    score = np.array([row[2] for row in rows])
    weight = 1 + np.arange(len(rows)) % 3 if weighted else None
    pairs = GradedPairs(
        human, score, query, 5, graded=False, weight=None if weight is None else weight * 1.0
    )
    times = np.array(drawn)[query] * (1 if weight is None else weight)
    repeated = np.repeat(np.arange(len(rows)), times)
    expected = np.nan
    if len(set(human[repeated])) > 1 and len(set(score[repeated])) > 1:
        expected = spearmanr(human[repeated], score[repeated]).statistic
    figure = ScoreCorrelation(pairs)
    both = figure(np.array([drawn, np.zeros(5)], dtype=float))
    assert both[0] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(both[1])
