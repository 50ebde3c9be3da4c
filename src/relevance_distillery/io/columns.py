"""What tables call their columns, and what their cells say: one list of names for each meaning."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Aliases = Mapping[str, tuple[str, ...]]
"""Names that a column may have in a file, by its own name; the first found counts."""

_ROW_ID = ("_id", "id")
"""Names of a row's own id, as BEIR's layout has them."""

GRADES: Aliases = {
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
    "probabilities": ("probabilities",),
    "confidence": ("confidence",),
    "cost_usd": ("cost_usd",),
    "seconds": ("seconds",),
}
RUNS: Aliases = {
    "query_id": GRADES["query_id"],
    "document_id": (*GRADES["document_id"], "passage_id"),
    "score": ("score", "similarity", "sim"),
    "rank": ("rank", "position"),
    "tag": ("tag", "run", "system"),
}
QUERIES: Aliases = {
    "query_id": ("query_id", *_ROW_ID, "qid"),
    "text": ("text", "query", "title"),
    "style": ("style",),
}
QUERY_LOG: Aliases = {
    "query_id": ("query_id", *_ROW_ID, "qid"),
    "text": ("query", "text", "q"),
    "frequency": ("frequency", "count", "freq", "hits"),
}
DOCUMENTS: Aliases = {
    "document_id": ("document_id", *_ROW_ID, "doc_id", "docid"),
    "title": ("title",),
    "text": ("text", "body", "content"),
    "path": ("path", "file", "url"),
    "author": ("author", "authors", "owner"),
    "modified": ("modified", "updated", "date"),
}
"""Of documents also inside a JSON object `metadata`."""


def first_cell(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first cell that is not empty among some columns; None where all are."""
    return next((record[name] for name in names if cell_text(record.get(name))), None)


def listed_columns(record: Iterable[str]) -> str:
    """The names of a file's first 20 columns, for messages."""
    return ", ".join(str(name)[:40] for name in list(record)[:20])


def cell_text(value: Any) -> str:
    """A cell as text without blanks around it; empty for a missing one, `7` for 7.0."""
    if value is None:
        return ""
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if value.is_integer():
            value = int(value)
    return str(value).strip()


def is_number(text: str) -> bool:
    """The text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
