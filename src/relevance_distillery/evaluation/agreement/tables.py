"""The table of graded benchmark documents, and what each judge said as numbered pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.metrics import GradedPairs

GRADING_JUDGES = ("student", "teacher", "base")
"""Judges that give grades: the columns NAME_grade."""

SCORING_JUDGES = (
    "student_expected",
    "student_score",
    "teacher_expected",
    "base_similarity",
    "base_cosine",
    "bm25",
)
"""Rows with a score but no grade: the columns of the same name."""


def query_numbers(grades: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
    """Number of each row's query in order of appearance, and how many queries there are."""
    codes, names = pd.factorize(grades["query_id"])
    return codes.astype(np.int64), len(names)


def graded_by(grades: pd.DataFrame, judge: str) -> NDArray[np.bool_]:
    """Which rows a judge graded or scored, shape (rows,); all false for an absent judge."""
    column = _column(judge)
    if column not in grades:
        return np.zeros(len(grades), dtype=bool)
    return grades[column].notna().to_numpy(dtype=bool)


def pairs_of(
    grades: pd.DataFrame, judge: str, rows: NDArray[np.bool_] | None = None
) -> GradedPairs:
    """What people and one judge said.

    Args:
        grades: Columns query_id, human and the judge's; and weight, where the rows are a
            sample in which not all count alike.
        judge: A name of `GRADING_JUDGES` or `SCORING_JUDGES`.
        rows: Restrict to these rows, shape (rows,).

    Returns:
        The rows that the judge graded; queries keep their numbers over the whole table.
    """
    query, queries = query_numbers(grades)
    kept = graded_by(grades, judge)
    if rows is not None:
        kept = kept & rows
    return GradedPairs(
        human=grades["human"].to_numpy(dtype=np.int64)[kept],
        judge=grades.loc[kept, _column(judge)].to_numpy(dtype=np.float64)
        if kept.any()
        else np.zeros(0),
        query=query[kept],
        queries=queries,
        graded=judge in GRADING_JUDGES,
        weight=weights_of(grades, kept),
    )


def weights_of(grades: pd.DataFrame, rows: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """How many pairs each of some rows stands for, shape (rows,); None where all count alike."""
    if "weight" not in grades:
        return None
    return grades["weight"].to_numpy(dtype=np.float64)[rows]


def judges_in(grades: pd.DataFrame) -> list[str]:
    """Judges that graded or scored at least one row, in the order of the report."""
    return [name for name in (*GRADING_JUDGES, *SCORING_JUDGES) if graded_by(grades, name).any()]


def _column(judge: str) -> str:
    return f"{judge}_grade" if judge in GRADING_JUDGES else judge
