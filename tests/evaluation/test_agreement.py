"""The coefficients at their limits; equality with other implementations is tested beside this."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import cohen_kappa_score

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.metrics import pooled
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale

SCALE = DEFAULT_SCALE
BINARY = GradeScale(grades=(Grade(value=0, name="no"), Grade(value=1, name="yes")), relevant_from=1)


def draw(seed: int, pairs: int = 300, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    human = rng.choice(4, size=pairs, p=[0.5, 0.2, 0.2, 0.1])
    judge = np.clip(np.rint(human + rng.normal(0.2, noise, pairs)), 0, 3).astype(int)
    return human, judge


def figure(name: str, human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """A metric of the confusion matrix of two lists of grades, as the report computes it."""
    counts = confusion.confusion(human, judge, scale)
    return float(pooled(name, counts[None], scale)(np.ones((1, 1)))[0])


@pytest.mark.parametrize(
    "name", ["kappa", "quadratic_kappa", "binary_kappa", "krippendorff_alpha", "spearman"]
)
def test_one_grade_only_is_not_defined(name: str) -> None:
    same = np.full(10, 2)
    assert np.isnan(figure(name, same, same, SCALE))


def test_no_pairs_are_not_defined() -> None:
    none = np.array([], dtype=int)
    assert np.isnan(figure("accuracy", none, none, SCALE))
    assert np.isnan(figure("gwet_ac2", none, none, SCALE))


def test_perfect_and_reversed() -> None:
    human = np.array([0, 1, 2, 3] * 5)
    for name in ("kappa", "quadratic_kappa", "krippendorff_alpha", "gwet_ac2", "spearman"):
        assert figure(name, human, human, SCALE) == pytest.approx(1.0)
    assert figure("quadratic_kappa", human, 3 - human, SCALE) == pytest.approx(-1.0)


def test_other_scales() -> None:
    human, judge = np.array([0, 1, 1, 0, 1]), np.array([0, 1, 0, 0, 1])
    expected = cohen_kappa_score(human, judge)
    for name in ("kappa", "quadratic_kappa", "binary_kappa"):
        assert figure(name, human, judge, BINARY) == pytest.approx(expected)


def test_strangers_and_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="not on the scale"):
        confusion.confusion([0, 7], [0, 1], SCALE)
    with pytest.raises(ValueError, match="3 grades by people but 2"):
        confusion.confusion([0, 1, 2], [0, 1], SCALE)


def test_recall_and_precision_of_each_grade() -> None:
    counts = confusion.confusion([0, 0, 1, 2], [0, 1, 1, 1], SCALE)
    assert confusion.recall_by_grade(counts) == pytest.approx([0.5, 1, 0, np.nan], nan_ok=True)
    assert confusion.precision_by_grade(counts) == pytest.approx(
        [1, 1 / 3, np.nan, np.nan], nan_ok=True
    )


def test_stacks_equal_single_matrices() -> None:
    stack = np.stack([confusion.confusion(*draw(seed), SCALE) for seed in range(4)])
    for measure in (confusion.kappa, confusion.krippendorff_alpha, confusion.spearman):
        assert measure(stack) == pytest.approx([float(measure(one)) for one in stack])
