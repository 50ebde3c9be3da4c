"""What a language model is asked for each passage, and how its answers are read."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.llm.prompts import Messages, Prompt, boundary_of
from relevance_distillery.llm.redaction import load_redactor, withheld
from relevance_distillery.llm.requests import ChatRequest, strict_json, without_fence
from relevance_distillery.llm.tokens import TokenCounter
from relevance_distillery.synthesizers.base import digest, hashed
from relevance_distillery.synthesizers.settings import STYLES, SynthesisLLMSettings, style_weights
from relevance_distillery.text.language import Language
from relevance_distillery.text.terms import PASSAGE_FIELDS

MAX_QUERY_LENGTH = 120
"""Longest query in characters; people type shorter ones, and a longer one is an answer."""

PROMPT_REQUIRES = ("document.text", "styles")
PROMPT_ALLOWS = ("document", "count", "persona", "language")
"""The fields of a query prompt; the catalog states the same."""

_DECODING = {"temperature", "seed", "max_output_tokens", "structured", "extra_body"}


@dataclass(frozen=True)
class QueryTask:
    """What a row of `passages` is asked for: a query in each style, by a persona or anybody."""

    row: Mapping[str, str]
    styles: tuple[str, ...]
    persona: str


class QueryRequests:
    """Makes the requests of an LLM synthesizer; sends nothing and needs no key.

    Styles and persona of a passage follow from the seed and its id. A request's hash is over
    the rendered messages, the model, the decoding options and the answer's schema; `prompt_hash`
    changes with prompt, styles, personas, redaction and decoding options.
    """

    def __init__(
        self,
        prompt: Prompt,
        settings: SynthesisLLMSettings,
        *,
        language: str,
        styles: Mapping[str, float],
    ) -> None:
        """UserError where style, language or model are missing, or prompt or redactor wrong."""
        if not settings.model:
            raise UserError(
                'synthesizer=llm has no model: name the server\'s with --params="model=NAME"'
            )
        self.model = settings.model
        self._prompt, self.settings = prompt, settings
        self._language, self._styles = Language(language).name, style_weights(styles)
        self._redact = lru_cache(maxsize=4096)(load_redactor(settings.redact))
        decoding = settings.model_dump(mode="json", include=_DECODING)
        self._own = json.dumps([self.model, decoding], sort_keys=True)
        wording = (dict(STYLES), self._styles, settings.personas, settings.redact)
        self.prompt_hash = digest(prompt.hash, wording, self._own)
        # A misspelt part of a field shows now, not after the first thousand passages.
        self._render(QueryTask(dict.fromkeys(PASSAGE_FIELDS, "probe"), (*self._styles,), "probe"))

    def withheld(self, passages: pd.DataFrame) -> np.ndarray:
        """True for passages that `never_send` keeps here, shape (passages,)."""
        return withheld(passages, self.settings.never_send)

    def tasks(self, seeds: pd.DataFrame, per_passage: int, seed: int) -> Iterator[QueryTask]:
        """What each seed passage is asked for, in their order, at most one query in each style."""
        names, weights = list(self._styles), np.array(list(self._styles.values()))
        columns = [*PASSAGE_FIELDS, "passage_id", "document_id"]
        for values in zip(*(seeds[name] for name in columns), strict=True):
            texts = (value if isinstance(value, str) else "" for value in values)
            row = dict(zip(columns, texts, strict=True))
            rng = np.random.default_rng(hashed(seed, "llm", row["passage_id"]))
            chosen = rng.choice(
                len(names), min(per_passage, len(names)), replace=False, p=weights / weights.sum()
            )
            persona = self.settings.personas[int(rng.integers(len(self.settings.personas)))]
            yield QueryTask(row, tuple(names[int(at)] for at in chosen), persona)

    def key(self, task: QueryTask) -> str:
        """The hash of the request for a task."""
        return self._hash(task, self._render(task))

    def requests(self, seeds: pd.DataFrame, per_passage: int, seed: int) -> Iterator[ChatRequest]:
        """What would be sent, passage by passage, whether it was answered before or not."""
        counter = TokenCounter.for_model(self.model)
        for task in self.tasks(seeds, per_passage, seed):
            messages = self._render(task)
            schema = answer_schema(task.styles)
            yield ChatRequest(
                key=self._hash(task, messages),
                messages=messages,
                schema=schema,
                max_output_tokens=self.settings.max_output_tokens,
                n_input_tokens=counter.count_messages(messages, schema),
            )

    def _render(self, task: QueryTask) -> Messages:
        document = {
            name: task.row[name] and self._redact(task.row[name]) for name in PASSAGE_FIELDS
        }
        document["file_name"] = PurePosixPath(document["path"]).name
        return self._prompt.render(
            document=document,
            styles=[{"name": name, "description": STYLES[name]} for name in task.styles],
            count=len(task.styles),
            persona=task.persona,
            language=self._language,
            boundary=boundary_of(*document.values()),
        )

    def _hash(self, task: QueryTask, messages: Messages) -> str:
        return hex_digest(json.dumps([self._own, messages, answer_schema(task.styles)]), 16)


@dataclass(frozen=True)
class QueryAnswer:
    """What an answer holds: (style, text) of queries that can be used, and how many were dropped.

    `reason` says why the whole answer is a failure, without its words; empty when it is none.
    """

    queries: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    dropped: Counter[str] = field(default_factory=Counter)


def answer_schema(styles: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer: queries, each in one of the styles asked for."""
    style = {"type": "string", "enum": list(styles)}
    query = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "style": style},
        "required": ["text", "style"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"queries": {"type": "array", "items": query}},
        "required": ["queries"],
        "additionalProperties": False,
    }


def shortest_answer(styles: Sequence[str]) -> str:
    """The shortest useful answer, for planning: one query of one word."""
    style = min(styles, key=len, default="short")
    return json.dumps({"queries": [{"text": "word", "style": style}]})


def parse_answer(text: str, styles: Sequence[str], count: int) -> QueryAnswer:
    """Read an answer: a JSON object `{"queries": [{"text", "style"}, ...]}`, maybe in a code fence.

    A query in another style than `styles` is dropped, and so is what exceeds `count`.
    """
    value = strict_json(without_fence(text)[0])
    if value is None:
        return QueryAnswer(reason="the answer is no JSON")
    rows = value.get("queries") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        return QueryAnswer(reason="the answer has no list of queries")
    found: dict[str, tuple[str, str]] = {}
    dropped: Counter[str] = Counter()
    for row in rows:
        cells = (row.get("text"), row.get("style")) if isinstance(row, dict) else (None,)
        if not all(isinstance(cell, str) for cell in cells):
            return QueryAnswer(reason="a query of the answer lacks its text or style")
        query = " ".join(row["text"].split()).strip(" -,.:;'\"")
        if row["style"] not in styles:
            dropped["unknown_style"] += 1
        elif not query:
            dropped["blank"] += 1
        elif len(query) > MAX_QUERY_LENGTH:
            dropped["too_long"] += 1
        elif query.casefold() in found:
            dropped["repeated"] += 1
        elif len(found) == count:
            dropped["surplus"] += 1
        else:
            found[query.casefold()] = (row["style"], query)
    if not found:
        return QueryAnswer(reason="the answer has no usable query", dropped=dropped)
    return QueryAnswer(tuple(found.values()), dropped=dropped)
