"""Pairs that somebody graded before, as candidates."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.channels.random_passages import UNRANKED


def recorded_passages(
    queries: pd.DataFrame, grades: pd.DataFrame, passages: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The passages of the documents that were graded for each query.

    Args:
        queries: Column query_id.
        grades: Columns query_id, document_id; where a passage was graded, its id.
        passages: Columns passage_id, document_id; a document that was split stands with all
            its passages.

    Returns:
        Columns query_id, passage_id, rank (0: there is none), score (0), in the order of the
        grades; and how many graded pairs are left out: `recorded_unknown_documents` (neither a
        document nor a passage is there), `recorded_unknown_queries`.
    """
    pairs = grades[["query_id", "document_id"]].drop_duplicates()
    whole = pairs["document_id"].isin(passages["document_id"])
    single = ~whole & pairs["document_id"].isin(passages["passage_id"])
    documents = pairs[whole].merge(
        passages[["passage_id", "document_id"]], on="document_id", how="left"
    )
    alone = pairs[single].assign(passage_id=pairs.loc[single, "document_id"])
    known = pd.concat([documents, alone], ignore_index=True)
    run = queries[["query_id"]].merge(known, on="query_id")[["query_id", "passage_id"]]
    counts = {
        "recorded_unknown_documents": int((~whole & ~single).sum()),
        "recorded_unknown_queries": int((~grades["query_id"].isin(queries["query_id"])).sum()),
    }
    return run.assign(rank=UNRANKED, score=0.0), counts
