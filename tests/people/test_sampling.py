"""Who is drawn, how probably, and what the order gives away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.people.sampling import (
    Plan,
    allocate,
    draw,
    draw_sample,
    inclusion_probabilities,
    sampling_frame,
    uncertainties,
)

RANDOM = Plan("random", "pair", 60, (), "equal", seed=1)
BY_GRADE = replace(RANDOM, design="stratified", strata=("grade",))
ACTIVE = replace(RANDOM, design="active")
UNCERTAIN = replace(RANDOM, design="uncertain", most_per_query=3)


def frame_of(stored) -> pd.DataFrame:
    return sampling_frame(stored.candidates, stored.queries, stored.labels)


def sample_of(stored, plan: Plan, earlier: pd.DataFrame | None = None, measure: str = "entropy"):
    return draw_sample(
        frame_of(stored),
        stored.labels,
        stored.queries,
        stored.passages,
        pd.DataFrame() if earlier is None else earlier,
        plan,
        measure,
        SCALE,
    )[0]


@pytest.mark.parametrize("unit", ["pair", "query"])
@pytest.mark.parametrize("strata", [(), ("grade",), ("grade", "style")])
def test_the_stated_probability_is_how_often_a_pair_is_drawn(stored, unit, strata) -> None:
    design = "stratified" if strata else "random"
    size = 60 if unit == "pair" else 12
    plan = Plan(design, unit, size, strata, "square_root", seed=0)
    frame, drawn, stated = frame_of(stored), Counter(), {}
    repeats, weights = 150, []
    for seed in range(repeats):
        rows = draw(frame, replace(plan, seed=seed))
        keys = list(zip(rows["query_id"], rows["passage_id"], strict=True))
        drawn.update(keys)
        stated.update(zip(keys, rows["inclusion_probability"], strict=True))
        weights.append((1 / rows["inclusion_probability"]).sum())
    chance = np.array(list(stated.values()))
    share = np.array([drawn[key] for key in stated]) / repeats
    spread = np.sqrt(chance * (1 - chance) / repeats)
    assert np.abs(share - chance).max() <= (5 * spread + 1e-9).max()
    assert (share[chance == 1] == 1).all()
    # Horvitz-Thompson: the weights of a sample add up to the number of pairs, on average.
    assert np.mean(weights) == pytest.approx(len(frame), rel=0.03)


def test_whole_queries_come_with_all_their_pairs(stored) -> None:
    sample = sample_of(stored, replace(RANDOM, unit="query", size=5))
    assert sample.groupby("query_id").size().tolist() == [12] * 5
    assert sample["inclusion_probability"].tolist() == [5 / 40] * 60


def test_every_stratum_is_drawn_from_and_the_rest_goes_where_there_is_room() -> None:
    sizes = {"0": 1000, "1": 100, "2": 10, "3": 2}
    assert allocate(sizes, 100, "equal") == {"0": 44, "1": 44, "2": 10, "3": 2}
    proportional = allocate(sizes, 100, "proportional")
    assert sum(proportional.values()) == 100
    assert min(proportional.values()) == 1
    assert proportional["0"] == pytest.approx(89, abs=2)
    root = allocate(sizes, 100, "square_root")
    assert proportional["1"] < root["1"] < 44
    assert allocate(sizes, 5000, "equal") == sizes
    with pytest.raises(UserError, match=r"size=3 is less than one for each of 4 strata"):
        allocate(sizes, 3, "equal")


def test_rare_grades_are_found_by_stratifying(stored) -> None:
    labels = stored.labels.set_index(["query_id", "passage_id"])["grade"]
    keys = sample_of(stored, BY_GRADE)[["query_id", "passage_id"]].itertuples(index=False)
    counts = Counter(labels[tuple(key)] for key in keys)
    assert counts[3] >= 14
    assert max(counts.values()) - min(counts.values()) <= 2


def test_pairs_without_a_label_are_a_stratum_of_their_own(stored) -> None:
    lost = replace_labels(stored, stored.labels.iloc[30:])
    sample = sample_of(lost, BY_GRADE)
    assert set(sample["stratum"]) == {"0", "1", "2", "3", "none"}


def replace_labels(stored, labels: pd.DataFrame):
    return replace(stored, labels=labels.reset_index(drop=True))


def test_the_same_seed_draws_the_same_rows_in_the_same_order(stored) -> None:
    shuffled = replace(stored, candidates=stored.candidates.sample(frac=1, random_state=3))
    first, second = sample_of(stored, BY_GRADE), sample_of(shuffled, BY_GRADE)
    pd.testing.assert_frame_equal(first, second)
    other = sample_of(stored, replace(BY_GRADE, seed=2))
    assert set(other["row_id"]).isdisjoint(first["row_id"])


def test_the_order_says_nothing_about_the_judge(stored) -> None:
    labels = stored.labels.set_index(["query_id", "passage_id"])["grade"]
    places, grades = [], []
    for seed in range(20):
        sample = sample_of(stored, replace(BY_GRADE, seed=seed, size=200))
        grades += [labels[row.query_id, row.passage_id] for row in sample.itertuples()]
        places += range(len(sample))
    assert abs(np.corrcoef(places, grades)[0, 1]) < 0.05
    sample = sample_of(stored, replace(BY_GRADE, size=200))
    # A query's pairs stand together, so that it is read once; its pairs are not in id order.
    runs = (sample["query_id"] != sample["query_id"].shift()).sum()
    assert runs == sample["query_id"].nunique()
    assert not sample.groupby("query_id")["passage_id"].apply(lambda p: list(p) == sorted(p)).all()


def test_active_takes_what_the_judge_is_uncertain_about_and_gives_it_no_probability(stored) -> None:
    sample = sample_of(stored, replace(ACTIVE, size=20))
    chances = stored.labels.set_index(["query_id", "passage_id"])["probabilities"]
    entropy = chances.map(lambda p: -(p * np.log(p)).sum())
    chosen = [entropy[row.query_id, row.passage_id] for row in sample.itertuples()]
    assert min(chosen) >= entropy.sort_values().iloc[-20] - 1e-9
    assert sample["inclusion_probability"].isna().all()
    assert set(sample["design"]) == {"active"}


def test_uncertain_pairs_come_more_often_and_are_weighed_less(stored) -> None:
    # The judge errs where it is unsure, and says nothing about some pairs.
    chances = np.random.default_rng(1).dirichlet(np.full(4, 0.3), len(stored.labels))
    entropy = -(chances * np.log(chances)).sum(axis=1)
    labels = stored.labels.assign(probabilities=list(chances))
    wrong = np.random.default_rng(0).random(len(entropy)) < entropy / entropy.max()
    key = ["query_id", "passage_id"]
    truth = stored.labels[key].assign(wrong=wrong).set_index(key)["wrong"]
    asked = replace_labels(stored, labels.iloc[20:])
    drawn, stated, estimates, plain = Counter(), {}, [], []
    repeats = 150
    for seed in range(repeats):
        sample = sample_of(asked, replace(UNCERTAIN, seed=seed, size=60))
        assert len(sample) == 60
        assert sample.groupby("query_id").size().max() <= 3
        keys = list(zip(sample["query_id"], sample["passage_id"], strict=True))
        drawn.update(keys)
        stated.update(zip(keys, sample["inclusion_probability"], strict=True))
        found = np.array([truth[one] for one in keys])
        estimates.append((found / sample["inclusion_probability"]).sum() / len(truth))
        plain.append(found.mean())
    chance = np.array(list(stated.values()))
    share = np.array([drawn[one] for one in stated]) / repeats
    assert np.abs(share - chance).max() < 5 * np.sqrt(0.25 / repeats)
    assert len(stated) > 0.95 * len(truth)  # every pair has a chance
    assert set(truth.index[:20]) & set(stated)  # with or without a label
    # Weighed, the sample says what share is wrong; unweighed it says too much.
    error = np.std(estimates) / np.sqrt(repeats)
    assert abs(np.mean(estimates) - truth.mean()) < 4 * error
    assert np.mean(plain) > truth.mean() + 0.04
    # And it says it more exactly than as many random pairs.
    assert np.std(estimates) < np.sqrt(truth.mean() * (1 - truth.mean()) / 60)


def test_probabilities_are_in_proportion_as_far_as_they_can_be() -> None:
    query = np.repeat([0, 1, 2], [8, 4, 1])
    weights = np.array([8.0] * 8 + [1.0] * 4 + [0.001])
    found = inclusion_probabilities(weights, query, 4, 2)
    # The first query may have two, so that the others have more than their weights say.
    assert found[:8] == pytest.approx(0.25)
    assert found.sum() == pytest.approx(4)
    assert found[8:12] == pytest.approx(found[12] * 1000)
    everything = inclusion_probabilities(weights, query, 99, 2)
    assert np.bincount(query, everything) == pytest.approx([2, 2, 1])
    assert inclusion_probabilities(weights, query, 99, 9) == pytest.approx(1)


def test_judges_that_are_certain_leave_a_random_sample(stored) -> None:
    sure = stored.labels.assign(probabilities=[np.array([1.0, 0, 0, 0])] * len(stored.labels))
    sample = sample_of(replace_labels(stored, sure), replace(UNCERTAIN, size=40))
    assert sample["inclusion_probability"].to_numpy() == pytest.approx(40 / 480)
    # Spread over queries as evenly as can be.
    assert sample["query_id"].nunique() == 40
    whole = sample_of(stored, replace(UNCERTAIN, unit="query", size=5))
    assert whole.groupby("query_id").size().tolist() == [12] * 5


def test_active_does_not_ask_twice(stored) -> None:
    first = sample_of(stored, replace(ACTIVE, size=20))
    second = sample_of(stored, replace(ACTIVE, size=20), earlier=first)
    key = ["query_id", "passage_id"]
    assert first[key].merge(second[key]).empty


def test_judges_who_contradict_each_other_are_doubted() -> None:
    labels = pd.DataFrame(
        [("q", "same", "a", 3), ("q", "same", "b", 3), ("q", "far", "a", 3), ("q", "far", "b", 0)],
        columns=["query_id", "passage_id", "judge", "grade"],
    ).assign(probabilities=None)
    for measure in ("entropy", "confidence", "disagreement"):
        found = uncertainties(labels, SCALE, measure).set_index("passage_id")["uncertainty"]
        assert found["far"] > found["same"] == 0
    assert uncertainties(labels, SCALE, "disagreement")["uncertainty"].max() == 3


@pytest.mark.parametrize("measure", ["entropy", "confidence", "disagreement"])
def test_a_single_judge_without_probabilities_cannot_doubt(stored, measure) -> None:
    lonely = replace(stored, labels=stored.labels.assign(probabilities=None))
    for plan in (ACTIVE, UNCERTAIN):
        with pytest.raises(UserError, match=r"design=active, uncertain.*hand_grading\.doubters"):
            sample_of(lonely, plan, measure=measure)


def test_nothing_to_draw_from_is_said(stored) -> None:
    everything = sample_of(stored, replace(ACTIVE, size=480))
    with pytest.raises(UserError, match="no pair to hand out"):
        sample_of(stored, ACTIVE, earlier=everything)
