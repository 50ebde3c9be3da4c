"""Slices: the figures of the rows in them, a cap on values, and why one is too small."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from relevance_distillery.evaluation.agreement.breakdowns import (
    GRADE_METRICS,
    MOST_VALUES,
    measure_slices,
)
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

QUICK = Options(resamples=60, slice_pairs=40)


def table(queries: int = 40, documents: int = 6, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = queries * documents
    human = rng.integers(0, 4, size)
    judged = np.clip(human + rng.integers(-1, 2, size), 0, 3)
    return pd.DataFrame(
        {
            "query_id": np.repeat([f"q{i}" for i in range(queries)], documents),
            "document_id": [f"d{i}" for i in range(size)],
            "human": human,
            "student_grade": pd.Series(judged, dtype="Int64"),
            "student_probabilities": list(rng.dirichlet(np.full(4, 0.4), size)),
        }
    )


def values_of(found: dict, name: str) -> list[str]:
    return [row["value"] for row in found[name]]


def test_a_slice_has_the_figures_of_its_rows() -> None:
    grades = table()
    grades["folder"] = np.where(np.arange(len(grades)) % 3 == 0, "hr", "sales")
    found = measure_slices(grades, SCALE, QUICK)
    for row in found["folder"]:
        part = grades[grades["folder"] == row["value"]]
        expected = cohen_kappa_score(
            part["human"], part["student_grade"].astype(int), weights="quadratic"
        )
        kappa = row["judges"]["student"]["quadratic_kappa"]
        assert kappa["estimate"] == pytest.approx(expected, abs=1e-6)
        assert row["pairs"] == len(part)
        assert row["queries"] == part["query_id"].nunique()


def test_folders_beyond_the_cap_are_summed_up() -> None:
    grades = table()
    rng = np.random.default_rng(1)
    grades["folder"] = [f"f{value:02d}" for value in np.minimum(rng.geometric(0.1, 240), 30)]
    grades.loc[:9, "folder"] = ""
    rows = measure_slices(grades, SCALE, QUICK)["folder"]
    values = [row["value"] for row in rows]
    assert len(values) == MOST_VALUES
    assert values[-1] == "other"
    assert values[:-1] == sorted(values[:-1])
    assert sum(row["pairs"] for row in rows) == 230
    counts = grades.loc[10:, "folder"].value_counts()
    least = min(row["pairs"] for row in rows[:-1])
    assert least >= counts[~counts.index.isin(values)].max()


def test_the_judge_s_confidence_and_people_s_grade_slice_too() -> None:
    grades = table()
    grades.loc[:11, "student_probabilities"] = None
    found = measure_slices(grades, SCALE, QUICK, confident=("student", "nobody"))
    highest = np.array([row.max() for row in grades["student_probabilities"][12:]])
    rows = found["confidence of student"]
    assert [row["value"] for row in rows] == [
        "below 50 %",
        "50–70 %",
        "70–90 %",
        "90 % or more",
    ]
    limits = [0, 0.5, 0.7, 0.9, 1.1]
    assert [row["pairs"] for row in rows] == np.histogram(highest, limits)[0].tolist()
    assert "confidence of nobody" not in found
    grade = found["grade"]
    assert values_of(found, "grade") == [
        "0 irrelevant",
        "1 related",
        "2 relevant",
        "3 perfectly relevant",
    ]
    for value, row in enumerate(grade):
        part = grades[grades["human"] == value]
        assert set(row["judges"]["student"]) == set(GRADE_METRICS)
        bias = (part["student_grade"].astype(int) - value).mean()
        assert row["judges"]["student"]["bias"]["estimate"] == pytest.approx(bias, abs=1e-6)


def test_a_confidence_on_the_border_belongs_to_the_upper_band() -> None:
    grades = table(queries=1, documents=4)
    tops = [0.4, 0.5, 0.7, 0.9]
    grades["student_probabilities"] = [[top, (1 - top) / 2, (1 - top) / 2, 0.0] for top in tops]
    rows = measure_slices(grades, SCALE, QUICK, confident=("student",))["confidence of student"]
    assert [row["pairs"] for row in rows] == [1, 1, 1, 1]


def test_small_slices_say_why() -> None:
    grades = table()
    grades["style"] = "long_tail"
    grades.loc[:29, "style"] = "key-word"  # 5 queries, 30 pairs
    grades.loc[30:89, "style"] = None
    found = measure_slices(grades, SCALE, QUICK)["query style"]
    assert [row["value"] for row in found] == ["key word", "long tail"]
    assert found[0]["small"] is True
    assert found[0]["why"] == "30 pairs, fewer than 40; 5 queries, fewer than 10"
    assert found[1]["small"] is False
    assert found[1]["why"] == ""


def test_missing_facts_belong_to_no_slice() -> None:
    grades = table()
    grades["query_words"] = pd.array([None, 2, 9] * 80, dtype="Int64")
    grades["passages"] = 1
    grades["seen"] = pd.array([True, None] * 120, dtype="boolean")
    found = measure_slices(grades, SCALE, QUICK)
    assert [(row["value"], row["pairs"]) for row in found["query length"]] == [
        ("1–2 words", 80),
        ("9 or more", 80),
    ]
    assert "document length" not in found, "one value only repeats the whole"
    assert "document in training" not in found


def test_a_judge_without_grades_in_a_slice_is_absent_there() -> None:
    grades = table()
    grades["folder"] = np.where(np.arange(len(grades)) < 60, "a", "b")
    grades["teacher_grade"] = grades["student_grade"].where(grades["folder"] == "b")
    found = measure_slices(grades, SCALE, QUICK)
    json.dumps(found, allow_nan=False)
    assert [list(row["judges"]) for row in found["folder"]] == [["student"], ["student", "teacher"]]


def test_weights_are_used_in_slices() -> None:
    grades = table()
    grades["folder"] = np.where(np.arange(len(grades)) % 2 == 0, "a", "b")
    grades["weight"] = np.random.default_rng(0).integers(1, 6, len(grades)).astype(float)
    rows = measure_slices(grades, SCALE, QUICK)["folder"]
    for row in rows:
        part = grades[grades["folder"] == row["value"]]
        right = part["human"] == part["student_grade"]
        expected = np.average(right, weights=part["weight"])
        estimate = row["judges"]["student"]["accuracy"]["estimate"]
        assert estimate == pytest.approx(expected, abs=1e-6)
