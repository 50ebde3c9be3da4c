"""Files of grades: BEIR's and TREC's qrels, CSV, Parquet, in whatever column names they use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.documents.reading import iter_lines, iter_records, table_kind
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.benchmarks.inclusion import RowFacts, probability_of
from relevance_distillery.grading import GradeScale

ALIASES: dict[str, tuple[str, ...]] = {
    "query_id": ("query_id", "query-id", "qid", "topic"),
    "document_id": ("document_id", "corpus-id", "doc_id", "docid", "docno"),
    "grade": ("grade", "score", "relevance", "rel", "label"),
    "annotator": ("annotator", "rater", "assessor"),
    "query": ("query", "query_text", "text"),
    "style": ("style",),
    "passage_id": ("passage_id",),
    "design": ("design",),
    "unit": ("unit",),
    "inclusion_probability": ("inclusion_probability",),
    "text_digest": ("text_digest",),
}
"""Column names that are understood, the first found counts."""


@dataclass(frozen=True)
class GradeFile:
    """What a file of grades holds.

    Attributes:
        grades: Columns query_id, document_id, annotator, grade; one row a grade. Where the
            file has a column passage_id, passages were graded and their ids stand in
            document_id.
        texts: Query texts by query id, empty where the file has none.
        repeated: How many rows said again what an earlier row had said.
        styles: Styles of queries by query id, where the file has them.
        facts: How each (query, document) was chosen, where the file says so.
        passages: Passages were graded.
        drawn: The file has a column inclusion_probability or design.
    """

    grades: pd.DataFrame
    texts: dict[str, str]
    repeated: int
    styles: dict[str, str] = field(default_factory=dict)
    facts: dict[tuple[str, str], RowFacts] = field(default_factory=dict)
    passages: bool = False
    drawn: bool = False


def read_grades(path: Path, scale: GradeScale) -> GradeFile:
    """Read a file of grades.

    Args:
        path: TREC qrels (query, iteration, document, grade, no header), or a `.tsv`, `.csv`,
            `.jsonl` (each also `.gz`) or `.parquet` table with the columns of `ALIASES`;
            query_id may be absent where the query's text is given.
        scale: The grades that are allowed, as numbers or by their names.

    Raises:
        UserError: No such file, a column is missing, an id is empty, a grade is not on the
            scale, or two rows contradict each other; the message names the file and the row.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of grades; check the path")
    grades = _Grades(path, scale)
    for number, row in _rows(path):
        grades.add(number, row)
    if not grades.seen:
        raise UserError(f"{path}: holds no grades; give at least one")
    return grades.result()


class _Grades:
    """Collects rows and refuses what contradicts or does not fit the scale."""

    def __init__(self, path: Path, scale: GradeScale) -> None:
        self.path, self.scale = path, scale
        self.names = {grade.name.casefold(): grade.value for grade in scale.grades}
        self.allowed = set(scale.values.tolist())
        self.seen: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.texts: dict[str, str] = {}
        self.repeated = 0
        self.styles: dict[str, str] = {}
        self.facts: dict[tuple[str, str], RowFacts] = {}
        self.passages: bool | None = None
        self.drawn = False

    def add(self, number: int, row: dict[str, Any]) -> None:
        text = _text(row.get("query"))
        query_id = _text(row.get("query_id")) or text
        document_id = self._graded_id(number, row)
        for name, value in (("query", query_id), ("document", document_id)):
            if not value:
                raise UserError(f"{self.path}, row {number}: empty {name} id; correct the row")
        grade = self._grade(number, row.get("grade"))
        key = (query_id, document_id, _text(row.get("annotator")))
        before = self.seen.setdefault(key, (grade, number))
        if before[0] != grade:
            raise UserError(
                f"{self.path}, rows {before[1]} and {number}: grades {before[0]} and {grade} "
                f"for the same pair (document {document_id[:80]}); keep one of them"
            )
        self.repeated += before[1] != number
        self._note(number, row, key[:2])
        if text:
            known = self.texts.setdefault(query_id, text)
            if known != text:
                raise UserError(
                    f"{self.path}, row {number}: query id {query_id[:80]} has another text "
                    "than before; give every query its own id"
                )

    def _graded_id(self, number: int, row: dict[str, Any]) -> str:
        """The passage's id where passages were graded, else the document's."""
        passage = _text(row.get("passage_id"))
        if self.passages is None:
            self.passages = bool(passage)
        if self.passages != bool(passage):
            raise UserError(
                f"{self.path}, row {number}: some rows name a passage_id and some do not; "
                "give passages and documents in two files"
            )
        return passage or _text(row.get("document_id"))

    def _note(self, number: int, row: dict[str, Any], pair: tuple[str, str]) -> None:
        """Keeps how the pair was chosen and what it belongs to."""
        self.drawn = self.drawn or bool({"inclusion_probability", "design"} & set(row))
        probability = probability_of(row.get("inclusion_probability"))
        if probability is None:
            raise UserError(
                f"{self.path}, row {number}: the inclusion probability is no number above 0 and "
                "up to 1; restore it, or leave the cell empty for a pair that was not drawn"
            )
        self.facts[pair] = RowFacts(
            document_id=_text(row.get("document_id")),
            design=_text(row.get("design")),
            unit=_text(row.get("unit")),
            probability=probability,
            digest=_text(row.get("text_digest")),
        )
        style = _text(row.get("style"))
        if style:
            self.styles[pair[0]] = style

    def _grade(self, number: int, value: Any) -> int:
        word = _text(value)
        if word.casefold() in self.names:
            return self.names[word.casefold()]
        try:
            grade = float(word)
        except ValueError:
            grade = float("nan")
        if grade not in self.allowed:
            raise UserError(
                f"{self.path}, row {number}: grade '{word[:20]}' is not on the scale "
                f"{sorted(self.allowed)}; correct the row or set another scale"
            )
        return int(grade)

    def result(self) -> GradeFile:
        table = pd.DataFrame(
            [(*key, grade) for key, (grade, _) in self.seen.items()],
            columns=["query_id", "document_id", "annotator", "grade"],
        ).astype({"query_id": str, "document_id": str, "annotator": str, "grade": "int64"})
        return GradeFile(
            grades=table,
            texts=self.texts,
            repeated=self.repeated,
            styles=self.styles,
            facts=self.facts,
            passages=bool(self.passages),
            drawn=self.drawn,
        )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with the column names of `ALIASES`' keys."""
    if _is_trec(path):
        for number, line in iter_lines(path):
            cells = line.split()
            if not cells:
                continue
            if len(cells) != 4:
                raise UserError(
                    f"{path}, row {number}: {len(cells)} cells where TREC qrels have 4 "
                    "(query, iteration, document, grade); correct the row"
                )
            yield number, {"query_id": cells[0], "document_id": cells[2], "grade": cells[3]}
        return
    columns: dict[str, str] | None = None
    for number, record in iter_records(path):
        if columns is None or not set(columns.values()) <= set(record):
            columns = _columns(path, record)
        yield number, {name: record.get(given) for name, given in columns.items()}


def _is_trec(path: Path) -> bool:
    """Four cells and no header in the first line, whatever the suffix."""
    kind = table_kind(path)
    if kind in ("jsonl", "parquet", "csv"):
        return False
    for _, line in iter_lines(path):
        cells = line.split()
        if cells:
            return len(cells) == 4 and cells[3].lstrip("-").isdigit()
    return not kind


def _columns(path: Path, record: dict[str, Any]) -> dict[str, str]:
    found = {
        name: next(alias for alias in aliases if alias in record)
        for name, aliases in ALIASES.items()
        if any(alias in record for alias in aliases)
    }
    missing = [name for name in ("document_id", "grade") if name not in found]
    if "passage_id" in found and "document_id" in missing:
        missing.remove("document_id")
    if "query_id" not in found and "query" not in found:
        missing.append("query (or query_id)")
    if missing:
        given = ", ".join(str(name)[:40] for name in list(record)[:20])
        raise UserError(f"{path}: needs the column {' and '.join(missing)}; has {given}")
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
