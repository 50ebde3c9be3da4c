"""Which pairs of query and passage must be graded to grade a benchmark's documents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.benchmark import Benchmark
from relevance_distillery.judges.base import PAIR_COLUMNS

Split = Callable[[pd.DataFrame], pd.DataFrame]
"""Documents table in, passages table out."""

EXTRA_COLUMNS = ("human", "style", "query_words", "seen")

_LISTED = 50


def select_pairs(
    benchmark: Benchmark,
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    split: Split,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Every passage of every graded document, with its query and the grade to reach.

    Args:
        benchmark: What was graded.
        passages: The run's passages.
        queries: The run's queries; only held-out benchmarks need them.
        labels: The teacher's labels.
        splits: Columns query_id, passage_id, split.
        split: Splits the documents that a benchmark brings.

    Returns:
        Columns `PAIR_COLUMNS` and human (grade of the document), style, query_words, seen
        (the document was in training); for held-out queries each passage is its own document.
        And facts: name, kind, human, digest, skipped (ids by reason).

    Raises:
        UserError: No graded document is in the corpus, or nothing was held out.
    """
    if benchmark.kind == "held_out":
        pairs = _held_out(passages, queries, labels, splits)
        skipped: dict[str, list[str]] = {}
    else:
        pairs, skipped = _judged(benchmark, passages, split)
    trained = splits.loc[splits["split"] == "train", "passage_id"]
    seen_texts = set(passages.loc[passages["passage_id"].isin(trained), "text"].map(_normalised))
    by_passage = pairs["text"].map(_normalised).isin(seen_texts) | pairs["passage_id"].isin(trained)
    pairs["seen"] = by_passage.groupby([pairs["query_id"], pairs["document_id"]]).transform("any")
    pairs["query_words"] = [len(query.split()) for query in pairs["query"]]
    pairs["is_seed"] = False
    pairs["in_seed_document"] = False
    pairs = pairs[[*PAIR_COLUMNS, *EXTRA_COLUMNS]].reset_index(drop=True)
    facts = {
        "name": benchmark.name,
        "kind": benchmark.kind,
        "human": benchmark.human,
        "digest": pairs_digest(pairs),
        "passages": len(pairs),
        "skipped": benchmark.skipped | skipped,
    }
    return pairs, facts


def pairs_digest(pairs: pd.DataFrame) -> str:
    """Sixteen hexadecimal digits that change with any query, document or grade."""
    graded = pairs.drop_duplicates(["query_id", "document_id"])
    rows = sorted(f"{row.query}\t{row.document_id}\t{row.human}" for row in graded.itertuples())
    return hashlib.blake2b("\n".join(rows).encode(), digest_size=8).hexdigest()


def _judged(
    benchmark: Benchmark, passages: pd.DataFrame, split: Split
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    grades = benchmark.judgments[benchmark.judgments["annotator"] == ""]
    skipped: dict[str, list[str]] = {}
    if benchmark.documents is not None:
        judged = benchmark.documents["document_id"].isin(grades["document_id"])
        passages = split(benchmark.documents[judged].reset_index(drop=True))
    known = grades["document_id"].isin(passages["document_id"])
    if not known.any():
        raise UserError(
            f"benchmark {benchmark.name}: none of its {len(grades)} judged documents is in the "
            "corpus; check that document ids match those of `documents`"
        )
    if not known.all():
        ids = sorted(grades.loc[~known, "document_id"].drop_duplicates())
        more = [f"and {len(ids) - _LISTED} more"] if len(ids) > _LISTED else []
        reason = f"judgments of documents that are not in the corpus: {int((~known).sum())}"
        skipped[reason] = ids[:_LISTED] + more
    pairs = (
        grades[known]
        .merge(benchmark.queries.rename(columns={"text": "query"}), on="query_id", how="left")
        .merge(passages, on="document_id", how="left")
        .rename(columns={"grade": "human"})
    )
    return pairs, skipped


def _held_out(
    passages: pd.DataFrame, queries: pd.DataFrame, labels: pd.DataFrame, splits: pd.DataFrame
) -> pd.DataFrame:
    tests = splits.loc[splits["split"] == "test", ["query_id", "passage_id"]]
    if tests.empty:
        raise UserError(
            "no query was held out for the report; give more queries, or grades of people by "
            '--params="human_judgments=PATH"'
        )
    asked = queries[["query_id", "text", "style"]].rename(columns={"text": "query"})
    pairs = (
        tests.merge(labels[["query_id", "passage_id", "grade"]], on=["query_id", "passage_id"])
        .merge(asked, on="query_id")
        .merge(passages, on="passage_id")
        .rename(columns={"grade": "human"})
    )
    # The teacher graded passages: each one stands for itself.
    pairs["document_id"] = pairs["passage_id"]
    return pairs.drop_duplicates(["query_id", "passage_id"])


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())
