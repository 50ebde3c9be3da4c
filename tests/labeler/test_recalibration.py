"""Calibration that travels, on made-up scores whose true link is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale
from relevance_distillery.labeler.calibration import (
    USUAL_SPREAD,
    Link,
    cut_points_of,
    fit_link,
    fit_link_to_probabilities,
    match_shares,
    midpoints,
    quadratic_kappa,
)
from relevance_distillery.labeler.expected_shares import parse_shares, recalibrate_to_shares
from relevance_distillery.labeler.recalibration import Graded, Rules, recalibrate

OWN = Link(slope=1.2, cuts=(0.0, 1.5, 3.5))
MOVED = Link(slope=1.8, cuts=(1.8, 2.9, 3.8))
RULES = Rules(DEFAULT_SCALE, (0.6, 1.5, 2.3))


def drawn(
    link: Link, pairs: int, seed: int, queries: int = 12, levels: np.ndarray | None = None
) -> Graded:
    """Documents of one passage whose grades follow a link; the labeler believes in `OWN`.

    With `levels`, the shift of each query, people's grades may shift it.
    """
    rng = np.random.default_rng(seed)
    scores = rng.normal(1.5, 1.5, pairs)
    query = np.arange(pairs) % queries
    shifted = scores if levels is None else scores + levels[query]
    below = link.probabilities(shifted).cumsum(axis=1)[:, :-1]
    one = np.ones(pairs, dtype=np.int64)
    return Graded(
        scores=scores,
        passages=one,
        positions=(rng.random(pairs)[:, None] > below).sum(axis=1),
        queries=np.array([f"q{row}" for row in query], dtype=object),
        texts=np.array(["" if levels is None else f"text {row}" for row in query], dtype=object),
        weights=np.ones(pairs),
        probabilities=OWN.probabilities(scores),
        given=RULES.grade(OWN, scores, one),
    )


def apart(first: Link, second: Link) -> float:
    """Mean distance of two links' probabilities over where scores lie."""
    scores = np.linspace(-2, 5, 200)
    return float(np.abs(first.probabilities(scores) - second.probabilities(scores)).mean())


def test_a_link_gives_probabilities_that_follow_the_score() -> None:
    scores = np.linspace(-50, 50, 400)
    found = MOVED.probabilities(scores)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert found.min() >= 0
    assert (np.diff(found @ DEFAULT_SCALE.values) >= -1e-12).all()


def test_the_labelers_own_probabilities_are_fitted() -> None:
    scores = np.random.default_rng(0).normal(1.5, 1.5, 400)
    found = fit_link_to_probabilities(scores, OWN.probabilities(scores), np.ones(400))
    assert apart(found, OWN) < 0.002


def test_a_known_shift_is_recovered() -> None:
    found = recalibrate(drawn(MOVED, 3000, seed=1), RULES, prior_pairs=20, seed=0)
    assert apart(found.link, MOVED) < 0.02 < apart(OWN, MOVED)
    compared = found.facts["cross_fitted"]
    assert found.helps
    assert compared["log_loss"]["after"] < compared["log_loss"]["before"] - 0.1
    assert compared["quadratic_kappa"]["after"] > compared["quadratic_kappa"]["before"]
    json.dumps(found.facts, allow_nan=False)

    fresh = drawn(MOVED, 5000, seed=2)
    changed = Rules(DEFAULT_SCALE, found.cut_points).grade(found.link, fresh.scores, fresh.passages)
    before = quadratic_kappa(fresh.positions, fresh.given, 4)
    assert quadratic_kappa(fresh.positions, changed, 4) > before + 0.05


def test_few_grades_move_it_a_little_and_many_decide_alone() -> None:
    scores = np.linspace(-2, 5, 200)

    def level(link: Link) -> float:
        return float((link.probabilities(scores) @ DEFAULT_SCALE.values).mean())

    moved = {}
    for pairs in (10, 100, 2000):
        links = [recalibrate(drawn(MOVED, pairs, seed), RULES, 30, 0).link for seed in range(12)]
        steps = [(level(link) - level(OWN)) / (level(MOVED) - level(OWN)) for link in links]
        moved[pairs] = float(np.mean(steps))
    assert 0.02 < moved[10] < 0.4 < moved[100] < moved[2000] < 1.1
    assert moved[2000] > 0.9


def test_a_stronger_prior_moves_less() -> None:
    graded = drawn(MOVED, 60, seed=3)
    moved = [apart(OWN, recalibrate(graded, RULES, prior, 0).link) for prior in (2, 20, 200, 2e4)]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < 0.01


def test_queries_on_levels_of_their_own_are_shifted() -> None:
    levels = np.random.default_rng(1).normal(0, 1.0, 40)
    told = drawn(OWN, 240, seed=2, queries=40, levels=levels)
    found = recalibrate(told, RULES, 30, 0)
    about = found.facts["query_shifts"]
    assert found.helps
    assert about["queries"] == about["graded"] == 40
    assert 0.7 < about["spread"] < 1.8
    for name, better in (("log_loss", -1), ("quadratic_kappa", 1)):
        change = about["left_out"][name]["after"] - about["left_out"][name]["before"]
        assert change * better > 0.03
    shifts = np.array([found.shifts[f"text {query}"] for query in range(40)])
    assert np.corrcoef(shifts, levels)[0, 1] > 0.8
    assert shifts.std() < levels.std()  # few grades shift less than they say

    fresh = drawn(OWN, 4000, seed=3, queries=40, levels=levels)
    rules = Rules(DEFAULT_SCALE, found.cut_points)
    shifted = fresh.scores + [found.shifts[name] for name in fresh.texts]
    kappas = [
        quadratic_kappa(fresh.positions, rules.grade(found.link, scores, fresh.passages), 4)
        for scores in (fresh.scores, shifted)
    ]
    assert kappas[1] > kappas[0] + 0.05
    json.dumps(found.facts, allow_nan=False)


def test_shifts_alone_leave_other_queries_as_they_were() -> None:
    levels = np.random.default_rng(4).normal(0, 1.5, 40)
    rules = Rules(DEFAULT_SCALE, RULES.cut_points, own_link=OWN)
    for seed in range(20):
        found = recalibrate(drawn(OWN, 160, seed, 40, levels), rules, 0.01, 0)
        losses = found.facts["cross_fitted"]["log_loss"]
        if losses["after"] >= losses["before"]:
            break
    assert found.helps
    assert len(found.shifts) == 40
    assert (found.link, found.cut_points) == (OWN, RULES.cut_points)


def test_queries_alike_are_seldom_shifted() -> None:
    taken = [
        len(recalibrate(drawn(MOVED, 120, seed, 24, np.zeros(24)), RULES, 30, 0).shifts)
        for seed in range(20)
    ]
    assert np.count_nonzero(taken) <= 5


def test_a_grade_says_nothing_about_itself() -> None:
    # Grades of a query that have nothing to do with each other foretell nothing.
    taken = 0
    for seed in range(12):
        graded = drawn(OWN, 72, seed, 24, np.zeros(24))
        positions = np.random.default_rng(seed).integers(0, 4, 72)
        found = recalibrate(Graded(**{**vars(graded), "positions": positions}), RULES, 30, 0)
        taken += bool(found.shifts)
    assert taken < 8


def test_who_gets_a_shift() -> None:
    levels = np.random.default_rng(1).normal(0, 2.0, 40)
    told = drawn(OWN, 240, seed=2, queries=40, levels=levels)
    texts = told.texts.copy()
    single = [np.flatnonzero(texts == f"text {query}")[1:] for query in range(5)]
    texts[np.concatenate(single)] = ""
    found = recalibrate(Graded(**{**vars(told), "texts": texts}), RULES, 30, 0)
    # One grade alone foretells nothing that could be checked, and a judge's grades are no people's.
    assert set(found.shifts) == {f"text {query}" for query in range(5, 40)}
    judged = recalibrate(Graded(**{**vars(told), "texts": np.full(240, "")}), RULES, 30, 0)
    assert judged.shifts == {}
    assert judged.facts["query_shifts"]["graded"] == 0

    few = np.isin(told.queries, [f"q{query}" for query in range(6)])
    found = recalibrate(told[few], RULES, 30, 0)
    assert found.facts["query_shifts"]["spread"] == USUAL_SPREAD


def test_nothing_to_gain_is_said() -> None:
    verdicts = [
        recalibrate(drawn(OWN, 60, seed=seed), RULES, prior_pairs=0.1, seed=0).helps
        for seed in range(6)
    ]
    assert not all(verdicts)


def test_a_grade_that_nobody_gave_breaks_nothing() -> None:
    for missing in range(4):
        graded = drawn(MOVED, 400, seed=4)
        found = recalibrate(graded[graded.positions != missing], RULES, 20, 0)
        cuts = np.array(found.link.cuts)
        assert (np.diff(cuts) > 0).all()
        assert np.isfinite(cuts).all()
        chances = found.link.probabilities(graded.scores)[:, missing]
        assert 0 < chances.max() < 1


def test_a_query_is_measured_by_others_alone() -> None:
    graded = drawn(MOVED, 120, seed=5)
    there = graded.queries == "q3"
    # Where its own grades taught, turning them around would move what it is given.
    turned = np.where(there, 3 - graded.positions, graded.positions)
    first = recalibrate(graded, RULES, 20, 0).facts["cross_fitted"]
    assert first["folds"] == 10
    second = recalibrate(Graded(**{**vars(graded), "positions": turned}), RULES, 20, 0).facts[
        "cross_fitted"
    ]
    assert first["log_loss"]["before"] != second["log_loss"]["before"]


def test_long_documents_are_measured_and_do_not_calibrate() -> None:
    graded = drawn(MOVED, 300, seed=6)
    rng = np.random.default_rng(6)
    long = rng.random(300) < 0.4
    passages = np.where(long, 6, 1)
    odd = Graded(**{**vars(graded), "passages": passages})
    rules = Rules(DEFAULT_SCALE, RULES.cut_points, length_slope=0.2)
    found = recalibrate(odd, rules, 20, 0)
    assert found.facts["pairs"] == int((~long).sum())
    assert found.facts["several_passages"] == int(long.sum())
    assert found.facts["measured"] == 300
    upset = np.where(long, 3 - odd.positions, odd.positions)
    again = recalibrate(Graded(**{**vars(odd), "positions": upset}), rules, 20, 0)
    assert again.link == found.link
    assert (
        again.facts["cross_fitted"]["quadratic_kappa"]
        != found.facts["cross_fitted"]["quadratic_kappa"]
    )
    one, six = np.ones(300, dtype=np.int64), np.full(300, 6)
    assert (rules.grade(OWN, graded.scores, six) <= rules.grade(OWN, graded.scores, one)).all()


def test_weights_count_for_more() -> None:
    graded = drawn(MOVED, 200, seed=7)
    heavy = np.where(graded.positions == 3, 8.0, 1.0)
    found = recalibrate(Graded(**{**vars(graded), "weights": heavy}), RULES, 20, 0)
    plain = recalibrate(graded, RULES, 20, 0)
    middle = np.array([2.5])
    assert found.link.probabilities(middle)[0, 3] > plain.link.probabilities(middle)[0, 3]
    assert found.facts["effective_pairs"] < 200


def test_cut_points_give_each_grade_as_often_as_it_is_expected() -> None:
    graded = drawn(MOVED, 20000, seed=8)
    cuts = cut_points_of(MOVED, graded.scores, np.ones(20000), DEFAULT_SCALE)
    expected = MOVED.probabilities(graded.scores) @ DEFAULT_SCALE.values
    given = np.searchsorted(cuts, expected)
    np.testing.assert_allclose(
        np.bincount(given, minlength=4) / 20000,
        np.bincount(graded.positions, minlength=4) / 20000,
        atol=0.01,
    )
    middle = np.searchsorted(midpoints(DEFAULT_SCALE), expected)
    kappa = quadratic_kappa(graded.positions, given, 4)
    assert kappa > quadratic_kappa(graded.positions, middle, 4)


def test_expected_shares_are_met() -> None:
    scores = np.random.default_rng(9).normal(1.5, 1.5, 3000)
    shares = parse_shares("0.6;0.2;0.15;0.05", DEFAULT_SCALE)
    found = recalibrate_to_shares(scores, OWN.probabilities(scores), shares, RULES)
    np.testing.assert_allclose(found.link.probabilities(scores).mean(axis=0), shares, atol=1e-6)
    assert found.facts["mean_probabilities"]["before"] != found.facts["mean_probabilities"]["after"]
    assert found.facts["changed"] > 0
    assert found.helps
    json.dumps(found.facts, allow_nan=False)


def test_a_grade_that_is_not_expected_gets_no_share() -> None:
    scores = np.random.default_rng(10).normal(0, 1, 500)
    link = match_shares(scores, OWN, np.array([0.5, 0.0, 0.5, 0.0]))
    means = link.probabilities(scores).mean(axis=0)
    np.testing.assert_allclose(means, [0.5, 0, 0.5, 0], atol=1e-5)
    assert (np.diff(link.cuts) >= 0).all()


numbers = st.floats(-1e4, 1e4, allow_nan=False).map(lambda x: round(x, 3))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(numbers, st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=30),
    st.sampled_from([0.01, 1.0, 20.0, 1e6]),
)
def test_whatever_is_given_a_link_is_finite_and_ordered(
    rows: list[tuple[float, int, int]], prior_pairs: float
) -> None:
    scores = np.array([row[0] for row in rows])
    targets = np.eye(4)[[row[1] for row in rows]]
    weights = np.array([row[2] for row in rows], dtype=np.float64)
    start = fit_link_to_probabilities(scores, OWN.probabilities(scores), weights)
    link = fit_link(scores, targets, weights, start, prior_pairs)
    cuts = cut_points_of(link, scores, weights, DEFAULT_SCALE)
    found = link.probabilities(scores)
    assert link.slope > 0
    assert np.isfinite(link.cuts).all()
    assert (np.diff(link.cuts) >= 0).all()
    assert np.isfinite(found).all()
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (np.diff(cuts) >= 0).all()
    order = np.argsort(scores)
    assert (np.diff((found @ DEFAULT_SCALE.values)[order]) >= -1e-9).all()


def test_two_grades_are_a_scale_too() -> None:
    scale = GradeScale(
        grades=(Grade(value=0, name="no"), Grade(value=1, name="yes")), relevant_from=1
    )
    own, true = Link(slope=1.0, cuts=(0.0,)), Link(slope=1.0, cuts=(2.0,))
    rng = np.random.default_rng(11)
    scores = rng.normal(1, 1.5, 800)
    one = np.ones(800, dtype=np.int64)
    rules = Rules(scale, (0.5,))
    graded = Graded(
        scores, one, (rng.random(800) < true.probabilities(scores)[:, 1]).astype(np.int64),
        np.array([f"q{row % 9}" for row in range(800)], dtype=object), np.full(800, ""),
        np.ones(800), own.probabilities(scores), rules.grade(own, scores, one),
    )  # fmt: skip
    found = recalibrate(graded, rules, 20, 0)
    assert found.link.cuts[0] == pytest.approx(2.0, abs=0.4)
    assert len(found.cut_points) == 1
    shares = recalibrate_to_shares(scores, graded.probabilities, np.array([0.9, 0.1]), rules)
    assert shares.link.probabilities(scores)[:, 1].mean() == pytest.approx(0.1, abs=1e-6)


def test_bad_input_is_one_line() -> None:
    graded = drawn(MOVED, 60, seed=12)

    def refused(part: Graded) -> str:
        with pytest.raises(UserError) as error:
            recalibrate(part, RULES, 20, 0)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "no grade" in refused(graded[graded.positions > 9])
    assert "every usable grade is 0" in refused(graded[graded.positions == 0])
    assert "of 2 queries; at least 3" in refused(graded[np.isin(graded.queries, ["q1", "q2"])])
    long = Graded(**{**vars(graded), "passages": np.full(60, 3)})
    assert "all 60 graded documents have several passages" in refused(long)
    with pytest.raises(UserError, match="none of the rows"):
        recalibrate_to_shares(np.zeros(0), np.zeros((0, 4)), np.full(4, 0.25), RULES)


@pytest.mark.parametrize(
    ("given_shares", "said"),
    [
        ("0.6;0.2;0.2", "has 3 shares, and the labeler 4 grades"),
        (0.7, "has 1 shares"),
        ("0.6;0.2;0.1;0.2", "these sum to 1.1"),
        ("1.2;-0.2;0;0", "between 0 and 1"),
        ("nan;0;0;1", "between 0 and 1"),
        ("most;few;few;few", "give numbers"),
    ],
)
def test_shares_that_cannot_be(given_shares: str | float, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_shares(given_shares, DEFAULT_SCALE)


def test_shares_as_text_and_as_numbers() -> None:
    text = parse_shares("0.333; 0.333;0.333 ;0", DEFAULT_SCALE)
    np.testing.assert_allclose(text, [1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(parse_shares((0.25, 0.25, 0.25, 0.25), DEFAULT_SCALE), 0.25)
