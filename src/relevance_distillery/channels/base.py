"""What a retrieval channel is: something that returns ranked passages for queries."""

from __future__ import annotations

from typing import Protocol

import pandas as pd


class Channel(Protocol):
    """One way to find candidates; several channels can be mined side by side.

    Attributes:
        name: Written into the `channel` column of candidates.
    """

    name: str

    def search(self, queries: pd.DataFrame, k: int) -> pd.DataFrame:
        """The best `k` passages of every query.

        Args:
            queries: Columns query_id, text.
            k: How many passages a query may return at most.

        Returns:
            Columns query_id, passage_id, rank (1 for the best), score; a query that
            matches nothing has no rows.
        """
        ...
