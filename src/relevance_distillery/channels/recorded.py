"""Pairs that somebody graded before, as candidates."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.channels.random_channel import UNRANKED


class RecordedChannel:
    """Returns the passages of the documents that were graded for a query.

    Attributes:
        name: `recorded`.
        unknown_documents: Graded pairs whose document, or passage, is not there.
    """

    name = "recorded"

    def __init__(self, grades: pd.DataFrame, passages: pd.DataFrame) -> None:
        """Join graded documents with their passages.

        Args:
            grades: Columns query_id, document_id; where a passage was graded, its id.
            passages: Columns passage_id, document_id; a document that was split stands with
                all its passages.
        """
        pairs = grades[["query_id", "document_id"]].drop_duplicates()
        whole = pairs["document_id"].isin(passages["document_id"])
        single = ~whole & pairs["document_id"].isin(passages["passage_id"])
        self.unknown_documents = int((~whole & ~single).sum())
        documents = pairs[whole].merge(
            passages[["passage_id", "document_id"]], on="document_id", how="left"
        )
        alone = pairs[single].assign(passage_id=pairs.loc[single, "document_id"])
        self._pairs = pd.concat([documents, alone], ignore_index=True)

    def search(self, queries: pd.DataFrame, k: int) -> pd.DataFrame:
        """At most `k` recorded passages of every query, in the order of the file.

        Returns:
            Columns query_id, passage_id, rank (0: there is none), score (0).
        """
        wanted = queries[["query_id"]].merge(self._pairs, on="query_id", how="inner")
        found = wanted.groupby("query_id", sort=False).head(k)[["query_id", "passage_id"]]
        return found.assign(rank=UNRANKED, score=0.0).reset_index(drop=True)
