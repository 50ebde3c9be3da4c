"""A grading prompt filled in with pairs: what judges that read instructions are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest, json_digest
from relevance_distillery.judges.prompted.examples import Example
from relevance_distillery.llm.prompts import Messages, Prompt, boundary_of
from relevance_distillery.llm.redaction import load_redactor

DOCUMENT_FIELDS = ("title", "heading", "path", "author", "modified", "text")
PROMPT_REQUIRES = ("query", "document.text", "scale")
PROMPT_ALLOWS = ("document", "examples")
"""The fields of a grading prompt; the catalog entry `grading_prompt` states the same."""

_COLUMNS = ("query", *DOCUMENT_FIELDS, "document_id")


class PairPrompt:
    """A prompt with all that is the same for every pair: scale, examples, redaction.

    Attributes:
        hash: Changes with any of them.
    """

    def __init__(
        self,
        prompt: Prompt,
        scale: GradeScale,
        examples: Iterable[Example] = (),
        redact: str | None = None,
    ) -> None:
        """Render a made-up pair, so that a misspelt field shows now.

        Args:
            prompt: The template.
            scale: The grades, which the template states.
            examples: Few-shot examples.
            redact: `package.module:function`, applied to every text of a pair and an example.

        Raises:
            UserError: The prompt cannot be rendered, or the function cannot be used.
        """
        self._prompt, self._redacted_by = prompt, redact
        self._examples = tuple(examples)
        # A passage stands in the pairs of many queries.
        self._redact = lru_cache(maxsize=4096)(load_redactor(redact))
        self._scale = scale.model_dump()
        self._shown = [example.fields(self._redact) for example in self._examples]
        self.hash = _digest([prompt.hash, self._shown, redact])
        self.render(dict.fromkeys(_COLUMNS, "probe"))

    def render(self, row: Mapping[str, str]) -> Messages:
        """The messages for one pair, from `rows`."""
        query = self._redact(row["query"])
        document = {name: row[name] and self._redact(row[name]) for name in DOCUMENT_FIELDS}
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
            "name": Path(self._prompt.name).name,
            "source": self._prompt.source,
            "examples": [example.model_dump() for example in self._examples],
            "redact": self._redacted_by,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], scale: GradeScale) -> PairPrompt:
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


def _digest(value: Any) -> str:
    return json_digest(value)
