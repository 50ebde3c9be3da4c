"""Several judges as one: votes, means, Dawid and Skene, and how far they disagree."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from known_judges import SIZE, KnownJudge, pairs_of, truths_of

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale
from relevance_distillery.judges.composites.answers import Answers
from relevance_distillery.judges.composites.consensus import (
    ConsensusJudge,
    ConsensusSettings,
    combine,
    fit_dawid_skene,
)
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prices import Budget


def said(*rows):
    return [Answers(np.array(row)) for row in rows]


def test_a_vote_takes_the_majority_and_among_equals_the_latest_judge():
    places, shares, _ = combine(
        said([0, 0, 1, -1], [0, 1, 1, 2], [3, 2, 0, -1]), "vote", DEFAULT_SCALE
    )

    assert places.tolist() == [0, 2, 1, 2]
    np.testing.assert_allclose(shares[0], [2 / 3, 0, 0, 1 / 3])


def test_among_equals_only_the_leading_grades_count():
    five = said([0], [0], [1], [1], [3])

    assert combine(five, "vote", DEFAULT_SCALE)[0].tolist() == [1]


def test_a_mean_is_rounded_to_the_scale_and_half_way_to_the_lower_grade():
    places, _, _ = combine(said([0, 0, 3], [1, 3, 3], [2, 3, -1]), "mean", DEFAULT_SCALE)
    assert places.tolist() == [1, 2, 3]
    assert combine(said([1], [2]), "mean", DEFAULT_SCALE)[0].tolist() == [1]

    uneven = GradeScale(
        grades=tuple(Grade(value=value, name=str(value)) for value in (0, 1, 10)), relevant_from=1
    )
    assert combine(said([0], [2]), "mean", uneven)[0].tolist() == [1]


def brute_force_likelihood(places, prior, errors):
    total = 0.0
    for pair in range(places.shape[1]):
        chance = 0.0
        for truth in range(len(prior)):
            product = prior[truth]
            for judge in range(len(places)):
                if places[judge, pair] >= 0:
                    product *= errors[judge, truth, places[judge, pair]]
            chance += product
        total += np.log(chance)
    return total


def test_dawid_and_skene_is_at_a_maximum_of_the_likelihood():
    rng = np.random.default_rng(2)
    truths = rng.choice(3, size=120, p=[0.5, 0.3, 0.2])
    places = np.stack(
        [
            np.where(rng.random(120) < accuracy, truths, rng.integers(3, size=120))
            for accuracy in (0.9, 0.7, 0.5, 0.4)
        ]
    )
    places[2, :20] = -1
    model = fit_dawid_skene(places, 3, smoothing=0.0)
    found = brute_force_likelihood(places, model.prior, model.errors)

    assert model.log_likelihood == pytest.approx(found, rel=1e-4)
    for judge, truth in itertools.product(range(4), range(3)):
        for shift in (0.02, -0.02):
            errors = model.errors.copy()
            errors[judge, truth, 0] = np.clip(errors[judge, truth, 0] + shift, 1e-9, 1)
            errors[judge, truth] /= errors[judge, truth].sum()
            assert brute_force_likelihood(places, model.prior, errors) <= found + 1e-3


def test_dawid_and_skene_learns_that_one_good_judge_outweighs_two_that_guess():
    rng = np.random.default_rng(3)
    truths = truths_of(3000)
    good = [np.where(rng.random(3000) < 0.9, truths, rng.integers(SIZE, size=3000))]
    fair = [np.where(rng.random(3000) < 0.75, truths, rng.integers(SIZE, size=3000))]
    bad = [np.where(rng.random(3000) < 0.15, truths, rng.integers(SIZE, size=3000))]
    answers = said(*good, *fair, *bad, *(rng.integers(SIZE, size=3000) for _ in range(2)))
    weighed, _, facts = combine(answers, "dawid_skene", DEFAULT_SCALE)
    counted, _, _ = combine(answers, "vote", DEFAULT_SCALE)

    assert (weighed == truths).mean() > (counted == truths).mean() + 0.1
    correct = [np.trace(np.array(matrix)) / SIZE for matrix in facts["errors"]]
    assert np.argmax(correct) == 0


def consensus(judges, **options):
    return ConsensusJudge(judges, ConsensusSettings(**options), DEFAULT_SCALE)


def test_labels_carry_all_judges_costs_and_all_answers_stand_side_by_side(tmp_path):
    truths = truths_of(50)
    pairs = pairs_of(truths)
    judges = [KnownJudge("a", 0.9, usd=0.01), KnownJudge("b", 0.8, usd=0.1), KnownJudge("c", 0.7)]
    found = run_labeling(pairs, consensus(judges), Ledger(tmp_path / "ledger.sqlite"))

    assert len(found.labels) == 50
    assert found.failures.empty
    np.testing.assert_allclose(found.labels["cost_usd"], 0.11)
    assert found.labels["input_tokens"].tolist() == [30] * 50
    assert set(found.labels["judge"]) == {"consensus"}
    assert set(found.labels["model"]) == {"a + b + c"}
    assert found.judge_labels.groupby("judge").size().to_dict() == {"a": 50, "b": 50, "c": 50}
    assert found.cost_usd == pytest.approx(5.5)


def test_disagreement_is_kept_as_difficulty(tmp_path):
    pairs = pairs_of(truths_of(200))
    judges = [KnownJudge("a", 0.9), KnownJudge("b", 0.6), KnownJudge("c", 0.6)]
    found = run_labeling(pairs, consensus(judges), Ledger(tmp_path / "ledger.sqlite"))
    wide = found.judge_labels.pivot(index="passage_id", columns="judge", values="grade")
    table = found.difficulty.set_index("passage_id").loc[wide.index]
    one_voice = wide.nunique(axis=1) == 1

    assert (table["entropy"][one_voice] == 0).all()
    assert (table["entropy"][~one_voice] > 0).all()
    assert (table["spread"] == wide.max(axis=1) - wide.min(axis=1)).all()
    assert table["entropy"].max() <= 1


def test_a_pair_that_too_few_judges_graded_fails_with_the_reason(tmp_path):
    pairs = pairs_of(truths_of(10))
    text = pairs["text"].iloc[0]
    judges = [KnownJudge("a", 0.9), KnownJudge("b", 0.9, fails=[text], status="refused")]
    found = run_labeling(pairs, consensus(judges), Ledger(tmp_path / "ledger.sqlite"))

    assert found.failures[["passage_id", "status", "reason"]].to_numpy().tolist() == [
        ["d0", "refused", "b: it did not work"]
    ]
    assert len(found.labels) == 9


def test_who_judges_and_how_is_in_every_label():
    judges = [KnownJudge("a", 0.9), KnownJudge("b", 0.9), KnownJudge("c", 0.9)]
    hashes = {
        consensus(judges).prompt_hash,
        consensus(judges[:2]).prompt_hash,
        consensus(judges, method="mean").prompt_hash,
        consensus(judges, min_answers=3).prompt_hash,
    }

    assert len(hashes) == 4
    with pytest.raises(UserError, match="has 1 judges and needs at least 2"):
        consensus(judges[:1])


def test_what_a_later_judge_was_paid_counts_before_an_earlier_one_is_asked(tmp_path) -> None:
    pairs, ledger = pairs_of(truths_of(10)), Ledger(tmp_path / "ledger.sqlite")
    run_labeling(pairs, KnownJudge("dear", 1.0, usd=0.5), ledger)
    ledger.close()

    class Watching(KnownJudge):
        def grade(self, shards):
            seen.append(self.budget.spent_usd)
            yield from super().grade(shards)

    seen: list[float] = []
    first, second = Watching("cheap", 0.9), KnownJudge("dear", 1.0, usd=0.5)
    first.budget = second.budget = Budget(limit_usd=6.0)
    panel = ConsensusJudge([first, second], ConsensusSettings(), DEFAULT_SCALE)
    run_labeling(pairs, panel, Ledger(tmp_path / "ledger.sqlite"))
    assert seen == [pytest.approx(5.0)]
    assert first.budget.spent_usd == pytest.approx(5.0)
