"""One grade a pair from several raters, and the raters' own grades beside it."""

from __future__ import annotations

import pandas as pd

KEY = ["query_id", "document_id"]


def lower_median(grades: pd.DataFrame) -> pd.DataFrame:
    """The lower median of each pair's grades.

    Args:
        grades: Columns query_id, document_id, grade; several rows a pair.

    Returns:
        The same columns, a row a pair, in order of first appearance.
    """
    ranked = grades.sort_values("grade", kind="stable")
    groups = ranked.groupby(KEY, sort=False)["grade"]
    place, count = groups.cumcount(), groups.transform("size")
    median = ranked[place == (count - 1) // 2][[*KEY, "grade"]]
    order = grades[KEY].drop_duplicates()
    return order.merge(median, on=KEY, how="left", validate="one_to_one")


def consensus(grades: pd.DataFrame) -> pd.DataFrame:
    """The consensus rows (annotator empty); for pairs without one, the raters' lower median."""
    agreed = grades[grades["annotator"] == ""]
    both = pd.concat([agreed, lower_median(grades).assign(annotator="")], ignore_index=True)
    return both.drop_duplicates(KEY).reset_index(drop=True)
