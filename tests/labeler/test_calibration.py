from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, log_loss

from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.calibration import (
    Link,
    cut_points_at,
    fit_link_to_probabilities,
    quadratic_kappa,
)

SKEWED = np.array([0.6, 0.25, 0.1, 0.05])


def _graded(pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and grades drawn from a link of them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(2.0, 3.0, size=pairs)
    chances = Link(slope=0.5, cuts=(1.0, 2.5, 4.0)).probabilities(scores)
    return scores, np.array([rng.choice(4, p=row / row.sum()) for row in chances])


@pytest.mark.parametrize("pairs", [120, 4000])
def test_calibration_finds_the_link_behind_the_grades(pairs: int) -> None:
    scores, grades = _graded(pairs, seed=1)
    fresh, fresh_grades = _graded(4000, seed=2)
    found = fit_link_to_probabilities(scores, np.eye(4)[grades], np.ones(pairs)).probabilities(
        fresh
    )
    true = Link(slope=0.5, cuts=(1.0, 2.5, 4.0)).probabilities(fresh)
    np.testing.assert_allclose(found.sum(1), 1.0)
    assert log_loss(fresh_grades, found) < log_loss(fresh_grades, true) + 6 / pairs


def test_calibration_survives_json() -> None:
    scores, grades = _graded(900, seed=4)
    fitted = fit_link_to_probabilities(scores, np.eye(4)[grades], np.ones(900))
    again = Link.model_validate(json.loads(fitted.model_dump_json()))
    np.testing.assert_array_equal(fitted.probabilities(scores), again.probabilities(scores))


def test_each_grade_goes_to_as_many_pairs_as_the_judge_gave_it_to() -> None:
    rng = np.random.default_rng(6)
    # A labeler that is shy of the extremes: midpoints would never give grade 3.
    expected = 0.8 + rng.random(2000)
    cuts = cut_points_at(SKEWED, expected, DEFAULT_SCALE)
    assert (np.diff(cuts) >= 0).all()
    given = np.bincount(np.searchsorted(cuts, expected, "right"), minlength=4)
    np.testing.assert_array_equal(given, SKEWED * 2000)


def test_weighted_pairs_count_as_often_as_they_weigh() -> None:
    expected = np.array([0.1, 0.5, 0.9, 1.3, 1.7])
    weights = np.array([3.0, 1.0, 3.0, 2.0, 1.0])
    repeated = np.repeat(expected, weights.astype(int))
    once = cut_points_at(SKEWED, expected, DEFAULT_SCALE, weights)
    often = cut_points_at(SKEWED, repeated, DEFAULT_SCALE)
    np.testing.assert_array_equal(
        np.searchsorted(once, expected, "right"), np.searchsorted(often, expected, "right")
    )


def test_grades_that_nobody_gave_are_not_given() -> None:
    expected = np.linspace(0.2, 2.9, 30)
    for shares in ([0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 0.3, 0.7], [0, 0, 0, 1]):
        cuts = cut_points_at(np.array(shares, dtype=float), expected, DEFAULT_SCALE)
        given = np.bincount(np.searchsorted(cuts, expected, "right"), minlength=4)
        np.testing.assert_allclose(given / 30, shares)


def test_cut_points_stay_where_nothing_is_known() -> None:
    cuts = cut_points_at(SKEWED, np.zeros(0), DEFAULT_SCALE)
    np.testing.assert_array_equal(cuts, [0.5, 1.5, 2.5])


def test_kappa_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    reference = cohen_kappa_score(first, second, weights="quadratic", labels=range(4))
    assert quadratic_kappa(first, second, 4) == pytest.approx(reference)
    assert quadratic_kappa(np.zeros(5, dtype=int), np.zeros(5, dtype=int), 4) == 0.0
