"""Keep the benchmarks out of training: their queries, their near-duplicates, pairs and texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relevance_distillery.io.digests import hex_digest
from relevance_distillery.learning.splits import normalised
from relevance_distillery.text.terms import Analyzer

REASONS = ("judged_pair", "benchmark_query", "near_duplicate_query", "judged_text")
_SAME_COLLECTION = 0.5


@dataclass(frozen=True)
class Judged:
    """What of one benchmark must stay out of training.

    Attributes:
        queries: Columns query_id, text; may be empty.
        judgments: Columns query_id, document_id.
        documents: Columns document_id, title, text; None where the benchmark grades the run's
            own documents.
    """

    queries: pd.DataFrame
    judgments: pd.DataFrame
    documents: pd.DataFrame | None

    def pairs(self) -> set[tuple[str, str]]:
        """The judged (normalised query, document)."""
        wording = dict(zip(self.queries["query_id"], self.queries["text"], strict=True))
        judged = zip(self.judgments["query_id"], self.judgments["document_id"], strict=True)
        return {(normalised(wording.get(query, "")), document) for query, document in judged}


def exclude_benchmarks(
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    benchmarks: Sequence[Judged],
    language: str,
    near_duplicate: float,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Labels without anything of the benchmarks, and what was kept out.

    A benchmark that brings its own documents keeps its judged texts out as well, unless more
    than half of them are documents of the run: then it is the same collection, on which
    documents may recur and the report slices by seen and unseen.

    Args:
        labels: Columns query_id, passage_id.
        queries: Columns query_id, text.
        passages: Columns passage_id, document_id, title, text.
        benchmarks: What was judged; ids of one say nothing about another's.
        language: For stemming.
        near_duplicate: Jaccard similarity of stemmed terms from which two queries count as
            the same.

    Returns:
        The labels that are left, and {"reasons": {reason: {"pairs", "queries"}}, "pairs_before",
        "pairs_after", "queries_before", "queries_after", "same_collection" (of any benchmark)};
        each pair counts once, under the first reason of `REASONS` that holds.
    """
    text_of = dict(zip(queries["query_id"], queries["text"], strict=True))
    document_of = dict(zip(passages["passage_id"], passages["document_id"], strict=True))
    asked = [text for one in benchmarks for text in one.queries["text"]]
    same = {normalised(text) for text in asked}
    near = _NearDuplicates(asked, language, near_duplicate)
    judged: set[tuple[str, str]] = set()
    texts: set[str] = set()
    same_collection = False
    for one in benchmarks:
        judged |= one.pairs()
        own, alike = _judged_texts(passages, one.judgments, one.documents)
        texts |= own
        same_collection |= alike
    seen: dict[str, str] = {}
    reasons = []
    for query, passage in zip(labels["query_id"], labels["passage_id"], strict=True):
        if query not in seen:
            plain = normalised(text_of.get(query, ""))
            seen[query] = "benchmark_query" if plain in same else ""
            if not seen[query] and near.holds(plain):
                seen[query] = "near_duplicate_query"
        pair = (normalised(text_of.get(query, "")), document_of.get(passage, passage))
        if pair in judged:
            reasons.append("judged_pair")
        elif seen[query]:
            reasons.append(seen[query])
        else:
            reasons.append("judged_text" if passage in texts else "")
    reason = pd.Series(reasons, index=labels.index, dtype=str)
    left = labels[reason == ""]
    facts = {
        "reasons": {
            name: {
                "pairs": int((reason == name).sum()),
                "queries": int(labels.loc[reason == name, "query_id"].nunique()),
            }
            for name in REASONS
        },
        "pairs_before": len(labels),
        "pairs_after": len(left),
        "queries_before": int(labels["query_id"].nunique()),
        "queries_after": int(left["query_id"].nunique()),
        "same_collection": same_collection,
    }
    return left.reset_index(drop=True), facts


class _NearDuplicates:
    """Finds whether a query shares most of its stemmed terms with one of a few others."""

    def __init__(self, texts: list[str], language: str, threshold: float) -> None:
        self._analyzer = Analyzer(language)
        self._threshold = threshold
        self._terms = [frozenset(self._analyzer.terms(text)) for text in texts]
        self._with: dict[str, list[int]] = defaultdict(list)
        for row, terms in enumerate(self._terms):
            for term in terms:
                self._with[term].append(row)

    def holds(self, text: str) -> bool:
        terms = frozenset(self._analyzer.terms(text))
        rows = {row for term in terms for row in self._with.get(term, ())}
        return any(
            len(terms & self._terms[row]) / len(terms | self._terms[row]) >= self._threshold
            for row in rows
        )


def _judged_texts(
    passages: pd.DataFrame, judgments: pd.DataFrame, documents: pd.DataFrame | None
) -> tuple[set[str], bool]:
    """Passages whose text, or whose document's text, was judged; and whether all is one corpus."""
    if documents is None or documents.empty:
        return set(), documents is None
    judged_ids = set(judgments["document_id"])
    judged = documents[documents["document_id"].isin(judged_ids)]
    hashes = {_hash(text) for text in judged["text"]} - {_hash("")}
    # A document without text is known by its title.
    hashes |= {
        _hash(t) for t, body in zip(judged["title"], judged["text"], strict=True) if not body
    }
    alone = passages["text"].where(passages["text"].str.strip() != "", passages["title"]).map(_hash)
    whole = passages.groupby("document_id", sort=False)["text"].agg(" ".join).map(_hash)
    held = alone.isin(hashes) | passages["document_id"].map(whole).isin(hashes)
    found = set(alone[held]) | set(passages["document_id"].map(whole)[held])
    if hashes and len(found & hashes) / len(hashes) > _SAME_COLLECTION:
        return set(), True
    return set(passages.loc[held, "passage_id"]), False


def _hash(text: str) -> str:
    return hex_digest(normalised(text), 12)
