"""Which columns are a judge's, and what it said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.graded_pairs import (
    graded_by,
    grading_judges,
    judges_in,
    pairs_of,
    probabilities_of,
)


def table(**columns: list) -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "query_id": ["a", "a", "b"],
            "document_id": ["1", "2", "1"],
            "human": [0, 2, 3],
            "style": "keyword",
            "query_words": 2,
            "seen": False,
        }
    )
    for name, values in columns.items():
        integer = name.endswith("_grade")
        found[name] = pd.Series(values, dtype="Int64") if integer else values
    return found


def test_any_name_is_a_judge_graded_ones_first() -> None:
    grades = table(
        bm25=[1.0, 2.0, 3.0],
        **{"gpt-4o_grade": [1, 2, None], "my.run_score": [0.1, None, 0.3], "B_grade": [0, 1, 2]},
    )
    assert judges_in(grades) == ["gpt-4o", "B", "bm25", "my.run"]
    assert grading_judges(grades) == ["gpt-4o", "B"]
    said = pairs_of(grades, "gpt-4o")
    assert said.graded
    assert said.judge.tolist() == [1.0, 2.0]
    assert said.human.tolist() == [0, 2]
    assert said.queries == 2
    scored = pairs_of(grades, "my.run")
    assert not scored.graded
    assert scored.judge.tolist() == [0.1, 0.3]
    assert scored.query.tolist() == [0, 1]
    restricted = pairs_of(grades, "B", np.array([False, True, True]))
    assert restricted.judge.tolist() == [1.0, 2.0]


def test_a_score_beside_grades_of_the_same_judge_is_a_row_of_its_own() -> None:
    grades = table(x_grade=[0, 1, 2], x_score=[0.0, 0.5, 1.0], student_grade=[1, 1, 1])
    grades["student_score"] = [3.0, 2.0, 1.0]
    assert judges_in(grades) == ["x", "student", "x_score", "student_score"]
    assert pairs_of(grades, "x").graded
    assert pairs_of(grades, "x_score").judge.tolist() == [0.0, 0.5, 1.0]
    assert pairs_of(grades, "student_score").judge.tolist() == [3.0, 2.0, 1.0]


def test_names_that_look_like_columns_stay_apart() -> None:
    grades = table(a_grade_grade=[0, 1, 2], a_grade=[1, 1, 1], b_score_grade=[2, 2, 2])
    grades["c_grade_score"] = [0.5, 0.5, 0.5]
    assert judges_in(grades) == ["a_grade", "a", "b_score", "c_grade"]
    assert pairs_of(grades, "a_grade").judge.tolist() == [0.0, 1.0, 2.0]
    assert pairs_of(grades, "a").judge.tolist() == [1.0, 1.0, 1.0]
    assert pairs_of(grades, "b_score").graded
    assert not pairs_of(grades, "c_grade").graded


def test_absent_and_silent_judges_have_no_pairs() -> None:
    grades = table(silent_grade=[None, None, None])
    assert judges_in(grades) == []
    for name in ("silent", "absent", "human", "style"):
        assert not graded_by(grades, name).any()
        said = pairs_of(grades, name)
        assert said.judge.size == said.human.size == 0
        assert said.queries == 2


def test_weights_go_with_the_pairs() -> None:
    grades = table(x_grade=[1, None, 2], weight=[1.0, 2.0, 3.0])
    assert pairs_of(grades, "x").weight.tolist() == [1.0, 3.0]
    assert pairs_of(grades.drop(columns="weight"), "x").weight is None


def test_probabilities_have_nan_rows_where_there_are_none() -> None:
    grades = table(x_grade=[1, 0, 2])
    assert probabilities_of(grades, "x") is None
    grades["x_probabilities"] = [[0.2, 0.8], None, np.array([0.5, 0.5])]
    found = probabilities_of(grades, "x")
    assert found.shape == (3, 2)
    assert found[[0, 2]].tolist() == [[0.2, 0.8], [0.5, 0.5]]
    assert np.isnan(found[1]).all()
    grades["x_probabilities"] = [None, None, None]
    assert probabilities_of(grades, "x") is None
    grades["x_probabilities"] = [[0.2, 0.8], [1.0], None]
    with pytest.raises(ValueError, match="x_probabilities: rows with 1 and with 2 numbers"):
        probabilities_of(grades, "x")


def test_probabilities_survive_parquet(tmp_path) -> None:
    grades = table(x_grade=[1, 0, 2])
    grades["x_probabilities"] = [[0.2, 0.8], None, [0.5, 0.5]]
    grades.to_parquet(tmp_path / "grades.parquet")
    found = probabilities_of(pd.read_parquet(tmp_path / "grades.parquet"), "x")
    assert np.array_equal(found, probabilities_of(grades, "x"), equal_nan=True)
