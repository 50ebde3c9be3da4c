"""Calibration against scikit-learn, by hand, and where there is little or nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from relevance_distillery.evaluation.agreement.calibration import (
    expected_calibration_error,
    measure_calibration,
)
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

QUICK = Options(resamples=100)


def drawn(seed: int = 0, queries: int = 30, documents: int = 12, sharpness: float = 2.0):
    """People's grades that follow the probabilities exactly when `sharpness` is 1."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), documents)
    probabilities = rng.dirichlet(np.full(4, 0.7), query.size)
    human = np.array([rng.choice(4, p=row) for row in probabilities])
    sharp = probabilities**sharpness
    sharp /= sharp.sum(1, keepdims=True)
    return GradedPairs(human, np.zeros(query.size), query, queries), sharp


def test_brier_scores_equal_scikit_learn():
    pairs, probabilities = drawn()
    found = measure_calibration(pairs, probabilities, SCALE, QUICK)
    expected = brier_score_loss(pairs.human, probabilities, labels=[0, 1, 2, 3])
    assert found["brier"]["estimate"] == pytest.approx(expected, abs=1e-6)
    relevant = brier_score_loss(pairs.human >= 2, probabilities[:, 2:].sum(1))
    assert found["relevant"]["brier"]["estimate"] == pytest.approx(relevant, abs=1e-6)


def test_reliability_diagrams_equal_scikit_learn():
    pairs, probabilities = drawn()
    found = measure_calibration(pairs, probabilities, SCALE, QUICK)
    cases = (
        (found["bins"], "confidence", "accuracy"),
        (found["relevant"]["bins"], "predicted", "observed"),
    )
    truths = (
        (probabilities.argmax(1) == pairs.human, probabilities.max(1)),
        (pairs.human >= 2, probabilities[:, 2:].sum(1)),
    )
    for (bins, predicted, observed), (truth, chance) in zip(cases, truths, strict=True):
        came, said = calibration_curve(truth, chance, n_bins=10)
        assert [row[predicted] for row in bins] == pytest.approx(said, abs=1e-5)
        assert [row[observed] for row in bins] == pytest.approx(came, abs=1e-5)
        assert sum(row["pairs"] for row in bins) == len(truth)
        assert all(row["low"] <= row[predicted] <= row["high"] for row in bins)


def test_error_is_the_mean_gap_of_the_bins():
    pairs, probabilities = drawn()
    found = measure_calibration(pairs, probabilities, SCALE, QUICK)
    for part, predicted, observed in (
        (found, "confidence", "accuracy"),
        (found["relevant"], "predicted", "observed"),
    ):
        gaps = [abs(row[predicted] - row[observed]) * row["pairs"] for row in part["bins"]]
        expected = sum(gaps) / len(pairs.human)
        assert part["ece"]["estimate"] == pytest.approx(expected, abs=1e-5)
    alone = expected_calibration_error(probabilities.max(1), probabilities.argmax(1) == pairs.human)
    assert found["ece"]["estimate"] == pytest.approx(alone, abs=1e-6)
    assert np.isnan(expected_calibration_error([], []))


def test_overconfidence_shows_and_honesty_covers_the_diagonal():
    honest = measure_calibration(*drawn(1, 200, sharpness=1.0), SCALE, QUICK)
    bold = measure_calibration(*drawn(1, 200, sharpness=3.0), SCALE, QUICK)
    assert honest["ece"]["high"] < bold["ece"]["low"]
    assert honest["relevant"]["ece"]["high"] < bold["relevant"]["ece"]["low"]
    inside = [
        row["observed_low"] <= row["predicted"] <= row["observed_high"]
        for row in honest["relevant"]["bins"]
    ]
    assert np.mean(inside) >= 0.7
    # Off the diagonal the interval stays around what was observed.
    rows = [row for row in bold["relevant"]["bins"] if row["pairs"] > 100]
    assert all(row["observed_low"] <= row["observed"] <= row["observed_high"] for row in rows)
    assert any(not row["observed_low"] <= row["predicted"] <= row["observed_high"] for row in rows)


def test_weights_count_as_repeated_rows():
    pairs, probabilities = drawn(2)
    times = np.random.default_rng(0).integers(1, 4, pairs.human.size)
    weighted = GradedPairs(
        pairs.human, pairs.judge, pairs.query, pairs.queries, weight=times.astype(float)
    )
    rows = np.repeat(np.arange(pairs.human.size), times)
    repeated = GradedPairs(pairs.human[rows], pairs.judge[rows], pairs.query[rows], pairs.queries)
    one = measure_calibration(weighted, probabilities, SCALE, QUICK)
    other = measure_calibration(repeated, probabilities[rows], SCALE, QUICK)
    for name in ("ece", "brier"):
        assert one[name] == other[name]
        assert one["relevant"][name] == other["relevant"][name]
    assert one["bins"][0]["accuracy"] == other["bins"][0]["accuracy"]
    assert one["pairs"] == pairs.human.size


def test_nothing_is_null_with_a_reason():
    none = GradedPairs(np.zeros(0, int), np.zeros(0), np.zeros(0, int), 0)
    found = measure_calibration(none, np.zeros((0, 4)), SCALE, QUICK)
    json.dumps(found, allow_nan=False)
    assert found["ece"]["estimate"] is None
    assert "probabilities" in found["relevant"]["brier"]["reason"]
    assert found["bins"] == found["relevant"]["bins"] == []


def test_one_query_has_estimates_without_intervals():
    pairs, probabilities = drawn(queries=1)
    found = measure_calibration(pairs, probabilities, SCALE, QUICK)
    assert found["ece"]["estimate"] is not None
    assert found["ece"]["low"] is None
    assert all(row["observed_low"] is None and row["reason"] for row in found["relevant"]["bins"])


def test_probabilities_of_another_scale_are_refused():
    pairs, probabilities = drawn()
    with pytest.raises(ValueError, match="4 grades"):
        measure_calibration(pairs, probabilities[:, :3], SCALE, QUICK)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 3),
            st.integers(0, 3),
            st.booleans(),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_few_pairs_give_finite_json(rows):
    """Ties of the highest probability, certainty, and pairs of one query only included."""
    human, first, second, sure, query = (np.array(column) for column in zip(*rows, strict=True))
    probabilities = np.zeros((len(rows), 4))
    probabilities[np.arange(len(rows)), first] += np.where(sure, 1.0, 0.5)
    probabilities[np.arange(len(rows)), second] += np.where(sure, 0.0, 0.5)
    pairs = GradedPairs(human, np.zeros(len(rows)), query, 3)
    found = measure_calibration(pairs, probabilities, SCALE, Options(resamples=30))
    json.dumps(found, allow_nan=False)
    assert 0 <= found["ece"]["estimate"] <= 1
    assert 0 <= found["brier"]["estimate"] <= 2
    for part in (found, found["relevant"]):
        for name, highest in (("ece", 1), ("brier", 2)):
            if part[name]["low"] is not None:
                assert 0 <= part[name]["low"] <= part[name]["high"] <= highest
