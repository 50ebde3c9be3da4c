"""Any judge, by the file that it left: its grades or scores, compared with people's.

A judge's file is never refused for single rows: what cannot be used is left out and counted, so
that what the judge itself did wrong can be read in the report.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.id_matching import with_known_ids
from relevance_distillery.collections.judgments import KEY, UNGRADED, lower_median
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.files import newest_table, parts_of
from relevance_distillery.io.tables import cell_text, distinct_names, is_number
from relevance_distillery.io.trec import Columns, grade_rows

_SUM_TOLERANCE = 0.02
"""Probabilities that are rounded in a file still sum to one within this."""


class NothingInCommonError(UserError):
    """A file speaks of no pair of a benchmark."""


@dataclass(frozen=True)
class JudgeFiles:
    """Files of judges, not read yet, and what the files call their columns.

    `locations` are the files, or names of a benchmark's recorded judges.
    """

    locations: tuple[str, ...]
    columns: Columns = field(default_factory=dict)

    @classmethod
    def parse(cls, locations: str | None, columns: Columns | None = None) -> Self:
        """From paths separated by `;`."""
        return cls(tuple(parts_of(locations)), dict(columns or {}))


@dataclass(frozen=True)
class JudgeGrades:
    """What one judge said about a benchmark.

    Attributes:
        name: The file's name without its suffix.
        table: Columns query_id, document_id (of the benchmark, a pair once), value (a grade of
            the scale, or a score) and, where the file has them, probabilities, confidence.
        graded: The values are grades of the scale.
        reason: Why they are not, empty where they are.
        facts: pairs_in_file, matched, missing, unknown, notes.
        usd, seconds: Dollars and seconds a label, over all rows that say so; shape (rows,).
    """

    name: str
    table: pd.DataFrame
    graded: bool
    reason: str
    facts: dict[str, Any]
    usd: np.ndarray
    seconds: np.ndarray


def named_files(files: JudgeFiles, benchmark: Benchmark) -> dict[str, Path | str]:
    """Where each judge's grades are, by its name, in the order given.

    A location that is no file is looked for among the recorded judges of all benchmarks.

    Returns:
        A file; or the name of a recorded judge, of which each benchmark has its own file.

    Raises:
        UserError: None was given, one twice, or one is neither a file nor a known judge.
    """
    if not files.locations:
        raise UserError(
            'no judge was given; pass --params="benchmark=DIR,grades=FILE", several files '
            "separated by `;`"
        )
    twice = next((one for one in files.locations if files.locations.count(one) > 1), None)
    if twice is not None:
        raise UserError(f"grades: {twice} is given twice; give every file once")
    known = {judge for one in benchmark.everything for judge in one.judge_files}
    places: list[Path | str] = []
    for location in files.locations:
        path = newest_table(Path(location).expanduser())
        if path.is_file():
            places.append(path)
        elif location in known:
            places.append(location)
        else:
            raise UserError(
                f"{location}: no such file of grades, nor a judge of benchmark "
                f"{benchmark.name} (it has: {', '.join(sorted(known)) or 'none'}); check the path"
            )
    # A versioned table is NAME/VERSION/NAME, and the outer folder says where it belongs.
    named = [
        path.parent.parent if path.parent.parent.name == path.name else path
        for path in map(Path, places)
    ]
    return dict(zip(distinct_names(named), places, strict=True))


def read_judge(name: str, path: Path, benchmark: Benchmark, columns: Columns) -> JudgeGrades:
    """What the judge `name` said about a benchmark's pairs, in a file or TREC run at `path`.

    Raises:
        UserError: The file cannot be read, lacks a column, has no pair in common with the
            benchmark, or no grade at all.
    """
    rows = _read(path, columns)
    found, notes = _matched(path, rows, benchmark)
    scale = benchmark.scale
    names = {grade.name.casefold(): float(grade.value) for grade in scale.grades}
    values = found["grade"].map(lambda cell: names.get(cell.casefold(), _number(cell)))
    values = values.astype("float64")
    empty = found["grade"].str.casefold().isin(UNGRADED)
    unusable = values.isna() & ~empty
    for count, what in (
        (int(empty.sum()), "rows without a grade"),
        (int(unusable.sum()), "rows whose grade is neither a number nor a name of the scale"),
    ):
        if count:
            notes.append(f"left out: {count} {what}")
    if values.isna().all():
        raise UserError(
            f"{path}: none of its {len(found)} grades of the benchmark's pairs is a number or a "
            f"name of the scale ({', '.join(grade.name for grade in scale.grades)}); "
            "check the column of grades"
        )
    found = found.assign(value=values)[values.notna()]
    unknown = rows[~rows.index.isin(found["row"])].drop_duplicates(_named(rows))
    found = _one_a_pair(path, found, notes)
    reason = _no_grades(found["value"], scale)
    if reason:
        notes.append(f"ranking metrics only: {reason}")
    if "probabilities" in found:
        found["probabilities"] = _probabilities(found["probabilities"], scale, notes)
    if "confidence" in found:
        found["confidence"] = _share(found["confidence"], notes)
    judged = benchmark.judgments[KEY]
    kept = [column for column in ("probabilities", "confidence") if column in found]
    table = found[[*KEY, "value", *kept]]
    facts = {
        "pairs_in_file": len(rows.drop_duplicates(_named(rows))),
        "matched": len(table),
        "missing": len(judged) - len(table),
        "unknown": len(unknown),
        "notes": notes,
    }
    return JudgeGrades(
        name,
        table.reset_index(drop=True),
        not reason,
        reason,
        facts,
        _numbers(rows, "cost_usd"),
        _numbers(rows, "seconds"),
    )


def _read(path: Path, columns: Columns) -> pd.DataFrame:
    """The file's cells as text; probabilities as they are."""
    rows = [row for _, row in grade_rows(path, columns, runs=True, option="grade_columns")]
    if not rows:
        raise UserError(f"{path}: holds no grades; give at least one")
    cells = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name, "") for row in rows]
        if name == "probabilities":
            cells[name] = pd.Series(values, dtype=object)
        else:
            cells[name] = pd.Series([cell_text(value) for value in values], dtype=str)
    return pd.DataFrame(cells)


def _matched(
    path: Path, rows: pd.DataFrame, benchmark: Benchmark
) -> tuple[pd.DataFrame, list[str]]:
    """The rows that speak of judged pairs, and what was done to match them.

    Ids are read as `with_known_ids` does. Where more rows find their pair by them, query texts are
    taken instead of ids, and passages instead of documents. The rows have the benchmark's ids, and
    in the column row their place in `rows`.
    """
    judged, known = benchmark.judgments[KEY], benchmark.known_ids
    best, notes = rows.iloc[:0], list[str]()
    for query, document in product(("query_id", "query"), ("document_id", "passage_id")):
        if query in rows and document in rows and len(best) < len(rows):
            named = rows.assign(query_id=rows[query], document_id=rows[document], row=rows.index)
            named, said = with_known_ids(named, **known)
            found = named.merge(judged, on=KEY, how="inner")
            if len(found) > len(best):
                best, notes = found, said
                if document == "passage_id" and "document_id" in rows:
                    notes.append("passages were matched, by the column passage_id")
    if best.empty:
        raise NothingInCommonError(_nothing(path, rows, benchmark))
    return best.reset_index(drop=True), notes


def _nothing(path: Path, rows: pd.DataFrame, benchmark: Benchmark) -> str:
    """One line on what is known of a file that has no pair in common with the benchmark."""
    judged, empty = benchmark.judgments, pd.Series(dtype=str)
    queries, documents = (rows.get(name, empty).isin(judged[name]).sum() for name in KEY)
    return (
        f"{path}: none of its {len(rows)} rows speaks of one of the {len(judged)} judged pairs "
        f"of benchmark {benchmark.name} ({queries} rows name a known query, {documents} a known "
        "document); check that the ids are the benchmark's"
    )


def _number(cell: str) -> float:
    return float(cell) if is_number(cell) else math.nan


def _named(rows: pd.DataFrame) -> list[str]:
    """The columns by which a file names a pair."""
    known = ("query_id", "query", "document_id", "passage_id")
    return [column for column in known if column in rows]


def _one_a_pair(path: Path, found: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """A row a pair: repeated rows once, contradicting ones not at all, raters by lower median."""
    rater = ["annotator"] if "annotator" in found else []
    distinct = found.drop_duplicates([*KEY, *rater, "value"])
    if len(distinct) < len(found):
        notes.append(f"{len(found) - len(distinct)} repeated rows count once")
    contradicting = distinct.duplicated([*KEY, *rater], keep=False)
    if contradicting.any():
        pairs = len(distinct.loc[contradicting, KEY].drop_duplicates())
        notes.append(f"left out: {pairs} pairs with two different grades")
        distinct = distinct[~contradicting]
        if distinct.empty:
            raise UserError(f"{path}: each of its {pairs} pairs has two different grades; keep one")
    if rater and distinct.duplicated(KEY).any():
        raters = distinct["annotator"].nunique()
        notes.append(f"the lower median of {raters} annotators counts")
        middle = lower_median(distinct[[*KEY, "value"]].rename(columns={"value": "grade"}))
        distinct = middle.rename(columns={"grade": "value"})
    return distinct.copy()


def _no_grades(values: pd.Series, scale: GradeScale) -> str:
    """Why some numbers are no grades of the scale, empty where they are."""
    allowed = scale.values.tolist()
    off = values[~values.isin(allowed)]
    if off.empty:
        return ""
    shown = ", ".join(f"{value:g}" for value in off.drop_duplicates().head(3))
    of_all = f"{len(off)} of {len(values)} pairs"
    if (values != values.round()).any():
        return (
            f"it gives scores, not grades of the scale {allowed} ({shown} on {of_all}); "
            "round them to grades for chance-corrected figures"
        )
    low, high = int(values.min()), int(values.max())
    return (
        f"its grades go from {low} to {high} and the scale is {allowed} ({shown} on {of_all}); "
        "set `scale` to one that both people and the judge use, or map its grades"
    )


def _probabilities(cells: pd.Series, scale: GradeScale, notes: list[str]) -> pd.Series:
    found = [_distribution(cell, scale.size) for cell in cells]
    given = sum(not (isinstance(cell, str) and not cell) and cell is not None for cell in cells)
    wrong = given - sum(row is not None for row in found)
    if wrong:
        notes.append(
            f"left out: {wrong} lists of probabilities that are not {scale.size} numbers of 0 "
            "to 1 that sum to 1"
        )
    return pd.Series(found, index=cells.index, dtype=object)


def _distribution(cell: Any, size: int) -> list[float] | None:
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            return None
    if not isinstance(cell, list | tuple | np.ndarray) or len(cell) != size:
        return None
    try:
        row = np.asarray(cell, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    total = float(row.sum())
    if not np.isfinite(row).all() or (row < 0).any() or abs(total - 1.0) > _SUM_TOLERANCE:
        return None
    return [float(value) for value in row / total]


def _share(cells: pd.Series, notes: list[str]) -> pd.Series:
    numbers = cells.map(_number).astype("float64")
    wrong = (numbers < 0) | (numbers > 1)
    if wrong.any():
        notes.append(f"left out: {int(wrong.sum())} confidences that are not between 0 and 1")
    return numbers.where(~wrong)


def _numbers(rows: pd.DataFrame, column: str) -> np.ndarray:
    if column not in rows:
        return np.zeros(0)
    numbers = rows[column].map(_number).to_numpy(dtype=np.float64)
    return numbers[np.isfinite(numbers) & (numbers >= 0)]


def join_judges(documents: pd.DataFrame, judges: Mapping[str, JudgeGrades]) -> pd.DataFrame:
    """The table of grades: one row a judged document, a few columns a judge.

    Returns:
        `documents` (columns query_id, document_id, human and facts for slices) and, for each
        judge in order, NAME_grade (Int64) or NAME_score, NAME_probabilities and NAME_confidence
        where it has them.
    """
    index = pd.MultiIndex.from_frame(documents[KEY])
    columns: dict[str, pd.Series] = {}
    for name, judge in judges.items():
        own = judge.table.set_index(KEY).reindex(index).set_index(documents.index)
        if judge.graded:
            columns[f"{name}_grade"] = own["value"].astype("Int64")
        else:
            columns[f"{name}_score"] = own["value"]
        if "probabilities" in own and judge.graded:
            lists = own["probabilities"]
            columns[f"{name}_probabilities"] = lists.where(lists.notna(), None)
        if "confidence" in own:
            columns[f"{name}_confidence"] = own["confidence"]
    return pd.concat([documents, pd.DataFrame(columns, index=documents.index)], axis=1)
