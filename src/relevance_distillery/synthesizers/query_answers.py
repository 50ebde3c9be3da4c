"""From a language model's answer to queries, or to a failure: never a guess."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_LENGTH = 120
"""Longest query in characters; people type shorter ones, and a longer one is an answer."""

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class QueryAnswer:
    """What an answer holds.

    Attributes:
        queries: (style, text) of those that can be used.
        reason: Why the whole answer is a failure, without its words; empty when it is none.
        dropped: Single queries that were passed over, by reason.
    """

    queries: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    dropped: Counter[str] = field(default_factory=Counter)


def answer_schema(styles: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer: queries, each in one of the styles asked for."""
    query = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "style": {"type": "string", "enum": list(styles)},
        },
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
    """Read an answer strictly.

    Args:
        text: A JSON object `{"queries": [{"text", "style"}, ...]}`, with at most white space
            and one code fence around it.
        styles: The styles that were asked for; a query in another one is dropped.
        count: How many queries were asked for; the rest is dropped as `surplus`.
    """
    fenced = _FENCE.fullmatch(text.strip())
    try:
        value = json.loads(fenced.group(1) if fenced else text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError):
        return QueryAnswer(reason="the answer is no JSON")
    rows = value.get("queries") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        return QueryAnswer(reason="the answer has no list of queries")
    found: dict[str, tuple[str, str]] = {}
    dropped: Counter[str] = Counter()
    for row in rows:
        if not _is_query(row):
            return QueryAnswer(reason="a query of the answer lacks its text or style")
        query = " ".join(row["text"].split()).strip(" -,.:;'\"")
        if row["style"] not in styles:
            dropped["unknown_style"] += 1
        elif not query:
            dropped["blank"] += 1
        elif len(query) > MAX_LENGTH:
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


def _is_query(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("text"), str)
        and isinstance(row.get("style"), str)
    )


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found
