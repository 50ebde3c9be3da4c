"""How much channels have in common."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.channels.overlap import channel_overlap


def ranking(channel: str, **found: list[int]) -> pd.DataFrame:
    rows = [
        (query, f"p{number}", channel, rank)
        for query, numbers in found.items()
        for rank, number in enumerate(numbers, 1)
    ]
    return pd.DataFrame(rows, columns=["query_id", "passage_id", "channel", "rank"])


def test_jaccard_is_averaged_over_queries_at_every_depth(caplog):
    runs = pd.concat(
        [
            ranking("bm25", q=list(range(200)), r=[1, 2]),
            ranking("dense", q=list(range(5, 205)), r=[7]),
            ranking("run_ours", q=list(range(8)), s=[1]),
        ],
        ignore_index=True,
    )

    with caplog.at_level("INFO"):
        found = channel_overlap(runs, 200)

    assert set(found) == {"10", "100"}
    assert found["10"] == {
        "bm25, dense": round((5 / 15 + 0) / 2, 4),
        "bm25, run_ours": round((8 / 10 + 0 + 0) / 3, 4),
        "dense, run_ours": round((3 / 15 + 0 + 0) / 3, 4),
        "all": round((3 / 15 + 0 + 0) / 3, 4),
    }
    assert found["100"]["bm25, dense"] == round(95 / 105 / 2, 4)
    assert len(caplog.messages) == 1


def test_a_single_ranking_or_a_tiny_corpus_has_no_overlap():
    one = ranking("bm25", q=[1, 2])

    assert channel_overlap(one, 500) == {}
    assert channel_overlap(one.iloc[:0], 500) == {}
    assert channel_overlap(pd.concat([one, ranking("dense", q=[3])]), 9) == {}
