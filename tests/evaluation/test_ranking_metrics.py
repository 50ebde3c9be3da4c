"""Ranking metrics against pytrec_eval and against brute force over all orders of ties."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
import pytrec_eval

from relevance_distillery.evaluation.agreement.ranking import ndcg, pairwise_accuracy, per_query


@pytest.mark.parametrize("seed", range(5))
def test_ndcg_equals_trec_eval_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    human = rng.integers(0, 4, 30)
    human[0] = 3
    score = rng.permutation(30).astype(float)
    # trec_eval's gain is the grade itself, so it is given the exponential gain as a grade.
    qrels = {"q": {f"d{i}": int(2**g - 1) for i, g in enumerate(human)}}
    run = {"q": {f"d{i}": float(s) for i, s in enumerate(score)}}
    expected = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg", "ndcg_cut.10"}).evaluate(run)["q"]
    assert ndcg(human, score) == pytest.approx(expected["ndcg"])
    assert ndcg(human, score, 10) == pytest.approx(expected["ndcg_cut_10"])


@pytest.mark.parametrize("cutoff", [None, 2, 3])
def test_ties_are_the_mean_over_all_orders(cutoff: int | None) -> None:
    human, score = np.array([3, 0, 1, 2, 0]), np.array([1, 1, 0, 1, 0])
    orders = [
        list(first) + list(last)
        for first in permutations([0, 1, 3])
        for last in permutations([2, 4])
    ]
    values = []
    for order in orders:
        strict = np.empty(5)
        strict[order] = -np.arange(5)
        values.append(ndcg(human, strict, cutoff))
    assert ndcg(human, score, cutoff) == pytest.approx(np.mean(values))


@pytest.mark.parametrize("seed", range(4))
def test_pairwise_accuracy_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    human, score = rng.integers(0, 4, 25), rng.integers(0, 5, 25)
    points, total = 0.0, 0
    for i, j in combinations(range(25), 2):
        if human[i] != human[j]:
            total += 1
            product = (human[i] - human[j]) * (score[i] - score[j])
            points += 1.0 if product > 0 else 0.5 if product == 0 else 0.0
    assert pairwise_accuracy(human, score) == pytest.approx(points / total)


def test_undefined_queries() -> None:
    assert np.isnan(pairwise_accuracy([2, 2], [1, 0]))
    assert np.isnan(ndcg([0, 0], [1, 0]))


def test_queries_without_a_relevant_document_are_left_out() -> None:
    human, score = np.array([1, 0, 3, 0]), np.array([1.0, 0.0, 0.0, 1.0])
    query = np.array([0, 0, 1, 1])
    values = per_query("ndcg", human, score, query, queries=3, relevant=2)
    assert np.isnan(values[[0, 2]]).all()
    assert values[1] == pytest.approx(1 / np.log2(3))
    pairwise = per_query("pairwise_accuracy", human, score, query, queries=3, relevant=2)
    assert pairwise[:2].tolist() == [1.0, 0.0]
