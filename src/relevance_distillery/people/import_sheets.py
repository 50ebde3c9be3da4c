"""Sheets that came back become grades: every row is checked against what was handed out."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.judgments import ACTIVE
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.files import named_paths
from relevance_distillery.io.tables import is_number, iter_lines
from relevance_distillery.io.trec import iter_qrels
from relevance_distillery.people.sheets import SKIP, UNJUDGED, quepid_query, unescape

_LISTED = 50
_DELIMITERS = ",;\t"

GRADE_COLUMNS = (
    *("query_id", "passage_id", "document_id", "annotator", "grade", "design", "unit"),
    *("inclusion_probability", "query", "style", "text_digest"),
)


def returned_files(filepath: str) -> list[Path]:
    """Sheets that came back, separated by `;`, each once; UserError where none was given."""
    files = named_paths(filepath)
    if not files:
        raise UserError('no sheet was given; name it with --params="sheet=FILE"')
    return list(dict.fromkeys(files))


@dataclass(frozen=True)
class Row:
    """One graded row.

    Attributes:
        where: File and row, as a spreadsheet counts rows (the header is the first), for messages.
        grade: As typed, without blanks around.
        annotator: Who graded; empty when one person or nobody in particular did.
        row_id: Its name in a spreadsheet, empty in the other formats.
        query: The query's text in Quepid's files, else empty.
        query_id, passage_id: As the file has them.
    """

    where: str
    grade: str
    annotator: str
    row_id: str = ""
    query: str = ""
    query_id: str = ""
    passage_id: str = ""


def read_rows(file: Path, annotator: str) -> Iterator[Row]:
    """Rows of a sheet that came back, graded by `annotator` where the file does not say.

    It is a spreadsheet saved as CSV (with commas, semicolons or tabs), Quepid's ratings of a case
    (`query,docid,rating`) or judgements of a book (`query,docid,RATER,…`), or TREC qrels.

    Raises:
        UserError: No such file, not UTF-8, or none of these formats.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such sheet; check the path")
    lines = [line for _, line in iter_lines(file, max_row_mb=20)]
    if not any(line.strip() for line in lines):
        raise UserError(f"{file}: is empty; give the sheet that was graded")
    words = lines[0].split()
    # Ids in qrels may hold commas; no CSV's header has a lone 0 as its second word.
    if len(words) == 4 and (words[1] == "0" or not set(lines[0]) & set(_DELIMITERS[:2])):
        for number, pair in iter_qrels(file):
            ids = {"query_id": pair["query_id"], "passage_id": pair["document_id"]}
            yield Row(f"{file}, row {number}", pair["grade"], annotator, **ids)
        return
    reader = csv.reader(
        io.StringIO("\n".join(lines)), delimiter=max(_DELIMITERS, key=lines[0].count), strict=True
    )
    try:
        # Rows, not lines: a cell may hold line breaks, and people look rows up in a spreadsheet.
        (_, titles), *rows = enumerate(([cell.strip() for cell in row] for row in reader), start=1)
    except csv.Error as error:
        raise UserError(f"{file}: is broken CSV; save it as CSV UTF-8 again") from error
    header = [title.casefold() for title in titles]
    table = [(f"{file}, row {number}", cells) for number, cells in rows if any(cells)]
    for where, cells in table:
        if any(cells[len(header) :]):
            raise UserError(f"{where}: has more cells than the header; correct the row")
        cells += [""] * (len(header) - len(cells))
    if {"row_id", "grade"} <= set(header):
        names = ("row_id", "query_id", "passage_id")
        for where, cells in table:
            row = {name: unescape(cell).strip() for name, cell in zip(header, cells, strict=False)}
            ids = {name: row.get(name, "") for name in names}
            yield Row(where, row["grade"], row.get("annotator") or annotator, **ids)
    elif header[:2] == ["query", "docid"] and len(header) > 2:
        raters = [annotator] if header[2:] == ["rating"] else titles[2:]
        for where, (query, passage_id, *grades) in table:
            text = " ".join(query.split())
            for rater, grade in zip(raters, grades, strict=False):
                yield Row(where, grade, rater, query=text, passage_id=passage_id)
    else:
        lacking = [name for name in ("row_id", "grade") if name not in header]
        raise UserError(
            f"{file}: lacks the column {' and '.join(lacking)}; give a sheet of "
            "`kedro run --pipeline=export_sheet`, Quepid's query,docid,rating, or TREC qrels"
        )


def import_sheets(
    files: Iterable[Path], sample: pd.DataFrame, scale: GradeScale
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Grades of sheets that came back.

    A grade is a number of the scale or a grade's name. Rows without one and rows with `?` are
    counted and listed, as are rows that say the same again. Of several files, a file's name is
    the annotator where its rows name none. `sample` is everything that was ever handed out,
    columns `people.sampling.SAMPLE_COLUMNS`.

    Returns:
        Columns `GRADE_COLUMNS`, a row a grade; and counts for people.

    Raises:
        UserError: A grade off the scale, an id that was never handed out or was edited, two
            grades by one annotator for one pair, two random samples at once, or no grade.
    """
    files = list(files)
    names = [file.stem for file in files]
    if len(files) == 1:
        names = [""]
    elif len(set(names)) < len(names):
        names = [f"{file.parent.name}/{file.stem}" for file in files]
    collected = _CollectedGrades(sample, scale)
    for file, name in zip(files, names, strict=True):
        collected.add_file(list(read_rows(file, name)))
    return collected.result(files)


class _CollectedGrades:
    """Collects grades by pair and annotator, and counts what is not a grade."""

    def __init__(self, sample: pd.DataFrame, scale: GradeScale) -> None:
        self.sample, self.scale = sample.set_index("row_id"), scale
        self.names = {grade.name.casefold(): grade.value for grade in scale.grades}
        self.allowed = set(scale.values.tolist())
        text = sample.astype(str)
        query = text["query"].map(lambda query: " ".join(quepid_query(query).split()))
        by_ids, by_text = [text["query_id"], text["passage_id"]], [query, text["passage_id"]]
        self.by_ids = text.groupby(by_ids)["row_id"].agg(list).to_dict()
        self.by_text = text.groupby(by_text)["row_id"].agg(list).to_dict()
        self.grades: dict[tuple[str, str, str], tuple[int, Row, set[str]]] = {}
        self.counts: Counter[str] = Counter()
        self.ungraded: dict[str, str] = {}
        self.touched: set[str] = set()

    def add_file(self, rows: list[Row]) -> None:
        """Rows of one sheet; without row ids it belongs to the newest sample that fits it all."""
        found = [self._handed_out(row) for row in rows]
        if not any(row.row_id for row in rows):
            fitting = set(self.sample["sample_id"])
            for row, ids in zip(rows, found, strict=True):
                fitting &= set(self.sample.loc[ids, "sample_id"])
                if not fitting:
                    raise UserError(
                        f"{row.where}: belongs to another sample than the rows before; give each "
                        "sheet as a file of its own"
                    )
            fits = self.sample["sample_id"].isin(fitting)
            newest = self.sample["sample_id"] == self.sample.loc[fits, "sample_id"].iloc[-1]
            found = [[name for name in ids if newest[name]] for ids in found]
        for row, ids in zip(rows, found, strict=True):
            self._add(row, ids)

    def _add(self, row: Row, ids: list[str]) -> None:
        self.counts["rows"] += 1
        self.touched.update(self.sample.loc[ids, "sample_id"])
        if row.grade in ("", SKIP) or (row.grade == UNJUDGED and -1 not in self.allowed):
            reason = "not graded" if row.grade != SKIP else "skipped by the grader"
            for name in ids:
                self.ungraded.setdefault(name, reason)
            return
        grade = self._grade(row)
        for name in ids:
            pair = self.sample.loc[name]
            key = (str(pair["query_id"]), str(pair["passage_id"]), row.annotator)
            known, first, handed_out = self.grades.setdefault(key, (grade, row, set()))
            if known != grade:
                raise UserError(
                    f"{row.where}: grade {grade}, but {first.where} has {known} for the same pair "
                    "by the same annotator; keep one of them, or name the annotators"
                )
            self.counts["repeated"] += first is not row
            handed_out.add(name)

    def _handed_out(self, row: Row) -> list[str]:
        """Ids of the handed-out rows that this one is about."""
        if not row.row_id:
            by = self.by_text if row.query else self.by_ids
            found = by.get((row.query or row.query_id, row.passage_id))
            if not found:
                raise UserError(
                    f"{row.where}: this query and document were never handed out together; remove "
                    "the row, or import where the sheet was exported"
                )
            return found
        if row.row_id not in self.sample.index:
            raise UserError(
                f"{row.where}: the row_id was never handed out; restore it, or import where the "
                "sheet was exported"
            )
        pair = self.sample.loc[row.row_id]
        for name, given in (("query_id", row.query_id), ("passage_id", row.passage_id)):
            if given and not _same(given, str(pair[name])):
                raise UserError(
                    f"{row.where}: {name} and row_id do not belong together; an id was edited or "
                    "columns were sorted apart: restore them"
                )
        return [row.row_id]

    def _grade(self, row: Row) -> int:
        if row.grade.casefold() in self.names:
            return self.names[row.grade.casefold()]
        number = row.grade.replace(",", ".")
        if not is_number(number) or float(number) not in self.allowed:
            names = ", ".join(f"{grade.value} ({grade.name})" for grade in self.scale.grades)
            raise UserError(
                f"{row.where}: grade '{row.grade[:20]}' is not on the scale: give {names}, or "
                f"{SKIP} where you cannot tell"
            )
        return int(float(number))

    def result(self, files: list[Path]) -> tuple[pd.DataFrame, dict[str, Any]]:
        if not self.grades:
            raise UserError(
                f"{'; '.join(map(str, files))}: holds no grade in {self.counts['rows']} rows; fill "
                "in the column grade"
            )
        # Where a pair was both drawn and picked, the draw counts.
        order = self.sample.sort_values("design", key=lambda d: d == ACTIVE, kind="stable")
        place = dict(zip(order.index, range(len(order)), strict=True))
        chosen = [min(names, key=place.__getitem__) for _, _, names in self.grades.values()]
        drawn = self.sample.loc[chosen].reset_index()
        drawn["annotator"] = [annotator for _, _, annotator in self.grades]
        drawn["grade"] = [grade for grade, _, _ in self.grades.values()]
        samples = drawn.loc[drawn["design"] != ACTIVE, "sample_id"].nunique()
        if samples > 1:
            raise UserError(
                f"the sheets belong to {samples} random samples, whose inclusion probabilities do "
                "not add up; import one of them, with any active ones"
            )
        table = drawn[list(GRADE_COLUMNS)]
        return table, self._report(files, table)

    def _report(self, files: list[Path], table: pd.DataFrame) -> dict[str, Any]:
        handed_out = self.sample.index[self.sample["sample_id"].isin(self.touched)]
        graded = {name for _, _, names in self.grades.values() for name in names}
        missing = [str(name) for name in handed_out if name not in graded]
        reasons = Counter(self.ungraded.get(name, "row removed from the sheet") for name in missing)
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
            "handed_out": len(handed_out),
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
