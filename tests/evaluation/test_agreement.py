"""Every coefficient against an independent implementation, on random and degenerate inputs."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, mean_absolute_error

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement import figures as agreement
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale

SCALE = DEFAULT_SCALE
LABELS = SCALE.values.tolist()
BINARY = GradeScale(grades=(Grade(value=0, name="no"), Grade(value=1, name="yes")), relevant_from=1)


def draw(seed: int, pairs: int = 300, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    human = rng.choice(4, size=pairs, p=[0.5, 0.2, 0.2, 0.1])
    judge = np.clip(np.rint(human + rng.normal(0.2, noise, pairs)), 0, 3).astype(int)
    return human, judge


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pairs", [3, 40, 1000])
def test_coefficients_equal_independent_ones(seed: int, pairs: int) -> None:
    human, judge = draw(seed, pairs)
    if len(set(human)) == 1 or len(set(judge)) == 1:
        pytest.skip("not defined")
    assert agreement.kappa(human, judge, SCALE) == pytest.approx(
        cohen_kappa_score(human, judge, labels=LABELS)
    )
    assert agreement.quadratic_kappa(human, judge, SCALE) == pytest.approx(
        cohen_kappa_score(human, judge, labels=LABELS, weights="quadratic")
    )
    assert agreement.krippendorff_alpha(human, judge, SCALE) == pytest.approx(
        krippendorff.alpha(
            np.stack([human, judge]).astype(float),
            value_domain=LABELS,
            level_of_measurement="ordinal",
        )
    )
    assert agreement.spearman(human, judge, SCALE) == pytest.approx(
        spearmanr(human, judge).statistic
    )
    assert agreement.accuracy(human, judge, SCALE) == pytest.approx(accuracy_score(human, judge))
    assert agreement.mean_absolute_error(human, judge, SCALE) == pytest.approx(
        mean_absolute_error(human, judge)
    )
    assert agreement.bias(human, judge, SCALE) == pytest.approx((judge - human).mean())
    assert agreement.within_one(human, judge, SCALE) == pytest.approx(
        (np.abs(judge - human) <= 1).mean()
    )
    binary = cohen_kappa_score(human >= 2, judge >= 2)
    assert agreement.binary_kappa(human, judge, SCALE) == pytest.approx(binary, nan_ok=True)


def gwet_by_hand(human: np.ndarray, judge: np.ndarray, size: int) -> float:
    """Gwet (2014), written out with loops."""
    weight = [[1 - (i - j) ** 2 / (size - 1) ** 2 for j in range(size)] for i in range(size)]
    observed = sum(weight[a][b] for a, b in zip(human, judge, strict=True)) / len(human)
    share = [((human == g).mean() + (judge == g).mean()) / 2 for g in range(size)]
    total = sum(map(sum, weight))
    chance = total / (size * (size - 1)) * sum(s * (1 - s) for s in share)
    return (observed - chance) / (1 - chance)


@pytest.mark.parametrize("seed", range(3))
def test_gwet_ac2_equals_its_definition(seed: int) -> None:
    human, judge = draw(seed)
    assert agreement.gwet_ac2(human, judge, SCALE) == pytest.approx(gwet_by_hand(human, judge, 4))


def test_published_gwet_ac1_example() -> None:
    # Two raters, two categories: 118 + 2 agreements, 5 disagreements (Gwet, 2008, table 1).
    counts = np.array([[118.0, 5.0], [0.0, 0.0]])
    counts[1, 1] = 2.0
    share = (counts.sum(0) + counts.sum(1)) / (2 * counts.sum())
    chance = 2 * share[0] * share[1]
    expected = (120 / 125 - chance) / (1 - chance)
    assert float(confusion.gwet_ac2(counts)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["kappa", "quadratic_kappa", "binary_kappa", "krippendorff_alpha", "spearman"]
)
def test_one_grade_only_is_not_defined(name: str) -> None:
    same = np.full(10, 2)
    assert np.isnan(getattr(agreement, name)(same, same, SCALE))


def test_no_pairs_are_not_defined() -> None:
    none = np.array([], dtype=int)
    assert np.isnan(agreement.accuracy(none, none, SCALE))
    assert np.isnan(agreement.gwet_ac2(none, none, SCALE))


def test_perfect_and_reversed() -> None:
    human = np.array([0, 1, 2, 3] * 5)
    for name in ("kappa", "quadratic_kappa", "krippendorff_alpha", "gwet_ac2", "spearman"):
        assert getattr(agreement, name)(human, human, SCALE) == pytest.approx(1.0)
    assert agreement.quadratic_kappa(human, 3 - human, SCALE) == pytest.approx(-1.0)


def test_other_scales() -> None:
    human, judge = np.array([0, 1, 1, 0, 1]), np.array([0, 1, 0, 0, 1])
    expected = cohen_kappa_score(human, judge)
    for measure in (agreement.kappa, agreement.quadratic_kappa, agreement.binary_kappa):
        assert measure(human, judge, BINARY) == pytest.approx(expected)


def test_strangers_and_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="not on the scale"):
        agreement.kappa([0, 7], [0, 1], SCALE)
    with pytest.raises(ValueError, match="3 grades by people but 2"):
        agreement.kappa([0, 1, 2], [0, 1], SCALE)


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
