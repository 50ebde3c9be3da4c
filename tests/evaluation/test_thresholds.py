"""Agreement at each threshold against scikit-learn, and where a side is empty."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    precision_score,
    recall_score,
)

from relevance_distillery.evaluation.agreement.breakdowns import measure_thresholds
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import graded_statistics
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.grading import Grade, GradeScale

QUICK = Options(resamples=100)
WIDE = GradeScale(
    grades=tuple(Grade(value=value, name=f"grade {value}") for value in (-1, 0, 2, 5)),
    relevant_from=2,
)


def drawn(scale: GradeScale = SCALE, weight: bool = False) -> GradedPairs:
    rng = np.random.default_rng(0)
    query = np.repeat(np.arange(30), 10)
    place = rng.integers(0, 4, query.size)
    other = np.clip(place + rng.integers(-1, 2, query.size), 0, 3)
    return GradedPairs(
        human=scale.values[place],
        judge=scale.values[other].astype(float),
        query=query,
        queries=30,
        weight=rng.integers(1, 5, query.size).astype(float) if weight else None,
    )


@pytest.mark.parametrize("scale", [SCALE, WIDE])
@pytest.mark.parametrize("weight", [False, True])
def test_every_figure_equals_scikit_learn(scale: GradeScale, weight: bool) -> None:
    pairs = drawn(scale, weight)
    rows = measure_thresholds({"judge": pairs}, scale, QUICK)["judge"]
    assert [row["from"] for row in rows] == scale.values[1:].tolist()
    assert [row["name"] for row in rows] == [grade.name for grade in scale.grades[1:]]
    for row in rows:
        truth, said = pairs.human >= row["from"], pairs.judge >= row["from"]
        given = {"sample_weight": pairs.weight}
        expected = {
            "kappa": cohen_kappa_score(truth, said, **given),
            "precision": precision_score(truth, said, **given),
            "recall": recall_score(truth, said, **given),
            "f1": f1_score(truth, said, **given),
            "accuracy": accuracy_score(truth, said, **given),
        }
        for name, value in expected.items():
            assert row[name]["estimate"] == pytest.approx(value, abs=1e-6), name
            assert row[name]["low"] <= row[name]["estimate"] <= row[name]["high"]
        assert row["people"] == pytest.approx(np.average(truth, weights=pairs.weight), abs=1e-6)
        assert row["judge"] == pytest.approx(np.average(said, weights=pairs.weight), abs=1e-6)


def test_kappa_at_the_scale_s_threshold_is_binary_kappa() -> None:
    pairs = drawn()
    rows = measure_thresholds({"judge": pairs}, SCALE, QUICK)["judge"]
    whole = graded_statistics(pairs, SCALE)["binary_kappa"](np.ones((1, 30)))[0]
    assert rows[1]["kappa"]["estimate"] == pytest.approx(whole, abs=1e-6)


def test_empty_sides_are_null_with_their_reason() -> None:
    human, judge = np.array([0, 1, 1, 2]), np.array([0.0, 1.0, 0.0, 0.0])
    pairs = GradedPairs(human, judge, np.array([0, 0, 1, 1]), 2)
    one, two, three = measure_thresholds({"judge": pairs}, SCALE, QUICK)["judge"]
    assert one["precision"]["estimate"] == 1.0
    assert two["precision"] == {
        "estimate": None,
        "low": None,
        "high": None,
        "reason": "the judge put no pair at or above the threshold",
    }
    assert two["recall"]["estimate"] == 0.0
    assert two["f1"]["estimate"] == 0.0
    assert three["recall"]["reason"] == "no pair belongs at or above the threshold"
    assert three["kappa"]["estimate"] is None
    assert three["accuracy"]["estimate"] == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=15))
@example([(0, 1, 0), (0, 1, 0), (1, 0, 0), (1, 0, 1)])
def test_any_few_pairs_give_finite_json(rows: list[tuple[int, int, int]]) -> None:
    human, judge, query = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    pairs = GradedPairs(human, judge.astype(float), query, 4)
    found = measure_thresholds({"judge": pairs}, SCALE, Options(resamples=30))["judge"]
    json.dumps(found, allow_nan=False)
    for row in found:
        for name in ("kappa", "precision", "recall", "f1", "accuracy"):
            assert (row[name]["low"] is None) == ("reason" in row[name])
            if row[name]["low"] is not None:
                lowest = -1 if name == "kappa" else 0
                assert lowest <= row[name]["low"] <= row[name]["high"] <= 1
    assert (found[0]["people"] is None) == (not rows)
