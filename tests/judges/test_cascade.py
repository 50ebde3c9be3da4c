"""A cascade: who leaves where, what it costs, what is asked again, what is refused."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from known_judges import SIZE, KnownJudge, pairs_of, truths_of

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.cascades.fitting import Fitting, GradedSet
from relevance_distillery.evaluation.cascades.threshold_search import (
    StageView,
    choose,
    frontier,
    search,
)
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.judges.composites.answers import Answers, majority
from relevance_distillery.judges.composites.cascade import NEVER, CascadeFit, CascadeJudge, Identity
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.settings import CascadeSettings, judge_names

USD = {"cheap": 0.001, "middle": 0.01, "expensive": 0.1}
PRICES = (0.01, 0.1, 1.0)
ACCURACY = {"cheap": 0.6, "middle": 0.75, "expensive": 0.9}


def judges(sure=False, **options):
    return [
        KnownJudge(
            name,
            ACCURACY[name],
            usd=USD[name],
            sure=sure and name == "cheap",
            **options.get(name, {}),
        )
        for name in ACCURACY
    ]


def graded_set(asked, truths):
    """What all judges say about pairs of known truth."""
    pairs = pairs_of(truths)
    answers = []
    for judge in asked:
        verdicts = [verdict for shard in judge.grade([pairs]) for verdict in shard]
        shares = [verdict.probabilities for verdict in verdicts]
        answers.append(
            Answers(
                np.array([verdict.grade for verdict in verdicts]),
                None if shares[0] is None else np.array(shares),
            )
        )
    queries = np.array([int(name[1:]) for name in pairs["query_id"]])
    return GradedSet("mine", tuple(answers), truths.astype(np.int64), queries)


def fit(asked=None, count=1500, prices=PRICES, **settings):
    asked = asked or judges()
    graded = graded_set(asked, truths_of(count, 1))
    identities = [Identity.of(judge.name, judge) for judge in asked]
    fitting = Fitting(identities, DEFAULT_SCALE, prices, CascadeSettings(**settings), 0)
    return fitting.fit(graded), graded


def kappa_of(graded, places):
    counts = confusion.confusion(graded.human, places, DEFAULT_SCALE)
    return float(confusion.quadratic_kappa(counts))


@pytest.mark.parametrize("sure", [False, True])
@pytest.mark.parametrize(
    ("target", "value"), [("accuracy", 0.8), ("agreement", 0.7), ("cost", 0.5), ("cost", 0.2)]
)
def test_thresholds_reach_their_target_on_the_graded_set(target, value, sure):
    found, graded = fit(judges(sure), target=target, value=value)
    decided = found.fit.replay(graded.answers)
    cost = np.dot(PRICES, decided.asked(3).mean(axis=1))

    assert found.choice.reached
    if target == "cost":
        assert cost <= value + 0.02
        assert kappa_of(graded, decided.places) > kappa_of(graded, graded.answers[0].places) + 0.05
    elif target == "accuracy":
        assert (decided.places == graded.human).mean() >= value - 0.02
        assert cost < 0.8
    else:
        assert kappa_of(graded, decided.places) >= value - 0.02
        assert cost < 0.8


def test_the_default_target_is_the_last_judge_and_it_costs_less():
    found, graded = fit()

    assert found.value == pytest.approx(kappa_of(graded, graded.answers[-1].places))
    assert found.choice.cost < 1


def test_figures_of_held_out_queries_are_close_and_not_the_same():
    found, graded = fit(target="cost", value=0.4)
    identities = [stage.identity for stage in found.fit.stages]
    settings = CascadeSettings(target="cost", value=0.4)
    held_out = Fitting(identities, DEFAULT_SCALE, PRICES, settings, 0).validate(graded)

    assert held_out["agreement"] == pytest.approx(found.choice.agreement, abs=0.06)
    assert held_out["cost"] == pytest.approx(0.4, abs=0.1)


def test_an_unreachable_target_is_told_and_the_nearest_is_taken():
    found, graded = fit(target="agreement", value=0.999)
    everything = kappa_of(graded, graded.answers[-1].places)

    assert not found.choice.reached
    assert found.choice.agreement >= everything - 0.02


def test_the_search_counts_exactly_what_each_combination_does():
    rng = np.random.default_rng(0)
    human = rng.integers(SIZE, size=200)
    views = [
        StageView(
            np.where(rng.random(200) < 0.1, -1.0, rng.choice([0.3, 0.5, 0.8], size=200)),
            rng.integers(SIZE, size=200),
            price,
        )
        for price in (0.1, 0.3, 1.0)
    ]
    for view in views:
        view.places[view.confidence < 0] = -1
    vote = rng.integers(-1, SIZE, size=200)
    grid = search(views, vote, human, SIZE)

    assert grid.cost.size == 4**3
    for index in itertools.product(range(4), repeat=3):
        counts, cost = np.zeros((SIZE, SIZE)), 0.0
        for pair in range(200):
            grade = vote[pair]
            for view, thresholds, at in zip(views, grid.candidates, index, strict=True):
                cost += view.price
                if view.confidence[pair] >= thresholds[at]:
                    grade = view.places[pair]
                    break
            if grade >= 0:
                counts[human[pair], grade] += 1
        np.testing.assert_array_equal(grid.counts[index], counts)
        assert grid.cost[index] == pytest.approx(cost / 200)


def test_the_frontier_rises_and_no_combination_lies_above_it():
    rng = np.random.default_rng(1)
    human = rng.integers(SIZE, size=300)
    views = [
        StageView(rng.random(300), np.where(rng.random(300) < right, human, 0), price)
        for right, price in ((0.5, 0.1), (0.9, 1.0))
    ]
    grid = search(views, views[-1].places, human, SIZE)
    points = frontier(grid)
    kappas = confusion.quadratic_kappa(grid.counts)

    assert all(a.cost < b.cost and a.agreement < b.agreement for a, b in itertools.pairwise(points))
    for cost, kappa in zip(grid.cost.ravel(), kappas.ravel(), strict=True):
        assert max(point.agreement for point in points if point.cost <= cost + 1e-9) >= kappa - 1e-5
    half = choose(grid, "cost", 0.5)
    allowed = [point.agreement for point in points if point.cost <= 0.5]
    assert half.agreement == pytest.approx(max(allowed), abs=1e-5)


def test_labeling_sends_pairs_the_way_that_was_fitted_and_counts_every_judge(tmp_path):
    found, _ = fit()
    asked, fresh = judges(), truths_of(400, 7)
    expected = found.fit.replay(graded_set(judges(), fresh).answers)
    result = run_labeling(
        pairs_of(fresh),
        CascadeJudge(found.fit, asked, DEFAULT_SCALE),
        Ledger(tmp_path / "ledger.sqlite"),
    )
    labels = result.labels
    saw = expected.asked(3)

    assert labels["grade"].tolist() == expected.places.tolist()
    assert [len(judge.asked) for judge in asked] == saw.sum(axis=1).tolist()
    assert len(asked[2].asked) < 400
    np.testing.assert_allclose(labels["cost_usd"], np.array(list(USD.values())) @ saw)
    assert labels["input_tokens"].tolist() == (10 * saw.sum(axis=0)).tolist()
    assert result.cost_usd == pytest.approx(labels["cost_usd"].sum())
    np.testing.assert_allclose(np.stack(labels["probabilities"]), expected.posterior)
    stages = result.facts["stages"]
    assert [stage["left"] for stage in stages] == [
        int((expected.exits == stage).sum()) for stage in range(4)
    ]
    assert stages[0]["asked"] == 400
    assert sum(stage["left"] for stage in stages) == 400
    assert sum(stage["cost_usd"] for stage in stages) == pytest.approx(labels["cost_usd"].sum())


def test_what_never_leaves_goes_to_the_vote(tmp_path):
    found, _ = fit()
    nobody = found.fit.with_thresholds((NEVER,) * 3, ("own",) * 3)
    fresh = truths_of(100, 3)
    answers = graded_set(judges(), fresh).answers
    result = run_labeling(
        pairs_of(fresh),
        CascadeJudge(nobody, judges(), DEFAULT_SCALE),
        Ledger(tmp_path / "ledger.sqlite"),
    )

    assert result.labels["grade"].tolist() == majority(answers, SIZE).tolist()
    assert result.facts["stages"][-1] == {
        "judge": "vote",
        "asked": 100,
        "left": 100,
        "failed": 0,
        "cost_usd": 0.0,
    }


def test_every_answer_is_in_the_ledger_and_nothing_is_paid_twice_after_an_interruption(tmp_path):
    found, _ = fit()
    fresh = pairs_of(truths_of(300, 9))
    path = tmp_path / "ledger.sqlite"
    seen: dict[str, list[str]] = {name: [] for name in USD}
    for dies_after in (40, 200, None):
        asked = judges(**{name: {"dies_after": dies_after} for name in ("cheap", "middle")})
        cascade = CascadeJudge(found.fit, asked, DEFAULT_SCALE)
        try:
            result = run_labeling(fresh, cascade, Ledger(path))
        except KeyboardInterrupt:
            result = None
        for judge in asked:
            seen[judge.name] += judge.asked
    assert result is not None
    ledger = Ledger(path)
    for judge in judges():
        assert len(seen[judge.name]) == len(set(seen[judge.name])) > 0
        hashes = [f"{judge.name}|{text}" for text in seen[judge.name]]
        assert set(ledger.lookup(hashes)) == set(hashes)
    assert len(result.labels) == 300

    again = run_labeling(fresh, CascadeJudge(found.fit, judges(), DEFAULT_SCALE), Ledger(path))
    assert again.requests == 0
    assert again.from_ledger == 300
    assert again.labels.equals(result.labels)


def test_a_failure_passes_on_to_the_next_judge(tmp_path):
    found, _ = fit()
    fresh = truths_of(200, 11)
    pairs = pairs_of(fresh)
    first = pairs["text"].iloc[:20].tolist()
    cascade = CascadeJudge(found.fit, judges(cheap={"fails": first}), DEFAULT_SCALE)
    result = run_labeling(pairs, cascade, Ledger(tmp_path / "ledger.sqlite"))

    assert len(result.labels) == 200
    assert (result.labels["cost_usd"].iloc[:20] >= USD["middle"]).all()
    assert result.facts["stages"][0]["failed"] == 20

    everywhere = {name: {"fails": first[:3]} for name in USD}
    cascade = CascadeJudge(found.fit, judges(**everywhere), DEFAULT_SCALE)
    result = run_labeling(pairs, cascade, Ledger(tmp_path / "other.sqlite"))
    assert len(result.labels) == 197
    assert result.failures["status"].tolist() == ["refused"] * 3
    assert set(result.failures["reason"]) == {"expensive: it did not work"}


@pytest.mark.parametrize("status", ["budget", "pending"])
def test_a_pair_waits_for_a_judge_that_could_not_be_asked(tmp_path, status):
    found, _ = fit()
    pairs = pairs_of(truths_of(100, 12))
    waiting = {"fails": pairs["text"].iloc[:5].tolist(), "status": status}
    asked = judges(cheap=waiting)
    cascade = CascadeJudge(found.fit, asked, DEFAULT_SCALE)
    result = run_labeling(pairs, cascade, Ledger(tmp_path / "ledger.sqlite"))

    assert result.failures["status"].tolist() == [status] * 5
    assert not set(asked[2].asked) & set(waiting["fails"])
    done = run_labeling(
        pairs,
        CascadeJudge(found.fit, judges(), DEFAULT_SCALE),
        Ledger(tmp_path / "ledger.sqlite"),
    )
    assert len(done.labels) == 100


def test_the_state_is_json_and_makes_the_same_cascade():
    found, graded = fit(judges(sure=True))
    again = CascadeFit.from_state(json.loads(json.dumps(found.fit.to_state())))

    assert again.digest == found.fit.digest
    first, second = found.fit.replay(graded.answers), again.replay(graded.answers)
    assert first.places.tolist() == second.places.tolist()
    np.testing.assert_allclose(first.posterior, second.posterior)
    with pytest.raises(UserError, match="has format 99"):
        CascadeFit.from_state(found.fit.to_state() | {"format": 99})


def test_thresholds_and_judges_are_in_every_label_and_another_judge_is_refused():
    found, _ = fit()
    one = CascadeJudge(found.fit, judges(), DEFAULT_SCALE)
    other = CascadeJudge(
        found.fit.with_thresholds((0.5, 0.5, 0.5), ("own",) * 3), judges(), DEFAULT_SCALE
    )
    assert one.model == "cheap > middle > expensive"
    assert one.prompt_hash != other.prompt_hash
    assert one.request_hashes(pairs_of(truths_of(5))) != other.request_hashes(
        pairs_of(truths_of(5))
    )

    changed = judges()
    changed[1].prompt_hash = "another prompt"
    with pytest.raises(UserError, match="fitted on another middle than the one at hand"):
        CascadeJudge(found.fit, changed, DEFAULT_SCALE)
    scale = GradeScale(grades=DEFAULT_SCALE.grades, relevant_from=1)
    with pytest.raises(UserError, match="fitted for another grade scale"):
        CascadeJudge(found.fit, judges(), scale)


def test_sets_that_cannot_be_fitted_are_one_line():
    asked = judges()
    identities = [Identity.of(judge.name, judge) for judge in asked]
    graded = graded_set(asked, truths_of(400, 1))
    settings = CascadeSettings()

    def refusal(some, named=identities):
        with pytest.raises(UserError) as found:
            Fitting(named, DEFAULT_SCALE, PRICES, settings, 0).fit(some)
        assert "\n" not in str(found.value)
        return str(found.value)

    assert "the calibration set mine has no pair with grade 3" in refusal(
        graded.rows(graded.human != 3)
    )
    assert "has 2 queries: give at least 4" in refusal(graded.rows(graded.queries < 2))
    graded.answers[1].places[:] = -1
    assert "judge middle graded none of the 400 pairs" in refusal(graded)


def test_the_list_of_judges_is_checked():
    assert judge_names(" a ; b:c ", "judge=cascade") == ("a", "b:c")
    with pytest.raises(UserError, match="needs at least two judges"):
        judge_names("a", "judge=cascade")
    with pytest.raises(UserError, match="needs at least two judges"):
        judge_names(None, "judge=cascade")
    with pytest.raises(UserError, match="judge a is named twice"):
        judge_names("a;b;a", "judge=cascade")
