"""Sheets that came back become grades: every row is checked against what was handed out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.judgments import ACTIVE
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.people.returned_sheets import Row, read_rows
from relevance_distillery.people.sheets import SKIP, UNJUDGED, quepid_query

_LISTED = 50

GRADE_COLUMNS = (
    "query_id",
    "passage_id",
    "document_id",
    "annotator",
    "grade",
    "design",
    "unit",
    "inclusion_probability",
    "query",
    "style",
    "text_digest",
)


def import_sheets(
    files: Iterable[Path], sample: pd.DataFrame, scale: GradeScale
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Grades of sheets that came back.

    A grade is a number of the scale or a grade's name. Rows without one and rows with `?` are
    counted and listed, as are rows that say the same again.

    Args:
        files: The sheets; of several, a file's name is the annotator where its rows name none.
        sample: Everything that was ever handed out, columns `people.sampling.SAMPLE_COLUMNS`.
        scale: The grades.

    Returns:
        Columns `GRADE_COLUMNS`, a row a grade; and counts for people.

    Raises:
        UserError: A grade off the scale, an id that was never handed out or was edited, two
            grades by one annotator for one pair, two random samples at once, or no grade.
    """
    files = list(files)
    book = _Book(sample, scale)
    for file, name in zip(files, _annotators(files), strict=True):
        book.add_file(list(read_rows(file, name)))
    return book.result(files)


def _annotators(files: list[Path]) -> list[str]:
    """Nobody in particular for one file; else the files' names, with folders where alike."""
    if len(files) < 2:
        return [""] * len(files)
    names = [file.stem for file in files]
    if len(set(names)) == len(names):
        return names
    return [f"{file.parent.name}/{file.stem}" for file in files]


class _Book:
    """Collects grades by pair and annotator, and counts what is not a grade."""

    def __init__(self, sample: pd.DataFrame, scale: GradeScale) -> None:
        self.sample, self.scale = sample.set_index("row_id"), scale
        self.names = {grade.name.casefold(): grade.value for grade in scale.grades}
        self.allowed = set(scale.values.tolist())
        self.by_ids: dict[tuple[str, str], list[str]] = {}
        self.by_text: dict[tuple[str, str], list[str]] = {}
        for row in sample.itertuples():
            passage = str(row.passage_id)
            self.by_ids.setdefault((str(row.query_id), passage), []).append(str(row.row_id))
            text = " ".join(quepid_query(str(row.query)).split())
            self.by_text.setdefault((text, passage), []).append(str(row.row_id))
        self.grades: dict[tuple[str, str, str], tuple[int, Row, set[str]]] = {}
        self.counts: Counter[str] = Counter()
        self.open: dict[str, str] = {}
        self.touched: set[str] = set()

    def add_file(self, rows: list[Row]) -> None:
        """Rows of one sheet; without row ids it belongs to the newest sample that fits it all."""
        found = [self._handed_out(row) for row in rows]
        if not any(row.row_id for row in rows):
            holds: set[str] | None = None
            for row, ids in zip(rows, found, strict=True):
                samples = set(self.sample.loc[ids, "sample_id"])
                holds = samples if holds is None else holds & samples
                if not holds:
                    raise UserError(
                        f"{row.file}, row {row.number}: belongs to another sample than the rows "
                        "before; give each sheet as a file of its own"
                    )
            newest = [one for one in self.sample["sample_id"] if one in (holds or ())][-1:]
            own = self.sample["sample_id"].isin(newest)
            found = [[name for name in ids if own[name]] for ids in found]
        for row, ids in zip(rows, found, strict=True):
            self._add(row, ids)

    def _add(self, row: Row, ids: list[str]) -> None:
        self.counts["rows"] += 1
        self.touched.update(self.sample.loc[ids, "sample_id"])
        if row.grade in ("", SKIP) or (row.grade == UNJUDGED and -1 not in self.allowed):
            kind = "not graded" if row.grade != SKIP else "skipped by the grader"
            self.counts[kind] += 1
            for name in ids:
                self.open.setdefault(name, kind)
            return
        grade = self._grade(row)
        for name in ids:
            pair = self.sample.loc[name]
            key = (str(pair["query_id"]), str(pair["passage_id"]), row.annotator)
            before = self.grades.setdefault(key, (grade, row, set()))
            if before[0] != grade:
                raise UserError(
                    f"{row.file}, row {row.number}: grade {grade}, but {before[1].file}, row "
                    f"{before[1].number} has {before[0]} for the same pair by the same annotator; "
                    "keep one of them, or name the annotators"
                )
            if before[1] is not row:
                self.counts["repeated"] += 1
            before[2].add(name)

    def _handed_out(self, row: Row) -> list[str]:
        """Ids of the handed-out rows that this one is about."""
        if row.row_id:
            if row.row_id not in self.sample.index:
                raise UserError(
                    f"{row.file}, row {row.number}: the row_id was never handed out; restore it, "
                    "or import where the sheet was exported"
                )
            pair = self.sample.loc[row.row_id]
            for name in ("query_id", "passage_id"):
                given = getattr(row, name)
                if given and not _same(given, str(pair[name])):
                    raise UserError(
                        f"{row.file}, row {row.number}: {name} and row_id do not belong together; "
                        "an id was edited or columns were sorted apart: restore them"
                    )
            return [row.row_id]
        found = (
            self.by_text.get((row.query, row.passage_id))
            if row.query
            else self.by_ids.get((row.query_id, row.passage_id))
        )
        if not found:
            raise UserError(
                f"{row.file}, row {row.number}: this query and document were never handed out "
                "together; remove the row, or import where the sheet was exported"
            )
        return found

    def _grade(self, row: Row) -> int:
        if row.grade.casefold() in self.names:
            return self.names[row.grade.casefold()]
        try:
            number = float(row.grade.replace(",", "."))
        except ValueError:
            number = float("nan")
        if number not in self.allowed:
            names = ", ".join(f"{grade.value} ({grade.name})" for grade in self.scale.grades)
            raise UserError(
                f"{row.file}, row {row.number}: grade '{row.grade[:20]}' is not on the scale: "
                f"give {names}, or {SKIP} where you cannot tell"
            )
        return int(number)

    def result(self, files: list[Path]) -> tuple[pd.DataFrame, dict[str, Any]]:
        if not self.grades:
            raise UserError(
                f"{'; '.join(map(str, files))}: holds no grade in {self.counts['rows']} rows; fill "
                "in the column grade"
            )
        drawn = pd.DataFrame([self._drawn(sorted(names)) for _, _, names in self.grades.values()])
        drawn["annotator"] = [annotator for _, _, annotator in self.grades]
        drawn["grade"] = [grade for grade, _, _ in self.grades.values()]
        table = drawn.reset_index(drop=True)[list(GRADE_COLUMNS)]
        self._one_random_sample(drawn)
        return table, self._report(files, table)

    def _drawn(self, names: list[str]) -> pd.Series:
        """How the pair was drawn; where it was both drawn and picked, the draw counts."""
        rows = self.sample.loc[names].reset_index()
        return rows.sort_values("design", key=lambda design: design == ACTIVE, kind="stable").iloc[
            0
        ]

    def _one_random_sample(self, drawn: pd.DataFrame) -> None:
        samples = drawn.loc[drawn["design"] != ACTIVE, "sample_id"].drop_duplicates()
        if len(samples) > 1:
            raise UserError(
                f"the sheets belong to {len(samples)} random samples, whose inclusion "
                "probabilities do not add up; import one of them, with any active ones"
            )

    def _report(self, files: list[Path], table: pd.DataFrame) -> dict[str, Any]:
        handed = self.sample[self.sample["sample_id"].isin(self.touched)]
        graded = {name for _, _, names in self.grades.values() for name in names}
        missing = [str(name) for name in handed.index if name not in graded]
        reasons = Counter(self.open.get(name, "row removed from the sheet") for name in missing)
        return {
            "files": [str(file) for file in files],
            "rows": self.counts["rows"],
            "grades": len(table),
            "pairs": len(table.drop_duplicates(["query_id", "passage_id"])),
            "annotators": sorted(set(table["annotator"]) - {""}),
            "by_design": {str(k): int(v) for k, v in table["design"].value_counts().items()},
            "by_grade": {
                str(value): int((table["grade"] == value).sum()) for value in sorted(self.allowed)
            },
            "repeated_rows": self.counts["repeated"],
            "handed_out": len(handed),
            "without_a_grade": len(missing),
            "without_a_grade_by_reason": dict(sorted(reasons.items())),
            "without_a_grade_rows": missing[:_LISTED],
        }


def _same(given: str, known: str) -> bool:
    """The same id, or the same number as a spreadsheet writes it (007 as 7, 1e5 as 100000)."""
    if given == known.strip():
        return True
    try:
        return float(given.replace(",", ".")) == float(known)
    except ValueError:
        return False
