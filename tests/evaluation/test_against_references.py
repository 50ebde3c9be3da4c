"""Every statistic against an independent implementation, on random and degenerate inputs.

Hypothesis draws the grades, so one grade only, ties everywhere, one pair and one query come up by
themselves; where the other implementation has no value, ours has none either.
"""

from __future__ import annotations

import warnings
from itertools import permutations
from typing import Any

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as sk
from statsmodels.stats.inter_rater import cohens_kappa

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.annotators import compare_with_people, human_ceiling
from relevance_distillery.evaluation.agreement.breakdowns import measure_thresholds
from relevance_distillery.evaluation.agreement.calibration import (
    expected_calibration_error,
    measure_calibration,
)
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.agreement.graded_pairs import pairs_of
from relevance_distillery.evaluation.agreement.metrics import (
    GradedPairs,
    graded_statistics,
)
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale

SCALES = {
    size: GradeScale(
        grades=tuple(Grade(value=value, name=f"g{value}") for value in range(size)),
        relevant_from=(size + 1) // 2,
    )
    for size in (2, 3, 4, 5)
}


@st.composite
def two_raters(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, GradeScale]:
    """Grades of two raters, often few, often alike."""
    size = draw(st.sampled_from(sorted(SCALES)))
    grade = st.integers(0, size - 1)
    grades = draw(st.lists(st.tuples(grade, grade), min_size=1, max_size=40))
    human, judge = np.array(grades).T
    return human, judge, SCALES[size]


def or_nan(compute: Any, *arguments: Any, **options: Any) -> float:
    """What another implementation says, nan where it refuses or warns that there is no value."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return float(compute(*arguments, **options))
        except (ValueError, ZeroDivisionError):
            return float("nan")


def same(expected: float) -> Any:
    return pytest.approx(expected, abs=1e-9, nan_ok=True)


def alpha(ratings: np.ndarray, scale: GradeScale) -> float:
    """Ordinal alpha of the krippendorff package; its answer to one grade only is not a value."""
    known = ratings[:, np.isfinite(ratings).sum(0) == len(ratings)]
    if known.size == 0 or np.unique(known).size < 2:
        return float("nan")
    domain = scale.values.tolist()
    return or_nan(krippendorff.alpha, ratings, value_domain=domain, level_of_measurement="ordinal")


@given(two_raters())
@settings(max_examples=200, deadline=None)
def test_coefficients_of_one_confusion_matrix(
    drawn: tuple[np.ndarray, np.ndarray, GradeScale],
) -> None:
    human, judge, scale = drawn
    counts = confusion.confusion(human, judge, scale)
    labels, threshold = scale.values.tolist(), scale.relevant_from
    assert counts.tolist() == sk.confusion_matrix(human, judge, labels=labels).tolist()
    expected = {
        "kappa": or_nan(sk.cohen_kappa_score, human, judge, labels=labels),
        "quadratic_kappa": or_nan(
            sk.cohen_kappa_score, human, judge, labels=labels, weights="quadratic"
        ),
        "binary_kappa": or_nan(
            sk.cohen_kappa_score, human >= threshold, judge >= threshold, labels=[False, True]
        ),
        "krippendorff_alpha": alpha(np.stack([human, judge]).astype(float), scale),
        "gwet_ac2": gwet_by_definition(human, judge, scale.size),
        "accuracy": sk.accuracy_score(human, judge),
        "within_one": sk.accuracy_score(np.abs(human - judge) <= 1, np.ones(human.size)),
        "mean_absolute_error": sk.mean_absolute_error(human, judge),
        "bias": float(np.mean(judge) - np.mean(human)),
        "spearman": or_nan(lambda: spearmanr(human, judge).statistic),
    }
    found = graded_statistics(
        GradedPairs(human, judge.astype(float), np.zeros(human.size, dtype=int), 1), scale
    )
    assert set(found) - set(expected) == {"pairwise_accuracy", "ndcg", "ndcg_at_10"}
    for name, value in expected.items():
        assert found[name](np.ones((1, 1)))[0] == same(value), name


@given(two_raters())
@settings(max_examples=100, deadline=None)
def test_kappas_equal_statsmodels(drawn: tuple[np.ndarray, np.ndarray, GradeScale]) -> None:
    counts = confusion.confusion(*drawn)
    plain = or_nan(lambda: cohens_kappa(counts, return_results=False))
    squares = or_nan(lambda: cohens_kappa(counts, wt="quadratic", return_results=False))
    assert float(confusion.kappa(counts)) == same(plain)
    assert float(confusion.quadratic_kappa(counts)) == same(squares)


@given(two_raters())
@settings(max_examples=100, deadline=None)
def test_precision_and_recall_of_each_grade(
    drawn: tuple[np.ndarray, np.ndarray, GradeScale],
) -> None:
    human, judge, scale = drawn
    counts = confusion.confusion(human, judge, scale)
    precision, recall, _, _ = sk.precision_recall_fscore_support(
        human, judge, labels=scale.values.tolist(), zero_division=np.nan
    )
    assert confusion.precision_by_grade(counts) == same(precision)
    assert confusion.recall_by_grade(counts) == same(recall)


@given(two_raters(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_alpha_with_missing_grades(
    drawn: tuple[np.ndarray, np.ndarray, GradeScale], random: Any
) -> None:
    human, judge, scale = drawn
    given_ = pd.Series(judge, dtype="Int64")
    given_[[random.random() < 0.3 for _ in judge]] = pd.NA
    table = pd.DataFrame({"query_id": "q", "human": human, "student_grade": given_})
    ratings = np.stack([human.astype(float), given_.to_numpy(dtype=float, na_value=np.nan)])
    found = graded_statistics(pairs_of(table, "student"), scale)["krippendorff_alpha"]
    assert found(np.ones((1, 1)))[0] == same(alpha(ratings, scale))


def gwet_by_definition(human: np.ndarray, judge: np.ndarray, size: int) -> float:
    """Gwet (2014), written out with loops over pairs and grades."""
    weight = [[1 - (i - j) ** 2 / (size - 1) ** 2 for j in range(size)] for i in range(size)]
    observed = sum(weight[a][b] for a, b in zip(human, judge, strict=True)) / len(human)
    share = [((human == g).mean() + (judge == g).mean()) / 2 for g in range(size)]
    chance = sum(map(sum, weight)) / (size * (size - 1)) * sum(s * (1 - s) for s in share)
    return (observed - chance) / (1 - chance)


def test_published_example_of_gwet() -> None:
    # Gwet (2008), table 1: 118 pairs (+,+), 5 (+,-), 2 (-,+), none (-,-). Agreement is .944 and
    # kappa -.023, the paradox that AC1 was made for: AC1 = (.944 - .0544) / (1 - .0544) = .941.
    counts = np.array([[118.0, 5.0], [2.0, 0.0]])
    assert float(confusion.kappa(counts)) == pytest.approx(-0.0234, abs=1e-4)
    assert float(confusion.gwet_ac2(counts)) == pytest.approx(0.9408, abs=1e-4)


QUICK = Options(resamples=2, permutations=2)


@given(two_raters())
@settings(max_examples=50, deadline=None)
def test_agreement_at_each_threshold(drawn: tuple[np.ndarray, np.ndarray, GradeScale]) -> None:
    human, judge, scale = drawn
    pairs = GradedPairs(human, judge.astype(float), np.zeros(human.size, dtype=int), 1)
    for entry in measure_thresholds({"judge": pairs}, scale, QUICK)["judge"]:
        upper, found = human >= entry["from"], judge >= entry["from"]
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            upper, found, average="binary", zero_division=np.nan
        )
        expected = {
            "kappa": or_nan(sk.cohen_kappa_score, upper, found, labels=[False, True]),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "accuracy": sk.accuracy_score(upper, found),
        }
        assert entry["people"] == pytest.approx(upper.mean(), abs=1e-6)
        assert entry["judge"] == pytest.approx(found.mean(), abs=1e-6)
        for name, value in expected.items():
            assert as_float(entry[name]["estimate"]) == pytest.approx(
                value, abs=1e-6, nan_ok=True
            ), name


def as_float(value: float | None) -> float:
    return float("nan") if value is None else value


@st.composite
def forecasts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Grades of people and a judge's probabilities of four grades, some of them certain."""
    human = draw(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    masses = st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any)
    mass = np.array(draw(st.lists(masses, min_size=len(human), max_size=len(human))), dtype=float)
    return np.array(human), mass / mass.sum(1, keepdims=True)


@given(forecasts())
@settings(max_examples=100, deadline=None)
def test_brier_score_and_calibration_error(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    human, chances = drawn
    pairs = GradedPairs(human, human.astype(float), np.zeros(human.size, dtype=int), 1)
    found = measure_calibration(pairs, chances, DEFAULT_SCALE, QUICK)
    relevant, chance = human >= 2, np.clip(chances[:, 2:].sum(1), 0, 1)
    several = sk.brier_score_loss(human, chances, labels=[0, 1, 2, 3], scale_by_half=False)
    binary = sk.brier_score_loss(relevant, chance, labels=[False, True], scale_by_half=True)
    assert found["brier"]["estimate"] == pytest.approx(several, abs=1e-6)
    assert found["relevant"]["brier"]["estimate"] == pytest.approx(binary, abs=1e-6)
    sure, right = chances.max(1), chances.argmax(1) == human
    by_loop = calibration_error_by_loop(sure, right)
    assert expected_calibration_error(sure, right) == pytest.approx(by_loop)
    assert found["ece"]["estimate"] == pytest.approx(by_loop, abs=1e-6)
    by_loop = calibration_error_by_loop(chance, relevant)
    assert found["relevant"]["ece"]["estimate"] == pytest.approx(by_loop, abs=1e-6)


def calibration_error_by_loop(said: np.ndarray, happened: np.ndarray, bins: int = 10) -> float:
    """Naeini et al. (2015), a bin at a time; a bin includes its lower end, the last both."""
    error = 0.0
    for number in range(bins):
        inside = np.minimum((said * bins).astype(int), bins - 1) == number
        if inside.any():
            error += inside.mean() * abs(said[inside].mean() - happened[inside].mean())
    return error


def three_raters(seed: int, missing: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Ratings of twelve queries, shape (raters, pairs), with gaps, and the table of them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 96)
    wide = np.clip(truth + rng.integers(-1, 2, (3, 96)), 0, 3).astype(float)
    wide[rng.random(wide.shape) < missing] = np.nan
    index = pd.DataFrame(
        {
            "query_id": np.repeat([f"q{n:02d}" for n in range(12)], 8),
            "document_id": [f"d{n:02d}" for n in range(96)],
        }
    )
    parts = [
        index[np.isfinite(row)].assign(annotator=name, grade=row[np.isfinite(row)].astype(int))
        for name, row in zip("abc", wide, strict=True)
    ]
    return pd.concat(parts), wide


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_people_against_people_equal_loops_over_couples(missing: float) -> None:
    table, wide = three_raters(8, missing)
    judged = np.random.default_rng(9).integers(0, 4, 96)
    grades = table.drop_duplicates(["query_id", "document_id"])[["query_id", "document_id"]]
    place = grades["document_id"].str[1:].astype(int)
    grades = grades.assign(human=0, machine_grade=pd.array(judged[place], dtype="Int64"))
    ceiling = human_ceiling(table, DEFAULT_SCALE, QUICK)
    scale = compare_with_people(table, grades, DEFAULT_SCALE, QUICK)

    def kappa(truth: int, other: np.ndarray, rows: np.ndarray) -> float:
        return float(sk.cohen_kappa_score(wide[truth][rows], other[rows], weights="quadratic"))

    both = {
        (one, two): np.isfinite(wide[one]) & np.isfinite(wide[two])
        for one, two in permutations(range(3), 2)
    }
    people = {couple: kappa(couple[0], wide[couple[1]], rows) for couple, rows in both.items()}
    machine = {couple: kappa(couple[0], judged, rows) for couple, rows in both.items()}
    found = {"people": ceiling["quadratic_kappa"]["estimate"]}
    expected = {"people": np.mean(list(people.values()))}
    for rater, name in enumerate("abc"):
        found[name] = scale["raters"][name]["quadratic_kappa"]["estimate"]
        expected[name] = np.mean([value for (_, other), value in people.items() if other == rater])
    found["machine"] = scale["judges"]["machine"]["quadratic_kappa"]["estimate"]
    expected["machine"] = np.mean(list(machine.values()))
    found["apart"] = scale["judge_minus_people"]["machine"]["quadratic_kappa"]["estimate"]
    expected["apart"] = expected["machine"] - expected["people"]
    assert found == pytest.approx(expected, abs=1e-5)
