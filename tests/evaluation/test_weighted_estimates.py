"""Figures of a sample against those of the population that it was drawn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.confusion import confusion
from relevance_distillery.evaluation.agreement.measurement import Options, measure
from relevance_distillery.evaluation.agreement.metrics import (
    GradedPairs,
    graded_statistics,
    statistics,
)
from relevance_distillery.evaluation.statistics.bootstrap import interval
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.people.sampling import Plan, draw

POOLED = ("quadratic_kappa", "kappa", "binary_kappa", "gwet_ac2", "accuracy", "bias", "spearman")


def population(queries: int = 300, pairs: int = 20, seed: int = 0) -> pd.DataFrame:
    """Pairs with a judge's grades that are mostly 0, and people's, who disagree with high ones."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), pairs)
    judge = rng.choice(4, query.size, p=[0.75, 0.15, 0.06, 0.04])
    noise = rng.choice([-2, -1, 0, 1], query.size, p=[0.15, 0.3, 0.45, 0.1])
    human = np.where(judge == 0, (rng.random(query.size) < 0.06) * 2, judge + noise).clip(0, 3)
    return pd.DataFrame(
        {
            "query_id": [f"q{number:04d}" for number in query],
            "passage_id": [f"p{number:02d}" for number in np.tile(np.arange(pairs), queries)],
            "grade": judge,
            "style": "keyword",
            "human": human,
            "query": query,
        }
    )


def graded(rows: pd.DataFrame, queries: int, weighted: bool) -> GradedPairs:
    return GradedPairs(
        human=rows["human"].to_numpy(),
        judge=rows["grade"].to_numpy(dtype=float),
        query=rows["query"].to_numpy(),
        queries=queries,
        weight=1 / rows["inclusion_probability"].to_numpy() if weighted else None,
    )


def estimates(pairs: GradedPairs, names=POOLED) -> dict[str, float]:
    found = statistics(pairs, SCALE)
    ones = np.ones((1, pairs.queries))
    return {name: float(found[name](ones)[0]) for name in names}


def test_a_stratified_sample_is_unbiased_for_the_population_and_unweighted_is_not() -> None:
    everything = population()
    truth = estimates(graded(everything.assign(inclusion_probability=1.0), 300, False))
    plan = Plan("stratified", "pair", 500, ("grade",), "equal", seed=0)
    weighted, plain = [], []
    for seed in range(200):
        rows = draw(everything, replace(plan, seed=seed))
        weighted.append(estimates(graded(rows, 300, True)))
        plain.append(estimates(graded(rows, 300, False)))
    for name in POOLED:
        values = np.array([found[name] for found in weighted])
        error = values.std(ddof=1) / np.sqrt(len(values))
        # A ratio of totals has a bias of the order of 1 / size, far below its own spread.
        assert abs(values.mean() - truth[name]) < 4 * error + 0.15 * values.std(), name
    for name in ("quadratic_kappa", "accuracy"):
        off = abs(np.mean([found[name] for found in plain]) - truth[name])
        assert off > 4 * abs(np.mean([found[name] for found in weighted]) - truth[name])


def test_whole_queries_estimate_ranking_metrics() -> None:
    everything = population(queries=200)
    # Queries whose best grade is high are drawn far more often.
    names = ("pairwise_accuracy", "ndcg_at_10", "quadratic_kappa")
    truth = estimates(graded(everything.assign(inclusion_probability=1.0), 200, False), names)
    plan = Plan("stratified", "query", 60, ("grade",), "equal", seed=0)
    found = [
        estimates(graded(draw(everything, replace(plan, seed=seed)), 200, True), names)
        for seed in range(150)
    ]
    for name in names:
        values = np.array([one[name] for one in found])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - truth[name]) < 4 * error + 0.15 * values.std(), name


def test_intervals_of_a_weighted_sample_cover_the_population() -> None:
    everything = population()
    truth = estimates(graded(everything.assign(inclusion_probability=1.0), 300, False))
    plan = Plan("stratified", "pair", 500, ("grade",), "square_root", seed=0)
    covered = 0
    for seed in range(80):
        rows = draw(everything, replace(plan, seed=seed))
        codes, names = pd.factorize(rows["query_id"])
        pairs = graded(rows.assign(query=codes), len(names), True)
        found = interval(graded_statistics(pairs, SCALE)["quadratic_kappa"], 300, seed)
        covered += found.low <= truth["quadratic_kappa"] <= found.high
    assert covered >= 68


def test_weights_count_as_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    human, judge = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    times = rng.integers(1, 4, 60)
    repeated = confusion(np.repeat(human, times), np.repeat(judge, times), SCALE)
    assert (confusion(human, judge, SCALE, times) == repeated).all()
    query = np.repeat(np.arange(6), 10)
    score = rng.random(60)
    once = GradedPairs(human, score, query, 6, graded=False, weight=times.astype(float))
    often = GradedPairs(
        np.repeat(human, times), np.repeat(score, times), np.repeat(query, times), 6, graded=False
    )
    ones = np.ones((1, 6))
    assert statistics(once, SCALE)["spearman"](ones) == pytest.approx(
        statistics(often, SCALE)["spearman"](ones)
    )


def test_the_report_weights_and_says_so() -> None:
    everything = population(queries=60)
    truth = estimates(graded(everything.assign(inclusion_probability=1.0), 60, False))
    rows = draw(everything, Plan("stratified", "pair", 700, ("grade",), "equal", seed=3))
    grades = pd.DataFrame(
        {
            "query_id": rows["query_id"],
            "document_id": rows["passage_id"],
            "human": rows["human"],
            "student_grade": rows["grade"].astype("Int64"),
            "style": "keyword",
            "query_words": 2,
            "passages": 1,
            "seen": False,
            "weight": 1 / rows["inclusion_probability"],
        }
    )
    benchmark = {"name": "x", "human": True, "kind": "same_corpus", "digest": ""}
    options = Options(resamples=100, permutations=100)
    raters = grades[["query_id", "document_id"]].assign(annotator="ann", grade=grades["human"])
    both = pd.concat([raters, raters.assign(annotator="bob", grade=rows["grade"])])
    found = measure(grades, SCALE, benchmark, both, options)
    student = found["judges"]["student"]["accuracy"]
    assert student["estimate"] == pytest.approx(truth["accuracy"], abs=0.05)
    assert found["human_ceiling"]["accuracy"]["estimate"] == pytest.approx(student["estimate"])
    plain = measure(grades.drop(columns="weight"), SCALE, benchmark, None, options)
    assert abs(plain["judges"]["student"]["accuracy"]["estimate"] - truth["accuracy"]) > 0.1
    assert np.sum(found["confusion"]["student"]["counts"]) == len(rows)
    assert any("a sample of about 1,200" in note for note in found["notes"])
    assert any("Single pairs were sampled" in note for note in found["notes"])
    whole = measure(grades, SCALE, benchmark | {"whole_queries": True}, None, options)
    assert not any("Single pairs" in note for note in whole["notes"])
