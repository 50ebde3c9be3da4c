"""agreement.json for input that defies statistics: finite, explained, and never a made-up 0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.measurement import Options, measure
from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

QUICK = Options(resamples=100, permutations=100, slice_pairs=10)
RANKING = {"pairwise_accuracy", "ndcg", "ndcg_at_10"}
CHANCE_CORRECTED = {"kappa", "quadratic_kappa", "binary_kappa", "krippendorff_alpha"}


def scale_of(size: int) -> GradeScale:
    return GradeScale(
        grades=tuple(Grade(value=value, name=f"grade {value}") for value in range(size)),
        relevant_from=max(1, size // 2),
    )


def table(queries: int = 6, documents: int = 5, size: int = 4, seed: int = 0) -> pd.DataFrame:
    """An ordinary table of grades, to be spoilt by the tests."""
    rng = np.random.default_rng(seed)
    rows = queries * documents
    human = rng.integers(0, size, rows)
    human[:size] = np.arange(size)[:rows]
    found = pd.DataFrame(
        {
            "query_id": np.repeat([f"q{number}" for number in range(queries)], documents),
            "document_id": [f"d{number}" for number in range(rows)],
            "human": human,
            "style": np.where(np.arange(rows) % documents == 0, "question", "keyword"),
            "query_words": 2,
            "passages": 1 + np.arange(rows) % 3,
            "seen": False,
            "folder": "",
            "bm25": rng.random(rows),
        }
    )
    for name in ("student", "teacher"):
        judged = np.clip(human + rng.integers(-1, 2, rows), 0, size - 1)
        found[f"{name}_grade"] = pd.array(judged, dtype="Int64")
    near = np.exp(-np.abs(np.arange(size)[None, :] - found["student_grade"].to_numpy()[:, None]))
    found["student_probabilities"] = (near / near.sum(1, keepdims=True)).tolist()
    return found


def same_for_all(grades: pd.DataFrame, human: int, judge: int) -> pd.DataFrame:
    grades["human"] = human
    for name in ("student", "teacher"):
        grades[f"{name}_grade"] = pd.array([judge] * len(grades), dtype="Int64")
    return grades


def rated(grades: pd.DataFrame, **rows: slice) -> pd.DataFrame:
    """People's grades, one annotator an argument, on the rows given."""
    named = grades[["query_id", "document_id"]].assign(grade=grades["human"])
    return pd.concat([named[part].assign(annotator=name) for name, part in rows.items()])


def measured(
    grades: pd.DataFrame,
    scale: GradeScale = DEFAULT_SCALE,
    annotators: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """What `measure` says, after the checks that hold for every input."""
    found = measure(grades, scale, {"name": "b", "human": True}, annotators, QUICK)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(unexplained(found)) == []
    return found


def unexplained(node: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Where a null stands that nothing explains."""
    if isinstance(node, list):
        for place, item in enumerate(node):
            yield from unexplained(item, (*path, str(place)))
    if isinstance(node, dict):
        for key, item in node.items():
            if item is not None:
                yield from unexplained(item, (*path, key))
            elif not node.get("reason") and not speaks_for_itself(path, key):
                yield ".".join((*path, key))
    if node is None and not ("confusion" in path and path[-2] in ("recall", "precision")):
        yield ".".join(path)


def speaks_for_itself(path: tuple[str, ...], key: str) -> bool:
    """A bias is neither better nor worse than another: no conclusion and no margin."""
    return path[-1] == "bias" and key in ("conclusion", "p_non_inferior")


def undefined(found: dict[str, Any], judge: str = "student") -> set[str]:
    return {name for name, row in found["judges"][judge].items() if row["estimate"] is None}


def test_an_ordinary_table_has_every_figure() -> None:
    grades = table(queries=25)
    found = measured(grades, annotators=rated(grades, ann=slice(None), bob=slice(None)))
    for judge in ("student", "teacher", "bm25"):
        assert undefined(found, judge) == set()
    assert found["not_defined"] == []


@pytest.mark.parametrize(("grade", "lost"), [(0, {"ndcg", "ndcg_at_10"}), (3, set())])
def test_people_and_judge_gave_one_grade_only(grade: int, lost: set[str]) -> None:
    found = measured(same_for_all(table(), grade, grade))
    assert undefined(found) == CHANCE_CORRECTED | {"spearman", "pairwise_accuracy"} | lost
    assert found["judges"]["student"]["accuracy"]["estimate"] == 1.0
    assert found["judges"]["student"]["gwet_ac2"]["estimate"] == 1.0
    assert {row["where"] for row in found["not_defined"]} >= {
        f"judges.student.{name}" for name in undefined(found)
    }


def test_people_gave_one_grade_and_the_judge_another() -> None:
    found = measured(same_for_all(table(), 0, 3))
    student = found["judges"]["student"]
    # Two raters who never meet agree at the level of chance: these zeros are computed.
    assert undefined(found) == {"spearman", *RANKING}
    assert student["kappa"]["estimate"] == 0.0
    assert student["bias"]["estimate"] == 3.0
    assert student["accuracy"]["estimate"] == 0.0


def test_people_gave_one_grade_and_the_judge_many() -> None:
    grades = table()
    grades["human"] = 1
    found = measured(grades)
    assert undefined(found) == {"spearman", *RANKING}
    assert undefined(found, "bm25") == {"spearman", *RANKING}


def test_one_query() -> None:
    found = measured(table(queries=1, documents=30))
    for row in found["judges"]["student"].values():
        assert row["estimate"] is not None
        assert row["low"] is None
        assert row["high"] is None
        assert row["reason"]
    assert any("Only 1 quer" in note for note in found["notes"])


@pytest.mark.parametrize("right", [True, False])
def test_one_pair(right: bool) -> None:
    grades = same_for_all(table(queries=1, documents=1), 2, 2 if right else 0)
    grades["style"] = ""
    found = measured(grades)
    lost = CHANCE_CORRECTED if right else set()
    assert undefined(found) == {"spearman", "pairwise_accuracy"} | lost
    assert found["judges"]["student"]["accuracy"]["estimate"] == float(right)
    assert undefined(found, "bm25") == {"spearman", "pairwise_accuracy"}


def test_ties_everywhere() -> None:
    grades = table(queries=20)
    grades["bm25"] = 1.0
    found = measured(grades)
    assert undefined(found, "bm25") == {"spearman"}
    assert found["judges"]["bm25"]["pairwise_accuracy"]["estimate"] == 0.5
    assert 0 < found["judges"]["bm25"]["ndcg"]["estimate"] < 1


def test_a_judge_with_missing_grades_is_measured_on_those_it_gave() -> None:
    grades = table(queries=20)
    gone = np.arange(len(grades)) % 4 == 0
    grades.loc[gone, "student_grade"] = pd.NA
    grades["student_probabilities"] = grades["student_probabilities"].where(~gone, None)
    found = measured(grades)
    whole = measured(grades[~gone].reset_index(drop=True))
    assert found["graded_pairs"] == {"student": 75, "teacher": 100, "bm25": 100}
    assert found["excluded"]["pairs without a grade by the student"] == 25
    for name in METRICS:
        assert (
            found["judges"]["student"][name]["estimate"]
            == whole["judges"]["student"][name]["estimate"]
        )


def test_a_judge_without_any_grade_is_absent() -> None:
    grades = table()
    grades["student_grade"] = pd.array([pd.NA] * len(grades), dtype="Int64")
    grades["student_probabilities"] = None
    found = measured(grades)
    assert "student" not in found["judges"]
    assert "student" not in found["confusion"]
    assert found["student_minus_teacher"] == {}
    assert any("student" in note for note in found["notes"])


def test_judges_that_share_no_pair_are_not_compared() -> None:
    grades = table(queries=20)
    half = np.arange(len(grades)) < 50
    grades["student_grade"] = grades["student_grade"].where(half, pd.NA)
    grades["student_probabilities"] = grades["student_probabilities"].where(half, None)
    grades["teacher_grade"] = grades["teacher_grade"].where(~half, pd.NA)
    found = measured(grades)
    assert found["student_minus_teacher"] == {}
    assert undefined(found, "teacher") == set()


def test_scores_only() -> None:
    graded = ["student_grade", "teacher_grade", "student_probabilities"]
    found = measured(table().drop(columns=graded))
    assert set(found["judges"]) == {"bm25"}
    assert set(found["judges"]["bm25"]) == {"spearman", *RANKING}
    assert found["confusion"] == {}


def test_no_judge_at_all() -> None:
    kept = ["query_id", "document_id", "human"]
    found = measured(table()[kept])
    assert found["judges"] == {}
    assert found["benchmark"]["pairs"] == 30


def test_annotators_who_graded_different_pairs() -> None:
    grades = table()
    found = measured(grades, annotators=rated(grades, ann=slice(0, 15), bob=slice(15, 30)))
    assert found["human_ceiling"] == {}
    assert not found["one_scale"].get("raters")
    assert found["one_scale"]["skipped"]


def test_annotators_who_share_one_pair() -> None:
    grades = table()
    found = measured(grades, annotators=rated(grades, ann=slice(0, 16), bob=slice(15, 30)))
    ceiling = found["human_ceiling"]
    assert ceiling["accuracy"]["estimate"] == 1.0
    assert ceiling["quadratic_kappa"]["estimate"] is None
    assert ceiling["accuracy"]["low"] is None


def test_one_annotator_alone() -> None:
    grades = table()
    found = measured(grades, annotators=rated(grades, ann=slice(None)))
    assert found["human_ceiling"] == {}
    assert not found["one_scale"].get("raters")


def test_three_annotators_of_whom_one_shares_nothing() -> None:
    grades = table(queries=20)
    people = rated(grades, ann=slice(0, 80), bob=slice(0, 80), eve=slice(80, 100))
    found = measured(grades, annotators=people)
    assert found["human_ceiling"]["accuracy"]["estimate"] == 1.0
    assert "eve" not in found["one_scale"].get("raters", {})
    assert any("eve" in str(row) for row in found["one_scale"]["skipped"].items())


def test_weights_of_which_one_is_huge() -> None:
    grades = table(queries=20).assign(weight=1.0)
    grades.loc[0, "weight"] = 1e6
    found = measured(grades)
    right = float(grades["student_grade"][0] == grades["human"][0])
    assert found["judges"]["student"]["accuracy"]["estimate"] == pytest.approx(right, abs=1e-3)


@pytest.mark.parametrize("size", [2, 5])
def test_other_scales(size: int) -> None:
    grades = table(queries=20, size=size)
    found = measured(grades, scale_of(size))
    assert undefined(found) == set()
    assert len(found["confusion"]["student"]["counts"]) == size
    assert len(found["thresholds"]["student"]) == size - 1


def test_a_grade_that_nobody_gave() -> None:
    grades = table(queries=20, size=3)
    grades["student_probabilities"] = grades["student_probabilities"].map(lambda p: [*p, 0.0])
    found = measured(grades)
    assert undefined(found) == set()
    assert found["confusion"]["student"]["recall"][3] is None
    top = found["thresholds"]["student"][-1]
    assert top["people"] == 0.0
    assert top["recall"]["estimate"] is None
    assert top["precision"]["estimate"] is None


def test_no_rows_at_all() -> None:
    found = measured(table().iloc[:0])
    assert found["judges"] == {}
    assert found["benchmark"]["pairs"] == 0
