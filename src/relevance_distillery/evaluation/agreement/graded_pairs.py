"""Pairs graded by people and by one judge, and how to read them from benchmark_grades.

In that table a judge is a set of columns: `NAME_grade` (grades of the scale),
`NAME_probabilities` (of the grades, lowest first), or a score without grades: `NAME_score`, or a
column of `SCORING_JUDGES`.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.statistics.arrays import Floats, Ints, Mask

SCORING_JUDGES = (
    "student_expected",
    "student_score",
    "teacher_expected",
    "base_similarity",
    "base_cosine",
    "bm25",
)
"""Scores without grades whose column is their name; other columns need the end `_score`."""

_GRADE, _SCORE, _PROBABILITIES = "_grade", "_score", "_probabilities"


@dataclass(frozen=True)
class GradedPairs:
    """Grades of the same pairs by people and by one judge.

    Attributes:
        human: People's grades, shape (pairs,).
        judge: The judge's grades, or scores where `graded` is false, shape (pairs,).
        query: Number of each pair's query, shape (pairs,).
        queries: How many queries there are in all, those without pairs included.
        graded: The judge gave grades of the scale.
        weight: How many pairs each pair stands for, shape (pairs,): 1 / its inclusion
            probability where the pairs are a sample; None where all count alike.
    """

    human: Ints
    judge: Floats
    query: Ints
    queries: int
    graded: bool = True
    weight: Floats | None = None

    def same_pairs(self, other: Self) -> bool:
        """Whether another judge graded the same pairs in the same order."""
        return np.array_equal(self.query, other.query) and np.array_equal(self.human, other.human)


def query_numbers(grades: pd.DataFrame) -> tuple[Ints, int]:
    """Number of each row's query in order of appearance, and how many queries there are."""
    codes, names = pd.factorize(grades["query_id"])
    return codes.astype(np.int64), len(names)


def grading_judges(grades: pd.DataFrame) -> list[str]:
    """Judges with a grade of at least one row, in the order of their columns."""
    return [name for name, graded in _columns(grades).values() if graded]


def judges_in(grades: pd.DataFrame) -> list[str]:
    """Judges that graded or scored at least one row: those with grades first."""
    found = list(_columns(grades).values())
    return [name for name, graded in sorted(found, key=lambda judge: not judge[1])]


def graded_by(grades: pd.DataFrame, judge: str) -> Mask:
    """Which rows a judge graded or scored, shape (rows,); all false for an absent judge."""
    column = _column(grades, judge)
    if column is None:
        return np.zeros(len(grades), dtype=bool)
    return grades[column].notna().to_numpy(dtype=bool)


def pairs_of(grades: pd.DataFrame, judge: str, rows: Mask | None = None) -> GradedPairs:
    """The rows that a judge graded (of `rows`); queries keep their numbers over the whole table.

    Columns are query_id, human and the judge's; and weight, where the rows are a sample in which
    not all count alike. An absent judge has no pairs.
    """
    query, queries = query_numbers(grades)
    kept = graded_by(grades, judge)
    if rows is not None:
        kept = kept & rows
    column = _column(grades, judge)
    return GradedPairs(
        human=grades["human"].to_numpy(dtype=np.int64)[kept],
        judge=grades.loc[kept, column].to_numpy(dtype=np.float64)
        if column is not None
        else np.zeros(0),
        query=query[kept],
        queries=queries,
        graded=column is None or _names(column, grades)[1],
        weight=grades["weight"].to_numpy(dtype=np.float64)[kept] if "weight" in grades else None,
    )


def probabilities_of(grades: pd.DataFrame, judge: str) -> Floats | None:
    """Calibrated probabilities of the grades, lowest first.

    Returns:
        Shape (rows, grades), rows of nan where there are none; None for a judge that gives none.

    Raises:
        ValueError: Two rows have differently many probabilities.
    """
    column = f"{judge}{_PROBABILITIES}"
    if column not in grades:
        return None
    given = [isinstance(row, list | tuple | np.ndarray) for row in grades[column]]
    there = np.array(given, dtype=bool)
    if not there.any():
        return None
    lists = grades.loc[there, column].tolist()
    lengths = {len(row) for row in lists}
    if len(lengths) > 1:
        raise ValueError(f"{column}: rows with {min(lengths)} and with {max(lengths)} numbers")
    found = np.full((len(grades), lengths.pop()), np.nan)
    found[there] = np.array(lists, dtype=np.float64)
    return found


def _columns(grades: pd.DataFrame) -> dict[str, tuple[str, bool]]:
    """Columns of judges that are not empty: their judge, and whether they hold grades."""
    found = {}
    for column in grades.columns:
        name, graded = _names(column, grades)
        if name and grades[column].notna().any():
            found[column] = (name, graded)
    return found


def _names(column: str, grades: pd.DataFrame) -> tuple[str, bool]:
    """The judge of a column, empty where it is none's, and whether it holds grades."""
    if column.endswith(_GRADE):
        return column.removesuffix(_GRADE), True
    if column in SCORING_JUDGES:
        return column, False
    name = column.removesuffix(_SCORE)
    if name == column:
        return "", False
    # Beside grades of the same judge its score is a row of its own, as the student's is.
    return (column if f"{name}{_GRADE}" in grades else name), False


def _column(grades: pd.DataFrame, judge: str) -> str | None:
    for column in (f"{judge}{_GRADE}", judge, f"{judge}{_SCORE}"):
        if column in grades and _names(column, grades)[0] == judge:
            return column
    return None
