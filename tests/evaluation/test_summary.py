"""agreement.json: complete, finite, and honest about what is not defined."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.ceiling import human_ceiling
from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.evaluation.agreement.summary import Options, measure
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

QUICK = Options(resamples=200, permutations=200, slice_pairs=30)


def table(queries: int = 30, documents: int = 8, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = queries * documents
    human = rng.integers(0, 4, size)

    def noisy(sigma: float) -> pd.Series:
        noise = rng.normal(0, sigma, size)
        return pd.Series(np.clip(np.rint(human + noise), 0, 3).astype(int), dtype="Int64")

    return pd.DataFrame(
        {
            "query_id": np.repeat([f"q{i}" for i in range(queries)], documents),
            "document_id": [f"d{i}" for i in range(size)],
            "human": human,
            "style": np.repeat(["keyword", "question"], size // 2),
            "query_words": 3,
            "passages": rng.integers(1, 7, size),
            "seen": rng.random(size) < 0.5,
            "student_grade": noisy(0.5),
            "teacher_grade": noisy(0.6),
            "base_grade": noisy(2.5),
            "student_expected": human + rng.normal(0, 0.5, size),
            "bm25": rng.random(size),
        }
    )


def test_everything_is_there_and_json() -> None:
    found = measure(table(), SCALE, {"name": "b", "human": True}, options=QUICK)
    json.dumps(found, allow_nan=False)
    assert found["benchmark"] == {"name": "b", "human": True, "pairs": 240, "queries": 30}
    for judge in ("student", "teacher", "base"):
        assert set(found["judges"][judge]) == set(METRICS)
        assert sum(map(sum, found["confusion"][judge]["counts"])) == 240
    assert set(found["judges"]["bm25"]) == {"spearman", "pairwise_accuracy", "ndcg", "ndcg_at_10"}
    assert set(found["student_minus_teacher"]["kappa"]) == {"estimate", "low", "high", "p", "p_raw"}
    assert found["student_minus_base"]["quadratic_kappa"]["low"] > 0
    assert found["not_defined"] == []
    assert [row["value"] for row in found["slices"]["document length"]] == [
        "1 passage",
        "2–4 passages",
        "5 or more",
    ]
    assert "query length" not in found["slices"]


def test_difference_is_that_of_the_rows() -> None:
    found = measure(table(), SCALE, {"human": True}, options=QUICK)
    for name in METRICS:
        rows = [found["judges"][judge][name]["estimate"] for judge in ("student", "teacher")]
        apart = found["student_minus_teacher"][name]["estimate"]
        assert apart == pytest.approx(rows[0] - rows[1], abs=2e-6)


def test_missing_teacher_grades_are_counted_and_compared_on_common_pairs() -> None:
    grades = table()
    grades.loc[:40, "teacher_grade"] = pd.NA
    found = measure(grades, SCALE, {"human": True}, options=QUICK)
    assert found["graded_pairs"]["teacher"] == 199
    assert found["excluded"]["pairs without a grade by the teacher"] == 41
    common = measure(grades[41:].reset_index(drop=True), SCALE, {"human": True}, options=QUICK)
    assert (
        found["student_minus_teacher"]["accuracy"]["estimate"]
        == common["student_minus_teacher"]["accuracy"]["estimate"]
    )


@pytest.mark.parametrize("column", ["human", "student_grade"])
def test_one_grade_only(column: str) -> None:
    grades = table()
    grades["human"] = 0
    grades["student_grade"] = pd.Series(0, index=grades.index, dtype="Int64")
    found = measure(grades, SCALE, {"human": True}, options=QUICK)
    json.dumps(found, allow_nan=False)
    kappa = found["judges"]["student"]["quadratic_kappa"]
    assert kappa["estimate"] is None
    assert "same grade" in kappa["reason"]
    assert found["judges"]["student"]["accuracy"]["estimate"] == 1.0
    assert {"where": "judges.student.ndcg", "reason": METRICS["ndcg"].undefined} in found[
        "not_defined"
    ]
    assert found["excluded"]["queries without a relevant document, left out of nDCG"] == 30


def test_one_query_has_no_interval_and_says_so() -> None:
    found = measure(table(queries=1), SCALE, {"human": True}, options=QUICK)
    json.dumps(found, allow_nan=False)
    accuracy = found["judges"]["student"]["accuracy"]
    assert accuracy["estimate"] is not None
    assert accuracy["low"] is None
    assert accuracy["reason"] == "too few queries for an interval"
    assert "not to be trusted" in found["notes"][0]


def test_without_teacher_there_is_no_difference() -> None:
    found = measure(table().drop(columns="teacher_grade"), SCALE, {"human": True}, options=QUICK)
    assert found["student_minus_teacher"] == {}
    assert "teacher" not in found["judges"]


def test_same_seed_same_content() -> None:
    assert measure(table(), SCALE, {}, options=QUICK) == measure(table(), SCALE, {}, options=QUICK)


def test_ceiling_of_people() -> None:
    grades = table()[["query_id", "document_id", "human"]].rename(columns={"human": "grade"})
    twice = pd.concat([grades.assign(annotator=name) for name in ("ann", "bob")])
    found = human_ceiling(twice, SCALE, resamples=100)
    assert found["quadratic_kappa"]["estimate"] == 1.0
    assert "bias" not in found
    apart = pd.concat([grades[:50].assign(annotator="ann"), grades[50:].assign(annotator="bob")])
    assert human_ceiling(apart, SCALE, resamples=100) == {}
    assert human_ceiling(grades.assign(annotator="ann"), SCALE) == {}
