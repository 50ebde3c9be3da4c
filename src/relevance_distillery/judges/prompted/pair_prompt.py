"""The grading prompt filled in with pairs and few-shot examples, for judges that read one."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest, json_digest
from relevance_distillery.io.tables import iter_records
from relevance_distillery.learning.splits import NearDuplicates
from relevance_distillery.llm.prompts import Messages, Prompt, boundary_of
from relevance_distillery.llm.redaction import load_redactor
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.terms import PASSAGE_FIELDS, analyzer
from relevance_distillery.text.words import normalised

PROMPT_REQUIRES = ("query", "document.text", "scale")
PROMPT_ALLOWS = ("document", "examples")
"""The fields of a grading prompt; the catalog entry `grading_prompt` states the same."""

_COLUMNS = ("query", *PASSAGE_FIELDS, "document_id")
_EXAMPLE_COLUMNS = ("query", "text", "grade")


class Example(StrictModel):
    """One graded pair that is shown to the model; the title may be empty."""

    query: str
    text: str
    grade: int
    title: str = ""

    def fields(self, redact: Callable[[str], str]) -> dict[str, str | int]:
        """What a prompt may refer to: the parts, redacted, and the code of their markers."""
        parts = {name: redact(getattr(self, name)) for name in ("query", "title", "text")}
        return parts | {"grade": self.grade, "boundary": boundary_of(*parts.values())}


class PairPrompt:
    """A prompt with all that is the same for every pair: scale, examples, redaction.

    `hash` changes with any of them; `name` is that of the prompt's file.
    """

    def __init__(
        self,
        prompt: Prompt,
        scale: GradeScale,
        examples: Iterable[Example] = (),
        redact: str | None = None,
    ) -> None:
        """Render a made-up pair, so that a misspelt field shows now as a UserError.

        `redact` is a `package.module:function`, applied to every text of a pair and an example.
        """
        self._prompt, self._redacted_by = prompt, redact
        self.name = Path(prompt.name).name
        self._examples = tuple(examples)
        # A passage occurs in the pairs of many queries.
        self._redact = lru_cache(maxsize=4096)(load_redactor(redact))
        self._scale = scale.model_dump()
        self._shown = [example.fields(self._redact) for example in self._examples]
        self.hash = json_digest([prompt.hash, self._shown, redact])
        self.render(dict.fromkeys(_COLUMNS, "probe"))

    def render(self, row: Mapping[str, str]) -> Messages:
        """The messages for one pair, from `rows`."""
        query = self._redact(row["query"])
        document = {name: row[name] and self._redact(row[name]) for name in PASSAGE_FIELDS}
        return self._prompt.render(
            query=query,
            document=document,
            scale=self._scale,
            examples=self._shown,
            boundary=boundary_of(query, *document.values()),
        )

    def all(self, pairs: pd.DataFrame) -> Iterator[Messages]:
        """The messages for every pair, in order."""
        return map(self.render, rows(pairs))

    def to_state(self) -> dict[str, Any]:
        """Everything that `from_state` needs, as plain JSON values, without a path."""
        return {
            "name": self.name,
            "source": self._prompt.source,
            "examples": [example.model_dump() for example in self._examples],
            "redact": self._redacted_by,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], scale: GradeScale) -> Self:
        """The prompt that wrote `state`."""
        return cls(
            Prompt(state["source"], state["name"], PROMPT_REQUIRES, PROMPT_ALLOWS),
            scale,
            [Example.model_validate(row) for row in state["examples"]],
            state["redact"],
        )


def rows(pairs: pd.DataFrame) -> Iterator[dict[str, str]]:
    """The texts and the document's id of every pair; what is missing is empty."""
    for values in zip(*(pairs[name] for name in _COLUMNS), strict=True):
        yield {
            name: value if isinstance(value, str) else ""
            for name, value in zip(_COLUMNS, values, strict=True)
        }


def request_hash(messages: Messages, own: str) -> str:
    """A ledger key: of what is asked, and of `own`, all that the judge is."""
    return hex_digest(json.dumps([own, list(messages)]), 16)


def read_examples(path: Path, scale: GradeScale) -> list[Example]:
    """Few-shot examples from a CSV, TSV or JSONL file with query, text, grade and maybe title.

    UserError where the file is missing or unreadable, lacks a column, or a row is incomplete or
    has a grade that the scale does not have; it names the row, never its text.
    """
    if not path.is_file():
        raise UserError(f"labeling.llm.examples: {path}: no such file; check the path")
    examples = []
    for number, (_, row) in enumerate(iter_records(path), start=1):
        missing = [name for name in _EXAMPLE_COLUMNS if name not in row]
        if missing:
            raise UserError(
                f"{path}: no column {', '.join(missing)}; examples need query, text, grade"
            )
        query, text, title = (
            "" if row.get(name) is None else str(row[name]).strip()
            for name in ("query", "text", "title")
        )
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
    """UserError where an example asks what one of `queries`, the benchmark's, asks.

    Examples must come from validation data: the benchmark measures what they teach.
    """
    asked = list(queries)
    same, near = set(map(normalised, asked)), NearDuplicates(asked, analyzer(language).terms, 0.8)
    for number, example in enumerate(examples, start=1):
        if normalised(example.query) in same or near.holds(example.query):
            raise UserError(
                f"labeling.llm.examples: the query of example {number} is one of the benchmark's; "
                "take examples from validation data"
            )
