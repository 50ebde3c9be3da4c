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
    sampling_frame,
    uncertainties,
)

RANDOM = Plan("random", "pair", 60, (), "equal", seed=1)
BY_GRADE = replace(RANDOM, design="stratified", strata=("grade",))
ACTIVE = replace(RANDOM, design="active")


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
    with pytest.raises(UserError, match=r"design=active.*hand_grading\.doubters"):
        sample_of(lonely, ACTIVE, measure=measure)


def test_nothing_to_draw_from_is_said(stored) -> None:
    everything = sample_of(stored, replace(ACTIVE, size=480))
    with pytest.raises(UserError, match="no pair to hand out"):
        sample_of(stored, ACTIVE, earlier=everything)
