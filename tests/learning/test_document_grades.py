from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.learning.document_grades import (
    best_of_passages,
    correct_for_length,
    fit_length_slope,
    unrelated_pairs,
)
from tiny_models import tables


def _unrelated(slope: float, documents: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    rows = []
    for document in range(documents):
        passages = int(rng.integers(1, 12))
        best = 0.2 + slope * np.log(passages) + rng.normal(0, 0.02)
        rows += [("q", f"d{document}", best - 0.1 * (i > 0)) for i in range(passages)]
    return pd.DataFrame(rows, columns=["query_id", "document_id", "expected_grade"])


def test_length_slope_is_found_and_never_negative() -> None:
    assert fit_length_slope(_unrelated(0.3)) == pytest.approx(0.3, abs=0.02)
    assert fit_length_slope(_unrelated(-0.2)) == 0.0
    assert fit_length_slope(_unrelated(0.3).groupby("document_id").head(1)) == 0.0
    assert fit_length_slope(_unrelated(0.3).head(0)) == 0.0


def test_long_documents_lose_what_length_alone_gives() -> None:
    table = pd.DataFrame(
        {
            "query_id": ["q"] * 5,
            "document_id": ["short", "long", "long", "long", "long"],
            "expected_grade": [2.0, 2.0, 1.0, 0.0, 0.0],
            "score": [1.0, 1.0, 0.0, -1.0, -1.0],
        }
    )
    result = best_of_passages(table, ["expected_grade", "score"])
    correct_for_length(result, table, slope=0.5)
    result = result.set_index("document_id")
    assert result.loc["short", "expected_grade"] == 2.0
    assert result.loc["long", "expected_grade"] == pytest.approx(2 - 0.5 * np.log(4))
    assert result.loc["long", "score"] < result.loc["short", "score"]
    assert result["passages"].to_dict() == {"short": 1, "long": 4}


def test_a_document_has_the_grade_of_its_best_passage_or_none() -> None:
    passages = pd.DataFrame(
        {
            "query_id": ["q1", "q1", "q1", "q2", "q2"],
            "document_id": ["b", "a", "b", "c", "c"],
            "grade": pd.array([1, 3, 2, None, 1], dtype="Float64"),
            "expected": [1.4, 2.8, 2.2, 0.5, 0.7],
            "probabilities": [[1], [2], [3], [4], [5]],
        }
    )
    documents = best_of_passages(passages, ["grade", "expected"], ["probabilities"], by="expected")
    assert documents["document_id"].tolist() == ["b", "a", "c"]
    assert documents["grade"].tolist()[:2] == [2, 3]
    assert documents["passages"].tolist() == [2, 1, 2]
    assert documents["probabilities"].tolist() == [[3], [2], [5]]
    # A passage without a grade could have been the best one.
    assert documents[["grade", "expected"]].isna().iloc[2].all()


def test_unrelated_documents_are_none_of_a_querys_own() -> None:
    labels, queries, passages = tables(queries=20)
    own = labels.merge(passages[["passage_id", "document_id"]], on="passage_id")
    drawn = unrelated_pairs(own, queries, passages, most=60, seed=3)
    assert 60 <= len(drawn) < 80
    known = set(zip(own["query_id"], own["document_id"], strict=True))
    assert not known & set(zip(drawn["query_id"], drawn["document_id"], strict=True))
    # Whole documents, short ones and long ones.
    each = drawn.groupby(["query_id", "document_id"]).size()
    assert each.to_numpy().tolist() == [
        int((passages["document_id"] == document).sum()) for _, document in each.index
    ]
    assert each.nunique() > 1
    single = passages.drop_duplicates("document_id")
    assert unrelated_pairs(own, queries, single, most=60, seed=3).empty
