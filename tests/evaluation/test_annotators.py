"""People and judges on one scale: equal to comparing them by hand, couple by couple."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from relevance_distillery.evaluation.agreement.annotators import (
    MOST_ANNOTATORS,
    Ratings,
    compare_with_people,
    human_ceiling,
)
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

QUICK = Options(resamples=150, permutations=150)
KEY = ["query_id", "document_id"]
LABELS = SCALE.values.tolist()


def benchmark(
    raters: dict[str, float], queries: int = 25, documents: int = 10, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Raters by their noise, and a table with a good and a poor judge of the same truth."""
    rng = np.random.default_rng(seed)
    size = queries * documents
    truth = rng.integers(0, 4, size)

    def noisy(sigma: float) -> np.ndarray:
        return np.clip(np.rint(truth + rng.normal(0, sigma, size)), 0, 3).astype(int)

    keys = pd.DataFrame(
        {
            "query_id": np.repeat([f"q{i}" for i in range(queries)], documents),
            "document_id": [f"d{i}" for i in range(size)],
        }
    )
    annotators = pd.concat(
        [keys.assign(annotator=name, grade=noisy(sigma)) for name, sigma in raters.items()],
        ignore_index=True,
    )
    grades = keys.assign(
        human=truth,
        good_grade=pd.Series(noisy(0.3), dtype="Int64"),
        poor_grade=pd.Series(noisy(1.5), dtype="Int64"),
    )
    return annotators, grades


def test_every_two_raters_stand_once_with_their_own_kappa() -> None:
    annotators, grades = benchmark({"ann": 0.6, "bob": 0.6, "cid": 0.9})
    found = compare_with_people(annotators, grades, SCALE, QUICK)["couples"]
    wide = annotators.pivot(index=KEY, columns="annotator", values="grade")
    assert set(found) == {"ann and bob", "ann and cid", "bob and cid"}
    for couple, row in found.items():
        one, other = couple.split(" and ")
        assert row["kappa"]["estimate"] == pytest.approx(
            cohen_kappa_score(wide[one], wide[other]), abs=1e-6
        )
        assert "bias" not in row


def test_rows_equal_the_mean_over_couples_by_hand() -> None:
    annotators, grades = benchmark({"ann": 0.6, "bob": 0.6, "cid": 0.9})
    found = compare_with_people(annotators, grades, SCALE, QUICK)
    wide = annotators.pivot(index=KEY, columns="annotator", values="grade")
    judged = grades.set_index(KEY)[["good_grade", "poor_grade"]].astype(int).reindex(wide.index)

    def kappa(one: pd.Series, other: pd.Series) -> float:
        return cohen_kappa_score(one, other, weights="quadratic", labels=LABELS)

    for rater in wide:
        others = [name for name in wide if name != rater]
        expected = np.mean([kappa(wide[other], wide[rater]) for other in others])
        row = found["raters"][rater]
        assert row["quadratic_kappa"]["estimate"] == pytest.approx(expected, abs=1e-6)
        bias = np.mean([(wide[rater] - wide[other]).mean() for other in others])
        assert row["bias"]["estimate"] == pytest.approx(bias, abs=1e-6)
        rho = np.mean([spearmanr(wide[other], wide[rater]).statistic for other in others])
        assert row["spearman"]["estimate"] == pytest.approx(rho, abs=1e-6)
    people = np.mean([kappa(wide[one], wide[two]) for one, two in permutations(wide, 2)])
    for judge in ("good", "poor"):
        own = np.mean([kappa(wide[name], judged[f"{judge}_grade"]) for name in wide])
        assert found["judges"][judge]["quadratic_kappa"]["estimate"] == pytest.approx(own, abs=1e-6)
        apart = found["judge_minus_people"][judge]["quadratic_kappa"]
        assert apart["estimate"] == pytest.approx(own - people, abs=1e-6)
    assert set(found["judges"]["good"]) == set(METRICS)
    assert found["pairs"] == 250
    assert found["judge_pairs"] == {"good": 250, "poor": 250}
    assert found["skipped"] == {}


def test_better_and_worse_than_people_are_told_apart() -> None:
    annotators, grades = benchmark({"ann": 0.7, "bob": 0.7, "cid": 0.7}, queries=40)
    apart = compare_with_people(annotators, grades, SCALE, QUICK)["judge_minus_people"]
    assert apart["good"]["quadratic_kappa"]["low"] > 0
    assert apart["poor"]["quadratic_kappa"]["high"] < 0
    assert apart["poor"]["quadratic_kappa"]["p"] < 0.02
    # Another person of the same kind is neither.
    rng = np.random.default_rng(5)
    same = np.clip(np.rint(grades["human"] + rng.normal(0, 0.7, len(grades))), 0, 3)
    grades["same_grade"] = same.astype("Int64")
    found = compare_with_people(annotators, grades, SCALE, QUICK)["judge_minus_people"]["same"]
    assert found["quadratic_kappa"]["low"] < 0 < found["quadratic_kappa"]["high"]


def test_a_judge_that_graded_some_pairs_meets_people_on_these() -> None:
    annotators, grades = benchmark({"ann": 0.6, "bob": 0.8})
    grades.loc[:99, "good_grade"] = pd.NA
    whole = compare_with_people(annotators, grades, SCALE, QUICK)
    part = compare_with_people(annotators, grades[100:], SCALE, QUICK)
    common = compare_with_people(
        annotators[annotators["document_id"].isin(grades["document_id"][100:])],
        grades[100:],
        SCALE,
        QUICK,
    )
    assert whole["judge_pairs"] == {"good": 150, "poor": 250}
    for name in ("quadratic_kappa", "ndcg", "bias"):
        estimate = whole["judge_minus_people"]["good"][name]["estimate"]
        assert estimate == common["judge_minus_people"]["good"][name]["estimate"]
        assert estimate == part["judge_minus_people"]["good"][name]["estimate"]


def test_raters_without_common_pairs_are_skipped_with_the_reason() -> None:
    annotators, grades = benchmark({"ann": 0.5, "bob": 0.5, "cid": 0.5})
    first = annotators["document_id"].isin(grades["document_id"][:125])
    # ann graded the first half, bob the second, cid everything.
    kept = np.select(
        [annotators["annotator"] == "ann", annotators["annotator"] == "bob"], [first, ~first], True
    ).astype(bool)
    found = compare_with_people(annotators[kept], grades, SCALE, QUICK)
    assert found["skipped"] == {"raters who graded no pair in common": ["ann and bob"]}
    assert set(found["raters"]) == {"ann", "bob", "cid"}
    assert found["pairs"] == 250

    apart = annotators[kept & (annotators["annotator"] != "cid")]
    found = compare_with_people(apart, grades, SCALE, QUICK)
    json.dumps(found, allow_nan=False)
    assert found["raters"] == found["judges"] == found["judge_minus_people"] == {}
    assert found["pairs"] == 0
    assert found["skipped"]["graded no pair that another person graded"] == ["ann", "bob"]
    assert human_ceiling(apart, SCALE, QUICK) == {}


def test_a_judge_without_any_of_the_pairs_is_skipped() -> None:
    annotators, grades = benchmark({"ann": 0.5, "bob": 0.5})
    some = annotators["document_id"].isin(grades["document_id"][:100])
    grades.loc[:99, "poor_grade"] = pd.NA
    found = compare_with_people(annotators[some], grades, SCALE, QUICK)
    assert set(found["judges"]) == {"good"}
    assert found["skipped"] == {"graded none of the pairs that two people graded": ["poor"]}


def test_one_rater_or_none_has_no_scale() -> None:
    annotators, grades = benchmark({"ann": 0.5})
    assert compare_with_people(annotators, grades, SCALE, QUICK) == {}
    assert compare_with_people(None, grades, SCALE, QUICK) == {}
    assert human_ceiling(None, SCALE, QUICK) == {}


def test_only_the_most_productive_of_many_raters_are_compared() -> None:
    names = [f"r{i:02d}" for i in range(MOST_ANNOTATORS + 3)]
    annotators, grades = benchmark(dict.fromkeys(names, 0.5), queries=6, documents=5)
    lazy = annotators["annotator"].isin(["r00", "r05", "r09"]) & (annotators["document_id"] > "d2")
    ratings = Ratings.of(annotators[~lazy])
    assert len(ratings.grades) == MOST_ANNOTATORS
    assert ratings.left_out == ("r00", "r05", "r09")
    found = compare_with_people(
        annotators[~lazy], grades, SCALE, Options(resamples=20, permutations=20)
    )
    reason = f"beyond the {MOST_ANNOTATORS} raters with the most grades"
    assert found["skipped"] == {reason: ["r00", "r05", "r09"]}


def test_a_couple_without_a_figure_does_not_hide_the_others() -> None:
    annotators, grades = benchmark({"ann": 0.5, "bob": 0.5, "cid": 0.5})
    few = grades["document_id"][:3]
    flat = (annotators["annotator"] != "cid") | annotators["document_id"].isin(few)
    annotators = annotators[flat].copy()
    # All three gave these the same grade: cid's couples have no kappa at all.
    annotators.loc[annotators["document_id"].isin(few), "grade"] = 2
    found = compare_with_people(annotators, grades, SCALE, QUICK)
    json.dumps(found, allow_nan=False)
    assert found["raters"]["cid"]["quadratic_kappa"]["estimate"] is None
    assert "same grade" in found["raters"]["cid"]["quadratic_kappa"]["reason"]
    assert found["raters"]["cid"]["accuracy"]["estimate"] == 1.0
    both = annotators[annotators["annotator"] != "cid"]
    alone = compare_with_people(both, grades, SCALE, QUICK)["raters"]["ann"]["quadratic_kappa"][
        "estimate"
    ]
    assert found["raters"]["ann"]["quadratic_kappa"]["estimate"] == alone


def test_weights_count_as_repeated_pairs() -> None:
    annotators, grades = benchmark({"ann": 0.5, "bob": 0.8}, queries=12)
    times = pd.Series(np.random.default_rng(2).integers(1, 4, len(grades)), index=grades.index)
    weighted = annotators.merge(grades[KEY].assign(weight=times.astype(float)), on=KEY)
    one = compare_with_people(weighted, grades, SCALE, QUICK)

    def repeat(table: pd.DataFrame) -> pd.DataFrame:
        number = table.merge(grades[KEY].assign(times=times), on=KEY, how="left")["times"]
        rows = table.loc[table.index.repeat(number.to_numpy())]
        turn = rows.groupby([c for c in (*KEY, "annotator") if c in rows]).cumcount()
        return rows.assign(document_id=rows["document_id"] + "-" + turn.astype(str))

    other = compare_with_people(repeat(annotators), repeat(grades), SCALE, QUICK)
    for name in ("quadratic_kappa", "accuracy", "bias", "spearman"):
        expected = other["judge_minus_people"]["good"][name]["estimate"]
        assert one["judge_minus_people"]["good"][name]["estimate"] == pytest.approx(expected)


def test_a_rater_who_graded_a_pair_twice_counts_once() -> None:
    annotators, grades = benchmark({"ann": 0.5, "bob": 0.5})
    twice = pd.concat([annotators, annotators[:40]])
    assert compare_with_people(twice, grades, SCALE, QUICK) == compare_with_people(
        annotators, grades, SCALE, QUICK
    )


def test_ceiling_is_the_mean_of_the_raters() -> None:
    annotators, grades = benchmark({"ann": 0.4, "bob": 0.7, "cid": 1.0})
    rows = compare_with_people(annotators, grades, SCALE, QUICK)["raters"]
    ceiling = human_ceiling(annotators, SCALE, QUICK)
    for name, value in ceiling.items():
        mean = np.mean([row[name]["estimate"] for row in rows.values()])
        assert value["estimate"] == pytest.approx(mean, abs=1e-6)
