"""agreement.json: complete, finite, and honest about what is not defined."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevance_distillery.evaluation.agreement.annotators import human_ceiling
from relevance_distillery.evaluation.agreement.measurement import Options, measure
from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
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
    assert set(found["student_minus_teacher"]["kappa"]) == {
        "estimate",
        "low",
        "high",
        "p",
        "p_raw",
        "p_non_inferior",
        "conclusion",
    }
    assert found["student_minus_base"]["quadratic_kappa"]["low"] > 0
    assert found["not_defined"] == []
    assert [row["value"] for row in found["slices"]["document length"]] == [
        "1 passage",
        "2–4 passages",
        "5 or more",
    ]
    assert "query length" not in found["slices"]
    assert found["roles"] == {"student": "student", "teacher": "teacher", "base": "base"}
    assert [(row["first"], row["second"]) for row in found["comparisons"]] == [
        ("student", "teacher"),
        ("student", "base"),
    ]
    assert found["comparisons"][0]["metrics"] == found["student_minus_teacher"]
    assert found["comparisons"][1]["metrics"] == found["student_minus_base"]
    assert {row["margin"] for row in found["comparisons"]} == {0.03}
    assert found["student_minus_base"]["quadratic_kappa"]["conclusion"] == "superior"
    assert found["student_minus_base"]["bias"]["conclusion"] is None
    assert set(found["thresholds"]) == set(found["confusion"]) == {"student", "teacher", "base"}
    assert found["calibration"] == found["one_scale"] == {}
    assert "grade" in found["slices"]
    assert found["sample_size"]["judge"] == "student"


def test_files_of_grades_plan_with_the_best_judge_and_the_next() -> None:
    names = {
        "base_grade": "weak_grade",
        "student_grade": "best_grade",
        "teacher_grade": "next_grade",
    }
    grades = table().rename(columns=names)
    order = [*[c for c in grades if not c.endswith("_grade")], *names.values()]
    found = measure(grades[order], SCALE, {"human": True}, options=QUICK, roles={})
    assert found["sample_size"]["judge"] == "best"
    assert (found["sample_size"]["power"]["first"], found["sample_size"]["power"]["second"]) == (
        "best",
        "next",
    )


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
    found = human_ceiling(twice, SCALE, QUICK)
    assert found["quadratic_kappa"]["estimate"] == 1.0
    assert "bias" not in found
    apart = pd.concat([grades[:50].assign(annotator="ann"), grades[50:].assign(annotator="bob")])
    assert human_ceiling(apart, SCALE, QUICK) == {}
    assert human_ceiling(grades.assign(annotator="ann"), SCALE) == {}


def any_judges(seed: int = 0) -> pd.DataFrame:
    """Three judges under any name, one of them with probabilities, and one that scores."""
    grades = table(seed=seed)
    rng = np.random.default_rng(seed)
    return grades[["query_id", "document_id", "human"]].assign(
        **{
            "gpt-4o_grade": grades["student_grade"],
            "gpt-4o_probabilities": list(rng.dirichlet(np.ones(4), len(grades))),
            "llama_grade": grades["teacher_grade"],
            "crowd.v2_grade": grades["base_grade"],
            "run_score": grades["bm25"],
        }
    )


def test_any_judges_are_compared_each_with_each() -> None:
    found = measure(any_judges(), SCALE, {"human": True}, options=QUICK)
    json.dumps(found, allow_nan=False)
    assert list(found["judges"]) == ["gpt-4o", "llama", "crowd.v2", "run"]
    assert found["roles"] == {}
    assert [(row["first"], row["second"]) for row in found["comparisons"]] == [
        ("gpt-4o", "llama"),
        ("gpt-4o", "crowd.v2"),
        ("llama", "crowd.v2"),
    ]
    named = measure(table(), SCALE, {"human": True}, options=QUICK)
    assert found["judges"]["gpt-4o"] == named["judges"]["student"]
    assert found["comparisons"][0]["metrics"] == named["student_minus_teacher"]
    assert found["student_minus_teacher"] == found["student_minus_base"] == {}
    assert list(found["calibration"]) == ["gpt-4o"]
    assert "confidence of gpt-4o" in found["slices"]
    assert not any("No grades by" in note for note in found["notes"])
    assert found["not_defined"] == []


def test_a_file_named_student_need_not_be_one() -> None:
    grades = table()[["query_id", "document_id", "human", "student_grade", "teacher_grade"]]
    grades = grades[["query_id", "document_id", "human", "teacher_grade", "student_grade"]]
    found = measure(grades, SCALE, {}, options=QUICK, roles={})
    assert [(row["first"], row["second"]) for row in found["comparisons"]] == [
        ("teacher", "student")
    ]
    assert found["student_minus_teacher"] == {}
    roles = {"student": "teacher", "teacher": "student"}
    swapped = measure(grades, SCALE, {}, options=QUICK, roles=roles)
    assert swapped["student_minus_teacher"] == found["comparisons"][0]["metrics"]


def test_judges_without_a_common_pair_cannot_be_compared() -> None:
    grades = any_judges()
    grades.loc[:119, "gpt-4o_grade"] = pd.NA
    grades.loc[120:, "llama_grade"] = pd.NA
    found = measure(grades, SCALE, {}, options=QUICK)
    json.dumps(found, allow_nan=False)
    first = found["comparisons"][0]
    assert first["pairs"] == 0
    assert first["metrics"] == {}
    assert first["reason"] == "they graded no pair in common"
    reason = {"where": "comparisons.gpt-4o_minus_llama", "reason": first["reason"]}
    assert reason in found["not_defined"]
    assert found["comparisons"][1]["metrics"]["accuracy"]["estimate"] is not None
    assert found["excluded"]["pairs without a grade by gpt-4o"] == 120


def test_scores_alone_give_a_report_without_grades() -> None:
    grades = any_judges()[["query_id", "document_id", "human", "run_score"]]
    found = measure(grades, SCALE, {}, options=QUICK)
    json.dumps(found, allow_nan=False)
    assert list(found["judges"]) == ["run"]
    for name in ("comparisons", "confusion", "thresholds", "calibration"):
        assert not found[name]
    assert found["sample_size"]["reason"] == "no judge gave grades"


def test_pairs_that_people_did_not_grade_are_left_out_and_counted() -> None:
    grades = table()
    grades["human"] = grades["human"].astype("Int64")
    grades.loc[:19, "human"] = pd.NA
    found = measure(grades, SCALE, {}, options=QUICK)
    json.dumps(found, allow_nan=False)
    assert found["excluded"]["pairs without a right grade, left out"] == 20
    assert found["benchmark"]["pairs"] == found["graded_pairs"]["student"] == 220


def test_one_scale_uses_the_pairs_of_the_table() -> None:
    grades = table()
    raters = grades[["query_id", "document_id"]].assign(grade=grades["human"])
    strangers = raters.assign(document_id="x" + raters["document_id"], grade=0)
    both = pd.concat([raters, strangers])
    rng = np.random.default_rng(0)
    annotators = pd.concat(
        [
            both.assign(annotator=name, grade=np.clip(both["grade"] + rng.integers(0, 2), 0, 3))
            for name in ("ann", "bob")
        ]
    )
    found = measure(grades, SCALE, {}, annotators, QUICK)
    json.dumps(found, allow_nan=False)
    assert found["one_scale"]["pairs"] == 240
    assert set(found["one_scale"]["judges"]) == {"student", "teacher", "base"}
    assert set(found["human_ceiling"]) == set(METRICS) - {"bias"}


FEW = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 3),
        st.one_of(st.none(), st.integers(0, 3)),
        st.one_of(st.none(), st.integers(0, 3)),
        st.one_of(st.none(), st.sampled_from([0.0, 0.5, 2.0])),
        st.one_of(st.none(), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(FEW, st.booleans(), st.booleans())
def test_any_few_rows_give_finite_json_with_reasons(
    rows: list, named: bool, weighted: bool
) -> None:
    """One grade, one query, ties, gaps, raters with other pairs, weights: never a NaN."""
    query, human, first, second, score, rater = zip(*rows, strict=True)
    name, other = ("student", "teacher") if named else ("x", "y")
    sure = [None if grade is None else np.eye(4)[grade].tolist() for grade in second]
    grades = pd.DataFrame(
        {
            "query_id": [f"q{number}" for number in query],
            "document_id": [f"d{number}" for number in range(len(rows))],
            "human": human,
            f"{name}_grade": pd.array(first, dtype="Int64"),
            f"{other}_grade": pd.array(second, dtype="Int64"),
            f"{other}_probabilities": pd.Series(sure, dtype=object),
            "bm25": pd.array(score, dtype="Float64"),
            "folder": ["a" if number % 2 else "" for number in human],
        }
    )
    if weighted:
        grades["weight"] = 1.0 + np.arange(len(rows))
    said = grades[["query_id", "document_id"]].assign(grade=pd.array(rater, dtype="Int64"))
    annotators = pd.concat(
        [
            said[said["grade"].notna()].assign(annotator="ann"),
            said.assign(grade=human)[::2].assign(annotator="bob"),
        ]
    )
    options = Options(resamples=20, permutations=20)
    found = measure(grades, SCALE, {}, annotators, options)
    json.dumps(found, allow_nan=False)
    for metrics in found["judges"].values():
        for figure in metrics.values():
            missing = [key for key in ("estimate", "low", "high") if figure[key] is None]
            assert bool(missing) == ("reason" in figure)
