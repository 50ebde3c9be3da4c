"""Reciprocal rank fusion by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from relevance_distillery.channels.fusion import reciprocal_rank_fusion


def ranking(**queries: str) -> pd.DataFrame:
    rows = [
        (query, passage, rank)
        for query, passages in queries.items()
        for rank, passage in enumerate(passages.split(), start=1)
    ]
    return pd.DataFrame(rows, columns=["query_id", "passage_id", "rank"])


def test_ranks_alone_decide_and_ties_keep_the_first_rankings_order():
    fused = reciprocal_rank_fusion([ranking(b="p q r", a="p"), ranking(b="r q s", c="t")])

    assert fused["query_id"].tolist() == ["b"] * 4 + ["a", "c"]
    # q: 2/62; r: 1/63 + 1/61, a little more; p: 1/61, s: 1/63.
    assert fused["passage_id"].tolist() == ["r", "q", "p", "s", "p", "t"]
    assert fused["rank"].tolist() == [1, 2, 3, 4, 1, 1]
    assert fused["score"].tolist() == pytest.approx(
        [1 / 61 + 1 / 63, 2 / 62, 1 / 61, 1 / 63, 1 / 61, 1 / 61]
    )
    tied = reciprocal_rank_fusion([ranking(a="p q"), ranking(a="q p")])
    assert tied["passage_id"].tolist() == ["p", "q"]


def test_one_ranking_stays_as_it_is_and_none_is_empty():
    assert reciprocal_rank_fusion([ranking(a="p q")])["passage_id"].tolist() == ["p", "q"]
    assert reciprocal_rank_fusion([ranking(), ranking()]).empty
