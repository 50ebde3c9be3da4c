"""Several rankings made one by their ranks alone (Cormack, Clarke and Büttcher, 2009)."""

from collections.abc import Sequence

import pandas as pd

_KEY = ["query_id", "passage_id"]


def reciprocal_rank_fusion(rankings: Sequence[pd.DataFrame], k: int = 60) -> pd.DataFrame:
    """Order passages by the sum of 1 / (k + rank) over the rankings that have them.

    Args:
        rankings: Columns query_id, passage_id, rank (1 for the best), each pair once.
        k: How little the first ranks stand out from the next.

    Returns:
        Columns query_id, passage_id, rank, score. Queries as they first occur; ties keep the order
        in which the rankings have them, the first ranking foremost.
    """
    rows = pd.concat([ranking[[*_KEY, "rank"]] for ranking in rankings], ignore_index=True)
    rows["score"] = 1.0 / (k + rows["rank"])
    fused = rows.groupby(_KEY, sort=False)["score"].sum().reset_index()
    # Sums in another order differ in their last digit.
    fused["score"] = fused["score"].round(12)
    fused["query"] = pd.factorize(fused["query_id"])[0]
    fused = fused.sort_values(["query", "score"], ascending=[True, False], kind="stable")
    fused["rank"] = fused.groupby("query").cumcount() + 1
    return fused[[*_KEY, "rank", "score"]].reset_index(drop=True)
