"""Few-shot examples of an LLM judge: graded pairs that the benchmark does not know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.llm.prompts import boundary_of
from relevance_distillery.text.terms import Analyzer

_NEEDED = ("query", "text", "grade")
_SAME_QUERY = 0.8
"""Jaccard similarity of stems from which two queries count as the same, as in distillation."""


class Example(BaseModel):
    """One graded pair that is shown to the model.

    Attributes:
        query, title, text: The pair; the title may be empty.
        grade: A value of the scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str
    text: str
    grade: int
    title: str = ""

    def fields(self, redact: Callable[[str], str]) -> dict[str, str | int]:
        """What a prompt may refer to: the parts, redacted, and the code of their markers."""
        query, title, text = (redact(part) for part in (self.query, self.title, self.text))
        return {
            "query": query,
            "title": title,
            "text": text,
            "grade": self.grade,
            "boundary": boundary_of(query, title, text),
        }


def read_examples(path: Path, scale: GradeScale) -> list[Example]:
    """Examples from a file.

    Args:
        path: CSV, TSV or JSONL with query, text, grade and, where there are any, title.
        scale: The grades that they may have.

    Raises:
        UserError: The file is missing or unreadable, lacks a column, or a row is incomplete or
            has a grade that the scale does not have; names the row, never its text.
    """
    if not path.is_file():
        raise UserError(f"labeling.llm.examples: {path}: no such file; check the path")
    table = _read(path)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; examples need query, text, grade")
    examples = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        query, text, title = (str(row.get(name, "")).strip() for name in ("query", "text", "title"))
        if not query or not text:
            raise UserError(f"{path}, example {number}: query or text is empty; fill it in")
        grade = pd.to_numeric(str(row["grade"]), errors="coerce")
        if pd.isna(grade) or float(grade) not in scale.values.tolist():
            raise UserError(
                f"{path}, example {number}: its grade is not on the scale {scale.values.tolist()}"
            )
        examples.append(Example(query=query, text=text, title=title, grade=int(grade)))
    return examples


def refuse_benchmark(examples: Iterable[Example], queries: Iterable[str], language: str) -> None:
    """Examples must come from validation data: the benchmark measures what they teach.

    Args:
        examples: What the model would be shown.
        queries: Texts of the benchmark's queries.
        language: For stemming.

    Raises:
        UserError: An example asks what the benchmark asks.
    """
    analyzer = Analyzer(language)
    known = [(_plain(text), frozenset(analyzer.terms(text))) for text in queries]
    for number, example in enumerate(examples, start=1):
        plain, terms = _plain(example.query), frozenset(analyzer.terms(example.query))
        if any(
            plain == other
            or (terms | others and len(terms & others) >= _SAME_QUERY * len(terms | others))
            for other, others in known
        ):
            raise UserError(
                f"labeling.llm.examples: the query of example {number} is one of the benchmark's; "
                "take examples from validation data"
            )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _read(path: Path) -> pd.DataFrame:
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise UserError(f"{path}: examples are read from .csv, .tsv or .jsonl")
    try:
        if kind == ".jsonl":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            return pd.DataFrame([json.loads(line) for line in lines if line.strip()]).fillna("")
        return pd.read_csv(
            path,
            sep="\t" if kind == ".tsv" else ",",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError, AttributeError) as error:
        # A parser's message may quote the file's content, which is confidential.
        raise UserError(
            f"{path}: cannot be read as {kind} ({type(error).__name__}); check that it is UTF-8 "
            "and complete"
        ) from error
