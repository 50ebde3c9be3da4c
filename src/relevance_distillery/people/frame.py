"""The pairs from which a sample is drawn, with what the judges said about them."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.collections.inclusion import text_digest
from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.grading import GradeScale
from relevance_distillery.people.doubt import KEY, doubts
from relevance_distillery.people.sampling import SAMPLE_COLUMNS, Plan, draw, row_id, sample_id


def sampling_frame(
    candidates: pd.DataFrame, queries: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """Every pair that was mined, once.

    Args:
        candidates: Columns query_id, passage_id.
        queries: Columns query_id, style.
        labels: Columns query_id, passage_id, judge, grade; may hold several judges, of which
            the first makes the strata.

    Returns:
        Columns query_id, passage_id, style, grade (missing without a label: people's grades
        of pairs that the judge could not grade count, too, and make a stratum of their own).
    """
    frame = candidates[KEY].drop_duplicates().merge(queries[["query_id", "style"]], on="query_id")
    first = labels[labels["judge"] == labels["judge"].iloc[0]] if len(labels) else labels
    frame = frame.merge(first[[*KEY, "grade"]], on=KEY, how="left")
    frame["grade"] = frame["grade"].astype("Int64")
    return frame


def draw_sample(
    frame: pd.DataFrame,
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    earlier: pd.DataFrame,
    plan: Plan,
    measure: str,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw pairs and join what a grader reads.

    Args:
        frame: From `sampling_frame`.
        labels: Of all judges that may doubt; needed for the active design only.
        queries: Schema `Queries`.
        passages: Schema `Passages`.
        earlier: Rows handed out before, columns `SAMPLE_COLUMNS`; what an earlier sample
            holds is not picked actively again.
        plan: How to draw.
        measure: The kind of doubt, see `people.doubt.doubts`.
        scale: The grades.

    Returns:
        The sample, columns `SAMPLE_COLUMNS` and stratum, in the order of the sheet; and what
        graders read, columns row_id, query, title, heading, text, path, author, modified.

    Raises:
        UserError: Nothing to draw from, fewer places than strata, or nobody doubts.
    """
    if plan.design == "active":
        frame = frame.merge(doubts(labels, scale, measure), on=KEY)
        if len(earlier):
            seen = set(zip(earlier["query_id"], earlier["passage_id"], strict=True))
            rows = zip(frame["query_id"], frame["passage_id"], strict=True)
            frame = frame[[row not in seen for row in rows]]
    drawn = draw(frame, plan)
    sample = sample_id(drawn, plan)
    pairs = build_pairs(drawn, queries, passages)
    drawn = drawn.assign(
        sample_id=sample,
        row_id=[
            row_id(sample, query_id, passage_id)
            for query_id, passage_id in zip(drawn["query_id"], drawn["passage_id"], strict=True)
        ],
        document_id=pairs["document_id"].to_numpy(),
        query=pairs["query"].to_numpy(),
        text_digest=[
            text_digest(title, heading, text)
            for title, heading, text in zip(
                pairs["title"], pairs["heading"], pairs["text"], strict=True
            )
        ],
    )
    read = pairs[["query", "title", "heading", "text", "path", "author", "modified"]]
    read.insert(0, "row_id", drawn["row_id"].to_numpy())
    return drawn[[*SAMPLE_COLUMNS, "stratum"]], read
