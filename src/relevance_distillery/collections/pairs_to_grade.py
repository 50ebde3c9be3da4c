"""Pairs to grade, as judges read them, joined from candidates, queries and passages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

_PASSAGE_COLUMNS = ["document_id", "title", "heading", "text", "path", "author", "modified"]

PAIR_COLUMNS = (
    *("query_id", "query", "passage_id"), *_PASSAGE_COLUMNS, *("is_seed", "in_seed_document"),
)  # fmt: skip
"""The columns of the pairs that a judge receives; the last two are false for unseeded queries."""

SHARD = 1024
"""Pairs that are joined at a time; the most that a judge receives in one table."""


class Pairs:
    """Pairs that are joined with their texts when they are read, a shard at a time.

    A passage is once in the passages table and in the pairs of every query that found it: joined
    all at once, the texts would fill the memory. `keys`: columns query_id and passage_id, a row a
    pair.
    """

    def __init__(
        self, candidates: pd.DataFrame, queries: pd.DataFrame, passages: pd.DataFrame
    ) -> None:
        """Find every candidate's query and passage; queries have passage_id where they have seeds.

        Raises:
            ValueError: A candidate has a query or passage that is not there.
        """
        self.keys = candidates[["query_id", "passage_id"]].drop_duplicates().reset_index(drop=True)
        self._queries, self._passages = queries, passages
        self._query_rows = _rows_of(self.keys["query_id"], queries["query_id"])
        self._passage_rows = _rows_of(self.keys["passage_id"], passages["passage_id"])
        self._seed_rows = (
            pd.Index(passages["passage_id"]).get_indexer(pd.Index(queries["passage_id"].fillna("")))
            if "passage_id" in queries.columns
            else np.full(len(queries), -1)
        )

    @classmethod
    def of(cls, table: pd.DataFrame) -> Pairs:
        """Pairs that are joined already: a table with `PAIR_COLUMNS`."""
        return _Joined(table)

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.keys)

    def shards(self, wanted: np.ndarray | None = None) -> Iterator[pd.DataFrame]:
        """Tables of at most `SHARD` pairs, in order, joined as they are asked for.

        `wanted` is true for the pairs to read, shape (pairs,); all of them when None.

        Returns:
            Columns `PAIR_COLUMNS`; the index is the pair's place in `keys`. `is_seed` is
            true where the query was written from the passage, `in_seed_document` where it
            was written from any passage of the same document.
        """
        places = np.arange(len(self)) if wanted is None else np.flatnonzero(wanted)
        for start in range(0, len(places), SHARD):
            yield self._join(places[start : start + SHARD])

    def _join(self, places: np.ndarray) -> pd.DataFrame:
        pairs = self.keys.iloc[places].copy()
        query_rows, passage_rows = self._query_rows[places], self._passage_rows[places]
        pairs["query"] = self._queries["text"].iloc[query_rows].array
        of_passage = self._passages.iloc[passage_rows]
        for column in _PASSAGE_COLUMNS:
            pairs[column] = of_passage[column].array
        seeds = self._seed_rows[query_rows]
        seeded = seeds >= 0
        # Position -1, for queries without a seed, reads the last row and is masked after it.
        seed_documents = self._passages["document_id"].iloc[seeds].to_numpy()
        pairs["is_seed"] = seeded & (seeds == passage_rows)
        pairs["in_seed_document"] = seeded & (seed_documents == pairs["document_id"].to_numpy())
        return pairs[list(PAIR_COLUMNS)]


class _Joined(Pairs):
    """A table that is joined already, read in the same shards."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.keys = table[["query_id", "passage_id"]].reset_index(drop=True)
        self._table = table.reset_index(drop=True)

    def _join(self, places: np.ndarray) -> pd.DataFrame:
        return self._table.iloc[places]


def build_pairs(
    candidates: pd.DataFrame, queries: pd.DataFrame, passages: pd.DataFrame
) -> pd.DataFrame:
    """As `Pairs`, all joined at once: `PAIR_COLUMNS`, in the order in which pairs first occur."""
    pairs = Pairs(candidates, queries, passages)
    return pairs._join(np.arange(len(pairs)))


def _rows_of(wanted: pd.Series, keys: pd.Series) -> np.ndarray:
    """The row of every wanted key, shape (wanted,)."""
    rows = pd.Index(keys).get_indexer(pd.Index(wanted))
    if (rows < 0).any():
        unknown = wanted[rows < 0]
        raise ValueError(
            f"{len(unknown)} pairs have an unknown {wanted.name}, such as {unknown.iloc[0]}"
        )
    return rows
