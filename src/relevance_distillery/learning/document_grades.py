"""From grades of passages to the grade of a document, without flattering long documents.

The best of many passages is high by chance. How much is measured where there is nothing to
find: on passages of documents drawn at random for queries, the best expected grade grows with
ln(passages); that slope is taken off again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

_FEWEST_DOCUMENTS = 20


def fit_length_slope(null: pd.DataFrame) -> float:
    """How fast the best expected grade of unrelated documents grows with their length.

    Args:
        null: Columns query_id, document_id, expected_grade: every passage of documents that
            were drawn at random for a query.

    Returns:
        Slope over ln(passages), least squares, never negative; 0 where documents do not
        differ in length or are fewer than 20.
    """
    if null.empty:
        return 0.0
    best = null.groupby(["query_id", "document_id"])["expected_grade"].agg(["max", "size"])
    logs = np.log(best["size"].to_numpy(dtype=np.float64))
    if len(best) < _FEWEST_DOCUMENTS or np.ptp(logs) == 0:
        return 0.0
    slope = np.polyfit(logs, best["max"].to_numpy(dtype=np.float64), deg=1)[0]
    return round(max(float(slope), 0.0), 6)


def correct_documents(predictions: pd.DataFrame, slope: float) -> pd.DataFrame:
    """Documents from their passages: the best passage, less what length alone would give.

    Args:
        predictions: Columns query_id, document_id, expected_grade, score; a row a passage.
        slope: From `fit_length_slope`.

    Returns:
        Columns query_id, document_id, expected_grade, score, passages, in order of first
        appearance; the score is lowered by the same share of its own spread.
    """
    groups = predictions.groupby(["query_id", "document_id"], sort=False)
    documents = groups.agg(
        expected_grade=("expected_grade", "max"),
        score=("score", "max"),
        passages=("score", "size"),
    ).reset_index()
    logs = np.log(documents["passages"].to_numpy(dtype=np.float64))
    spread = predictions["expected_grade"].std(ddof=0)
    ratio = float(predictions["score"].std(ddof=0) / spread) if spread > 0 else 0.0
    documents["expected_grade"] = documents["expected_grade"] - slope * logs
    documents["score"] = documents["score"] - slope * ratio * logs
    return documents
