"""What an answer is worth: calibrators, their cross-fitting, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from known_judges import SIZE, truths_of

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.calibration import expected_calibration_error
from relevance_distillery.evaluation.cascades.fitting import check_calibration_set, query_folds
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.composites.answers import Answers
from relevance_distillery.judges.composites.calibration import (
    GradeTable,
    ProbabilityMap,
    calibrator_from_state,
    cross_fit,
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
        calibrator = ProbabilityMap.fit(kind, learned.probabilities, fitted)
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
    calibrator = ProbabilityMap.fit(
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
    calibrator = ProbabilityMap.fit("per_class", answers.probabilities, truths, enough=rare + 1)

    assert calibrator.per_class[3] is None
    assert calibrator.per_class[0] is not None
    assert np.isfinite(calibrator.posterior([answers])).all()


def test_a_table_counts_and_backs_off_to_what_it_has_seen():
    first = np.array([0] * 100 + [1] * 100)
    second = np.array([0, 1] * 100)
    human = np.where((first == 0) & (second == 0), 0, 2)
    answers = [Answers(first), Answers(second)]
    table = GradeTable.fit(answers, human, SIZE)

    both = table.posterior([Answers(np.array([0, 0])), Answers(np.array([0, 1]))])
    assert both[0, 0] > 0.9
    assert both[1, 2] > 0.9
    # A first grade that never occurred: what the second one alone says.
    unseen = table.posterior([Answers(np.array([3])), Answers(np.array([1]))])
    alone = GradeTable.fit(answers[1:], human, SIZE).posterior([Answers(np.array([1]))])
    np.testing.assert_allclose(unseen, alone)
    np.testing.assert_allclose(both.sum(axis=1), 1)


def test_every_calibrator_survives_json():
    truths = truths_of(300)
    sure = overconfident(truths)
    plain = Answers(sure.places)
    made = [
        (ProbabilityMap.fit("none", sure.probabilities, truths), [sure]),
        (ProbabilityMap.fit("single", sure.probabilities, truths), [sure]),
        (ProbabilityMap.fit("per_class", sure.probabilities, truths), [sure]),
        (GradeTable.fit([plain], truths, SIZE), [plain]),
        (GradeTable.fit([sure, plain], truths, SIZE), [sure, plain]),
    ]
    for calibrator, answers in made:
        again = calibrator_from_state(json.loads(json.dumps(calibrator.to_state())))
        assert again.kind == calibrator.kind
        np.testing.assert_allclose(
            again.posterior(answers), calibrator.posterior(answers), atol=1e-9
        )
    with pytest.raises(UserError, match="a calibrator 'regression', which this release"):
        calibrator_from_state({"kind": "regression"})


def test_a_judge_without_probabilities_is_read_beside_those_before_it():
    rng = np.random.default_rng(0)
    human = truths_of(2000)
    folds = query_folds(np.arange(2000) % 40, 5, 0)
    noise = Answers(rng.integers(SIZE, size=2000))
    good = Answers(np.where(rng.random(2000) < 0.8, human, rng.integers(SIZE, size=2000)))

    def fit(*answers):
        calibrator, held_out = cross_fit(answers, human, folds, SIZE, "single", 50)
        return calibrator.kind, -np.log(held_out[np.arange(2000), human]).mean()

    (first, first_loss), (useful, useful_loss) = fit(good), fit(good, noise)
    _, useless_loss = fit(noise, good)
    _, noise_loss = fit(noise)
    assert (first, useful) == ("own_grade", "all_grades")
    assert useless_loss == pytest.approx(first_loss, abs=0.02)
    assert useful_loss < noise_loss - 0.3
    assert cross_fit([good, overconfident(human)], human, folds, SIZE, "single", 50)[0].kind == (
        "single"
    )


def test_a_pair_is_never_judged_by_a_calibrator_that_saw_its_query():
    queries = np.repeat(np.arange(4), 50)
    human = np.repeat([0, 0, 0, 2], 50)
    folds = query_folds(queries, 4, 0)
    calibrator, held_out = cross_fit([Answers(np.zeros(200, int))], human, folds, SIZE, "none", 50)

    # The fourth query is the only one with grade 2: from the others nothing can be known of it.
    assert held_out[queries == 3][:, 2].max() == 0
    assert calibrator.posterior([Answers(np.zeros(1, int))])[0, 2] > 0.1
    assert all(len(set(folds[queries == query])) == 1 for query in range(4))


def test_a_calibration_set_without_a_grade_is_one_line():
    with pytest.raises(UserError, match=r"calibration set mine has no pair with grade 1, 3: ") as e:
        check_calibration_set("mine", np.array([0, 2, 0, 2]), np.arange(4), DEFAULT_SCALE)
    assert "\n" not in str(e.value)
    check_calibration_set("mine", np.arange(4), np.arange(4), DEFAULT_SCALE)
