"""Pairs as judges read them, joined from candidates, queries and passages."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.judges.base import PAIR_COLUMNS

_PASSAGE_COLUMNS = ["document_id", "title", "heading", "text", "path", "author", "modified"]


def build_pairs(
    candidates: pd.DataFrame, queries: pd.DataFrame, passages: pd.DataFrame
) -> pd.DataFrame:
    """One row for each (query, passage) among the candidates, whatever channels found it.

    Args:
        candidates: Columns query_id, passage_id; further ones are ignored.
        queries: Columns query_id, text and, where queries have seeds, passage_id.
        passages: Schema `Passages`.

    Returns:
        Columns `PAIR_COLUMNS`, in the order in which the pairs first occur. `is_seed` is
        true where the query was written from the passage, `in_seed_document` where it was
        written from any passage of the same document.

    Raises:
        ValueError: A candidate names a query or passage that is not there.
    """
    pairs = candidates[["query_id", "passage_id"]].drop_duplicates().reset_index(drop=True)
    query_rows = queries.set_index("query_id")
    passage_rows = passages.set_index("passage_id")
    for column, rows in (("query_id", query_rows), ("passage_id", passage_rows)):
        strangers = pairs.loc[~pairs[column].isin(rows.index), column]
        if not strangers.empty:
            raise ValueError(
                f"{len(strangers)} candidates name an unknown {column}, "
                f"the first is {strangers.iloc[0]!r}"
            )
    of_query = query_rows.reindex(pairs["query_id"])
    of_passage = passage_rows.reindex(pairs["passage_id"])
    pairs["query"] = of_query["text"].to_numpy()
    for column in _PASSAGE_COLUMNS:
        pairs[column] = of_passage[column].to_numpy()
    if "passage_id" in of_query.columns:
        seeds = of_query["passage_id"].fillna("").astype(str)
    else:
        seeds = pd.Series("", index=of_query.index)
    seed_documents = passage_rows["document_id"].reindex(seeds.to_numpy()).to_numpy()
    seeded = seeds.to_numpy() != ""
    pairs["is_seed"] = seeded & (seeds.to_numpy() == pairs["passage_id"].to_numpy())
    pairs["in_seed_document"] = seeded & (seed_documents == pairs["document_id"].to_numpy())
    return pairs[list(PAIR_COLUMNS)]
