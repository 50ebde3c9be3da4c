"""What an answer is worth: calibrators, their choice, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from known_judges import SIZE, truths_of

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.calibration import expected_calibration_error
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.composites.calibrating import calibrate, query_folds
from relevance_distillery.judges.composites.confidence import (
    Answers,
    check_calibration_grades,
    fit_probability_map,
)
from relevance_distillery.judges.composites.grade_maps import (
    GradeRegression,
    GradeTable,
    calibrator_from_state,
)


def overconfident(truths, seed=1):
    """Right in 60 % of cases and sure of 90 %, except of the highest grade: 90 % and right."""
    rng = np.random.default_rng(seed)
    places = np.where(rng.random(len(truths)) < 0.6, truths, rng.integers(SIZE, size=len(truths)))
    places[places == 3] = truths[places == 3]
    probabilities = np.full((len(truths), SIZE), 0.1 / (SIZE - 1))
    probabilities[np.arange(len(truths)), places] = 0.9
    return Answers(places, probabilities)


def own_confidence(posterior, answer):
    return posterior[np.arange(len(answer)), answer.places]


def test_maps_bring_confidence_to_accuracy_and_one_map_a_grade_does_it_for_every_grade():
    fitted, fresh = truths_of(4000, 1), truths_of(4000, 2)
    learned, seen = overconfident(fitted, 3), overconfident(fresh, 4)
    errors, by_grade = {}, {}
    for kind in ("none", "single", "per_class"):
        calibrator = fit_probability_map(kind, learned.probabilities, fitted)
        confidence = own_confidence(calibrator.posterior([seen]), seen)
        right = seen.places == fresh
        errors[kind] = expected_calibration_error(confidence, right)
        given = [seen.places == grade for grade in range(SIZE)]
        by_grade[kind] = np.mean(
            [expected_calibration_error(confidence[own], right[own]) for own in given]
        )

    assert errors["single"] < 0.02 < 0.08 < errors["none"]
    assert by_grade["per_class"] < 0.6 * by_grade["single"] < by_grade["none"]


def test_calibrated_probabilities_sum_to_one_and_unknown_ones_stay_unknown():
    truths = truths_of(500)
    answers = overconfident(truths)
    answers.probabilities[3] = np.nan
    calibrator = fit_probability_map(
        "per_class", np.delete(answers.probabilities, 3, 0), np.delete(truths, 3)
    )
    posterior = calibrator.posterior([answers])

    assert np.isnan(posterior[3]).all()
    np.testing.assert_allclose(np.delete(posterior, 3, 0).sum(axis=1), 1)
    assert np.isnan(calibrator.posterior([Answers(truths, None)])).all()


def test_a_rare_grade_takes_the_map_of_all_grades():
    truths = truths_of(400)
    answers = overconfident(truths)
    rare = int((truths == 3).sum())
    calibrator = fit_probability_map("per_class", answers.probabilities, truths, enough=rare + 1)

    assert calibrator.per_class[3] is None
    assert calibrator.per_class[0] is not None
    assert np.isfinite(calibrator.posterior([answers])).all()


def test_a_table_counts_and_backs_off_to_what_it_has_seen():
    first = np.array([0] * 100 + [1] * 100)
    second = np.array([0, 1] * 100)
    human = np.where((first == 0) & (second == 0), 0, 2)
    answers = [Answers(first), Answers(second)]
    table = GradeTable.fit(answers, human, SIZE, judges=2)

    both = table.posterior([Answers(np.array([0, 0])), Answers(np.array([0, 1]))])
    assert both[0, 0] > 0.9
    assert both[1, 2] > 0.9
    # A first grade that never occurred: what the second one alone says.
    unseen = table.posterior([Answers(np.array([3])), Answers(np.array([1]))])
    alone = GradeTable.fit(answers, human, SIZE, judges=1).posterior([Answers(np.array([1]))])
    np.testing.assert_allclose(unseen, alone)
    np.testing.assert_allclose(both.sum(axis=1), 1)


def test_every_calibrator_survives_json():
    truths = truths_of(300)
    sure = overconfident(truths)
    plain = Answers(sure.places)
    made = [
        (fit_probability_map("none", sure.probabilities, truths), [sure]),
        (fit_probability_map("single", sure.probabilities, truths), [sure]),
        (fit_probability_map("per_class", sure.probabilities, truths), [sure]),
        (GradeTable.fit([plain, plain], truths, SIZE, 2), [plain, plain]),
        (GradeRegression.fit([sure, plain], truths, SIZE, products=False), [sure, plain]),
        (GradeRegression.fit([sure, plain], truths, SIZE, products=True), [sure, plain]),
    ]
    for calibrator, answers in made:
        again = calibrator_from_state(json.loads(json.dumps(calibrator.to_state())))
        assert again.kind == calibrator.kind
        np.testing.assert_allclose(
            again.posterior(answers), calibrator.posterior(answers), atol=1e-9
        )


def test_regression_with_two_grades_in_sight_agrees_with_their_shares():
    human = np.array([0] * 90 + [2] * 10)
    found = GradeRegression.fit([Answers(np.zeros(100, int))], human, SIZE, products=False)
    posterior = found.posterior([Answers(np.zeros(1, int))])[0]

    assert posterior[0] == pytest.approx(0.9, abs=0.03)
    assert posterior[[1, 3]].max() < 1e-6


def test_the_simplest_calibrator_is_kept_unless_a_richer_one_earns_its_place():
    rng = np.random.default_rng(0)
    human = truths_of(2000)
    queries = np.arange(2000) % 40
    folds = query_folds(queries, 5, 0)
    noise = Answers(rng.integers(SIZE, size=2000))
    good = Answers(np.where(rng.random(2000) < 0.8, human, rng.integers(SIZE, size=2000)))

    useless = calibrate([noise, good], human, queries, folds, SIZE, "per_class", 50)
    assert useless.calibrator.kind == "own_grade"
    useful = calibrate([good, noise], human, queries, folds, SIZE, "per_class", 50)
    assert useful.calibrator.kind != "own_grade"
    assert useful.losses[useful.calibrator.kind] < useful.losses["own_grade"] - 0.1


def test_a_pair_is_never_judged_by_a_calibrator_that_saw_its_query():
    queries = np.repeat(np.arange(4), 50)
    human = np.repeat([0, 0, 0, 2], 50)
    folds = query_folds(queries, 4, 0)
    found = calibrate([Answers(np.zeros(200, int))], human, queries, folds, SIZE, "none", 50)

    # The fourth query is the only one with grade 2: from the others nothing can be known of it.
    assert found.held_out[queries == 3][:, 2].max() == 0
    assert found.calibrator.posterior([Answers(np.zeros(1, int))])[0, 2] > 0.1
    assert all(len(set(folds[queries == query])) == 1 for query in range(4))


def test_a_calibration_set_without_a_grade_is_one_line():
    with pytest.raises(UserError, match=r"calibration set mine has no pair with grade 1, 3: ") as e:
        check_calibration_grades(np.array([0, 2, 0]), DEFAULT_SCALE, "mine")
    assert "\n" not in str(e.value)
    check_calibration_grades(np.arange(4), DEFAULT_SCALE, "mine")
