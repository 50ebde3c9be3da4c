"""People's grades: read from files, joined over annotators, weighted where they are a sample.

A pair that was drawn with inclusion probability π stands for 1 / π pairs (Horvitz and
Thompson, 1952). Pairs that were picked because judges were uncertain were not drawn at random:
they have no such probability and say nothing about the rest, so they never evaluate.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.io.tables import cell_text, is_number, table_kind
from relevance_distillery.io.trec import Columns, grade_rows

KEY = ["query_id", "document_id"]
"""Columns that name a judged pair."""

Contradictions = Literal["refuse", "leave out"]

_FACTS = {"inclusion_probability", "design", "unit", "text_digest"}
_SHOWN = 5

UNGRADED = ("", "nan", "none", "null", "na", "n/a", "<na>")
"""What tools write into a cell without a grade."""

logger = logging.getLogger(__name__)

ACTIVE = "active"
"""The design of pairs that were picked where judges were uncertain."""


@dataclass(frozen=True)
class RowFacts:
    """What a file of grades says about one pair besides its grade.

    Attributes:
        document_id: The document of a graded passage; empty where documents were graded.
        design: How the pair was chosen; empty where the file does not say.
        unit: `query` where whole queries were drawn, `pair` for single pairs.
        probability: Its inclusion probability, nan where there is none.
        digest: Of the text that was graded, empty where the file does not say.
    """

    document_id: str = ""
    design: str = ""
    unit: str = ""
    probability: float = math.nan
    digest: str = ""

    @property
    def estimates(self) -> bool:
        """The pair may stand for others."""
        return self.design != ACTIVE and math.isfinite(self.probability)


@dataclass(frozen=True)
class Sampled:
    """How graded pairs were drawn: `whole_queries`, with all their pairs, or one by one.

    `weights` has the columns query_id, document_id, weight: 1 / inclusion probability.
    """

    weights: pd.DataFrame
    whole_queries: bool


@dataclass
class GradeFile:
    """What a file of grades holds.

    Attributes:
        grades: Columns query_id, document_id, annotator, grade; one row a grade. Where the
            file has a column passage_id, passages were graded and their ids are in
            document_id.
        texts: Query texts by query id, empty where the file has none.
        repeated: How many rows said again what an earlier row had said.
        styles: Styles of queries by query id, where the file has them.
        facts: How each (query, document) was chosen, where the file says so.
        passages: Passages were graded.
        drawn: The file has a column inclusion_probability or design.
        contradicting: The (query, document) with two different grades by the same person,
            which were left out.
        ungraded: How many rows hold no grade, and were left out.
        junk: How many grades below 0 count as the lowest.
    """

    grades: pd.DataFrame = field(default_factory=pd.DataFrame)
    texts: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    styles: dict[str, str] = field(default_factory=dict)
    facts: dict[tuple[str, str], RowFacts] = field(default_factory=dict)
    passages: bool = False
    drawn: bool = False
    contradicting: tuple[tuple[str, str], ...] = ()
    junk: int = 0
    ungraded: int = 0


def read_grades(
    path: Path,
    scale: GradeScale | None,
    columns: Columns | None = None,
    contradictions: Contradictions = "refuse",
    collector: "type[GradeCollector] | None" = None,
) -> GradeFile:
    """Read a file of people's grades, or of others with their `collector`.

    Path and columns are as in `trec.grade_rows`; query_id may be absent where a query's text is.
    Grades are numbers of the scale or their names, any whole number without one. TREC marks junk by
    -1 and -2: in qrels these are the lowest grade, unless the scale has them. `contradictions` says
    what happens to a pair with two different grades by the same person.

    Raises:
        UserError: No such file, a column is missing, an id is empty, a grade is not on the
            scale, or two rows contradict each other; the message names the file and the row.
    """
    has_header = table_kind(path) in ("csv", "jsonl", "parquet")
    collects = (collector or GradeCollector)(path, scale, contradictions, junk=not has_header)
    return collects.collect(grade_rows(path, columns))


class GradeCollector:
    """Collects rows as `trec.grade_rows` gives them and refuses what does not fit the scale.

    Arguments and errors as `read_grades`; `where` is the rows' file, for messages, and with `junk`
    whole numbers below 0 are the lowest grade.
    """

    advice = "set `scale` (whole numbers) in conf/local/globals.yml to the people's own"
    """What else than correcting the rows helps where grades are not on the scale."""

    def __init__(
        self,
        where: Path | str,
        scale: GradeScale | None,
        contradictions: Contradictions = "refuse",
        junk: bool = False,
    ) -> None:
        self.where, self.contradictions = where, contradictions
        grades = () if scale is None else scale.grades
        self.names = {grade.name.casefold(): grade.value for grade in grades}
        self.allowed = {grade.value for grade in grades}
        self.junk_allowed = junk and scale is not None and min(self.allowed) >= 0
        self.file = GradeFile()
        self.seen: dict[tuple[str, str, str], tuple[float, int]] = {}
        self.contradicting: dict[tuple[str, str, str], None] = {}
        self.off_scale: list[tuple[int, str]] = []
        self.passages: bool | None = None

    def collect(self, rows: Iterable[tuple[int, dict[str, Any]]]) -> GradeFile:
        """The grades of all rows of a file."""
        for number, row in rows:
            self._add(number, row)
        if self.file.ungraded:
            logger.warning("%s: rows without a grade, left out: %d", self.where, self.file.ungraded)
        return self._result()

    def _add(self, number: int, row: dict[str, Any]) -> None:
        if cell_text(row.get("grade")).casefold() in UNGRADED:
            # A task that somebody passed over, a query without a hit.
            self.file.ungraded += 1
            return
        text = cell_text(row.get("query"))
        query_id = cell_text(row.get("query_id")) or text
        document_id = self._graded_id(number, row)
        for name, value in (("query", query_id), ("document", document_id)):
            if not value:
                raise UserError(f"{self.where}, row {number}: empty {name} id; correct the row")
        grade = self._grade(number, row.get("grade"))
        key = (query_id, document_id, cell_text(row.get("annotator")))
        before = self.seen.setdefault(key, (grade, number))
        if before[0] != grade:
            if self.contradictions == "refuse":
                raise UserError(
                    f"{self.where}, rows {before[1]} and {number}: grades {before[0]} and {grade} "
                    f"for the same pair (document {document_id[:80]}); keep one of them"
                )
            self.contradicting[key] = None
        else:
            self.file.repeated += before[1] != number
        self._note(number, row, key[:2])
        if text and self.file.texts.setdefault(query_id, text) != text:
            raise UserError(
                f"{self.where}, row {number}: query id {query_id[:80]} has another text "
                "than before; give every query its own id"
            )

    def _graded_id(self, number: int, row: dict[str, Any]) -> str:
        passage = cell_text(row.get("passage_id"))
        if self.passages is None:
            self.passages = bool(passage)
        if self.passages != bool(passage):
            raise UserError(
                f"{self.where}, row {number}: some rows name a passage_id and some do not; "
                "give passages and documents in two files"
            )
        return passage or cell_text(row.get("document_id"))

    def _note(self, number: int, row: dict[str, Any], pair: tuple[str, str]) -> None:
        """Keeps how the pair was chosen and what it belongs to."""
        if style := cell_text(row.get("style")):
            self.file.styles[pair[0]] = style
        if _FACTS.isdisjoint(row) and not self.passages:
            return
        self.file.drawn |= not {"inclusion_probability", "design"}.isdisjoint(row)
        text = cell_text(row.get("inclusion_probability")).replace(",", ".")
        probability = float(text) if is_number(text) else math.nan
        if text.casefold() not in ("", "nan", "none") and not 0.0 < probability <= 1.0:
            raise UserError(
                f"{self.where}, row {number}: the inclusion probability is no number above 0 and "
                "up to 1; restore it, or leave the cell empty for a pair that was not drawn"
            )
        self.file.facts[pair] = RowFacts(
            document_id=cell_text(row.get("document_id")),
            design=cell_text(row.get("design")),
            unit=cell_text(row.get("unit")),
            probability=probability,
            digest=cell_text(row.get("text_digest")),
        )

    def _grade(self, number: int, value: Any) -> float:
        word = cell_text(value)
        if word.casefold() in self.names:
            return self.names[word.casefold()]
        grade = float(word) if is_number(word) else math.nan
        if grade in self.allowed or (not self.allowed and grade.is_integer()):
            return int(grade)
        if not self.allowed:
            raise UserError(
                f"{self.where}, row {number}: the grade {word[:20]!r} is not a whole number; "
                "correct it"
            )
        if self.junk_allowed and grade < 0 and grade.is_integer():
            self.file.junk += 1
        else:
            self.off_scale.append((number, word))  # `_result` refuses
        return min(self.allowed)

    def _result(self) -> GradeFile:
        if self.off_scale:
            shown = self.off_scale[:_SHOWN]
            numbers = ", ".join(str(number) for number, _ in shown)
            more = len(self.off_scale) - len(shown)
            words = ", ".join(dict.fromkeys(f"'{word[:20]}'" for _, word in shown))
            several = len(self.off_scale) > 1
            raise UserError(
                f"{self.where}, row{'s' * several} {numbers}{f' and {more} more' * bool(more)}: "
                f"grade{'s' * several} {words} {'are' if several else 'is'} not on the scale "
                f"{sorted(self.allowed)}; correct the row{'s' * several} or {self.advice}"
            )
        if not self.seen:
            raise UserError(f"{self.where}: holds no grades; give at least one")
        kept = [(*k, grade) for k, (grade, _) in self.seen.items() if k not in self.contradicting]
        if not kept:
            raise UserError(
                f"{self.where}: each of its {len(self.seen)} pairs has two different grades; "
                "keep one of them"
            )
        self.file.grades = pd.DataFrame(kept, columns=[*KEY, "annotator", "grade"]).astype(
            {"query_id": str, "document_id": str, "annotator": str}
        )
        self.file.passages = bool(self.passages)
        self.file.contradicting = tuple(dict.fromkeys(key[:2] for key in self.contradicting))
        return self.file


def sampled(facts: dict[tuple[str, str], RowFacts]) -> Sampled:
    """Weights of the pairs, by query and document, that may stand for others."""
    rows = [(*key, 1.0 / row.probability) for key, row in facts.items() if row.estimates]
    units = {row.unit for row in facts.values() if row.estimates}
    table = pd.DataFrame(rows, columns=["query_id", "document_id", "weight"])
    return Sampled(
        table.astype({"query_id": str, "document_id": str, "weight": "float64"}), units == {"query"}
    )


def lower_median(grades: pd.DataFrame) -> pd.DataFrame:
    """The lower median of each pair's grades: query_id, document_id, grade, a row a pair.

    Pairs stay in order of first appearance.
    """
    groups = grades.groupby(KEY, sort=False)["grade"]
    lower = groups.quantile(0.5, interpolation="lower").astype(grades["grade"].dtype)
    return lower.reset_index()


def consensus(grades: pd.DataFrame) -> pd.DataFrame:
    """The consensus rows (annotator empty); for pairs without one, the raters' lower median."""
    agreed = grades[grades["annotator"] == ""]
    both = pd.concat([agreed, lower_median(grades).assign(annotator="")], ignore_index=True)
    return both.drop_duplicates(KEY).reset_index(drop=True)


def graded_text_digest(title: str, heading: str, text: str) -> str:
    """Twelve hexadecimal digits of what a grader read, to notice that it changed since."""
    return hex_digest("\x1f".join((title, heading, text)))
