from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, log_loss

from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.calibration import (
    Calibration,
    cross_fitted,
    fit_calibration,
    fit_cut_points,
    kappa_of_positions,
    midpoints,
)
from relevance_distillery.labeler.length import correct_documents, fit_length_slope


def _overconfident(pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.full(4, 0.7), size=pairs)
    grades = np.array([rng.choice(4, p=row) for row in true])
    sharp = true**3 + 1e-9
    return sharp / sharp.sum(1, keepdims=True), grades


@pytest.mark.parametrize("pairs", [120, 4000])
def test_calibration_lowers_the_log_loss_of_unseen_pairs(pairs: int) -> None:
    raw, grades = _overconfident(pairs, seed=1)
    fresh, fresh_grades = _overconfident(4000, seed=2)
    fitted = fit_calibration(raw, np.eye(4)[grades], grades)
    better = fitted.apply(fresh)
    np.testing.assert_allclose(better.sum(1), 1.0)
    assert log_loss(fresh_grades, np.clip(better, 1e-6, 1)) < log_loss(fresh_grades, fresh) - 0.05


def test_isotonic_needs_a_hundred_examples_of_the_grade() -> None:
    raw, grades = _overconfident(600, seed=3)
    grades[grades == 3] = 2
    grades[:99] = 3
    fitted = fit_calibration(raw, np.eye(4)[grades], grades)
    assert [knots is not None for knots in fitted.isotonic] == [True, True, True, False]
    assert fitted.temperature > 1


def test_calibration_survives_json_and_no_data() -> None:
    raw, grades = _overconfident(900, seed=4)
    fitted = fit_calibration(raw, np.eye(4)[grades], grades)
    again = Calibration.model_validate(json.loads(fitted.model_dump_json()))
    np.testing.assert_array_equal(fitted.apply(raw), again.apply(raw))
    nothing = fit_calibration(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    np.testing.assert_allclose(nothing.apply(raw), raw, atol=1e-9)


def test_a_query_never_calibrates_itself() -> None:
    raw, grades = _overconfident(800, seed=5)
    queries = np.array([f"q{i % 20}" for i in range(800)], dtype=object)
    first = cross_fitted(raw, np.eye(4)[grades], grades, queries, seed=0)
    changed = grades.copy()
    changed[queries == "q7"] = 0
    second = cross_fitted(raw, np.eye(4)[changed], changed, queries, seed=0)
    np.testing.assert_array_equal(first[queries == "q7"], second[queries == "q7"])
    assert not np.array_equal(first, second)


def test_cut_points_raise_quadratic_kappa() -> None:
    rng = np.random.default_rng(6)
    positions = rng.integers(0, 4, size=500)
    # A labeler that is shy of the extremes: midpoints would never give grade 3.
    expected = 0.8 + positions * 0.35 + rng.normal(0, 0.15, size=500)
    cuts = fit_cut_points(expected, positions, DEFAULT_SCALE)
    assert (np.diff(cuts) >= 0).all()

    def kappa(c: np.ndarray) -> float:
        graded = np.searchsorted(c, expected, "right")
        return cohen_kappa_score(positions, graded, weights="quadratic", labels=range(4))

    assert kappa(cuts) > kappa(midpoints(DEFAULT_SCALE)) + 0.2


def test_cut_points_stay_where_nothing_is_known() -> None:
    for positions in (np.zeros(0, dtype=np.int64), np.full(30, 2)):
        cuts = fit_cut_points(np.linspace(0, 3, len(positions)), positions, DEFAULT_SCALE)
        np.testing.assert_array_equal(cuts, [0.5, 1.5, 2.5])


def test_kappa_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    reference = cohen_kappa_score(first, second, weights="quadratic", labels=range(4))
    assert kappa_of_positions(first, second, 4) == pytest.approx(reference)
    assert kappa_of_positions(np.zeros(5, dtype=int), np.zeros(5, dtype=int), 4) == 0.0


def _null(slope: float, documents: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    rows = []
    for document in range(documents):
        passages = int(rng.integers(1, 12))
        best = 0.2 + slope * np.log(passages) + rng.normal(0, 0.02)
        rows += [("q", f"d{document}", best - 0.1 * (i > 0)) for i in range(passages)]
    return pd.DataFrame(rows, columns=["query_id", "document_id", "expected_grade"])


def test_length_slope_is_found_and_never_negative() -> None:
    assert fit_length_slope(_null(0.3)) == pytest.approx(0.3, abs=0.02)
    assert fit_length_slope(_null(-0.2)) == 0.0
    assert fit_length_slope(_null(0.3).groupby("document_id").head(1)) == 0.0
    assert fit_length_slope(_null(0.3).head(0)) == 0.0


def test_long_documents_lose_what_length_alone_gives() -> None:
    table = pd.DataFrame(
        {
            "query_id": ["q"] * 5,
            "document_id": ["short", "long", "long", "long", "long"],
            "expected_grade": [2.0, 2.0, 1.0, 0.0, 0.0],
            "score": [1.0, 1.0, 0.0, -1.0, -1.0],
        }
    )
    result = correct_documents(table, slope=0.5).set_index("document_id")
    assert result.loc["short", "expected_grade"] == 2.0
    assert result.loc["long", "expected_grade"] == pytest.approx(2 - 0.5 * np.log(4))
    assert result.loc["long", "score"] < result.loc["short", "score"]
    assert result["passages"].to_dict() == {"short": 1, "long": 4}
