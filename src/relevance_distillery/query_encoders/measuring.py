"""What query encoders find in the index of their reference, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from relevance_distillery.channels.dense import run_table
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.query_encoder import QueryEncoder
from relevance_distillery.retriever.rankings import by_document


def rank_rungs(
    encoders: Mapping[str, QueryEncoder],
    index: PassageIndex,
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    depth: int,
) -> dict[str, pd.DataFrame]:
    """Rankings of documents by every encoder: a document stands where its best passage does.

    Passages of the index have the document_id that `passages` say; others are left out. UserError
    where another model made the index.
    """
    documents = passages.set_index("passage_id")["document_id"]
    found = {}
    for name, encoder in encoders.items():
        index.require(encoder)
        vectors = encoder.encode_queries(queries["text"].astype(str).tolist())
        run = run_table(queries, index.passage_ids, *index.search(vectors, depth))
        found[name] = by_document(run[run["passage_id"].isin(documents.index)], documents)
    return found


def name_again(found: Any, name: str, other: str) -> None:
    """Everything that is said of one system, in nested objects, is said of `other` as well."""
    if isinstance(found, dict):
        for inner in list(found.values()):
            name_again(inner, name, other)
        if name in found:
            found[other] = found[name]


def merged(stored: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Nested objects in one; what was found replaces what was stored."""
    return dict(stored) | {
        name: merged(stored[name], value)
        if isinstance(value, dict) and isinstance(stored.get(name), dict)
        else value
        for name, value in found.items()
    }
