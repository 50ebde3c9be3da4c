"""Buckets by their definition, on runs and grades made by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.retriever.buckets import KEY, BucketSettings, place_pairs
from relevance_distillery.retriever.training_data import fill_buckets

CHANNELS = ("bm25", "expansion", "dense")
SETTINGS = BucketSettings(
    depth=20, lexical_top=5, single_top=10, share_of_corpus=1.0, token_similar=0, random=0
)

CASES = [
    # Ranks in the three channels, the grade and the bucket.
    ((20, 20, 20), 3, "easy_positive"),
    ((1, 1, 1), 2, "other_positive"),
    ((1, 1, 21), 3, "hard_positive"),
    ((1, 0, 20), 3, "other_positive"),
    ((5, 0, 0), 2, "hard_positive"),
    ((0, 5, 0), 2, "hard_positive"),
    ((6, 6, 0), 2, "other_positive"),
    ((0, 0, 1), 3, "other_positive"),
    ((0, 0, 10), 1, "hard_negative"),
    ((10, 0, 0), 0, "hard_negative"),
    ((0, 0, 11), 0, "other_negative"),
    ((2, 11, 20), 0, "hard_negative"),
    ((3, 0, 11), 1, "hard_negative"),
    ((3, 3, 0), 0, "other_negative"),
    ((1, 0, 1), 0, "other_negative"),
    ((1, 2, 3), 1, "other_negative"),
    ((21, 0, 0), 0, "random"),
    ((21, 30, 0), 2, "other_positive"),
]


def passages(texts: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({"passage_id": [f"p{i}" for i in range(len(texts))], "text": texts})
    empty = dict.fromkeys(("title", "heading", "path", "author", "modified"), "")
    return table.assign(document_id=table["passage_id"], **empty)


def queries(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"query_id": [f"q{i}" for i in range(len(texts))], "text": texts})


def runs_of(ranks: dict[str, dict[str, dict[str, int]]]) -> pd.DataFrame:
    """From ranks by channel, query and passage."""
    rows = [
        (query, passage, channel, rank, 1.0 / rank)
        for channel, by_query in ranks.items()
        for query, found in by_query.items()
        for passage, rank in found.items()
        if rank
    ]
    return pd.DataFrame(rows, columns=[*KEY, "channel", "rank", "score"])


def graded(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*KEY, "grade"]).assign(graded_by="people")


def fill(
    grades: pd.DataFrame,
    runs: pd.DataFrame,
    asked: pd.DataFrame,
    table: pd.DataFrame,
    grade: Any = None,
    settings: BucketSettings = SETTINGS,
    seed: int = 1,
    asked_channels: Sequence[str] = CHANNELS,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    how = DEFAULT_SCALE, settings, "none", seed, grade
    return fill_buckets(grades, runs, asked_channels, asked, table, *how)


@pytest.mark.parametrize(("ranks", "grade", "bucket"), CASES)
def test_every_bucket_by_its_definition(ranks: tuple[int, ...], grade: int, bucket: str) -> None:
    # Another query keeps channels alive that missed the passage.
    by_channel = {
        name: {"q0": {"p0": rank}, "q1": {"p1": 1}}
        for name, rank in zip(CHANNELS, ranks, strict=True)
    }
    pairs, facts = fill(
        graded([("q0", "p0", grade)]),
        runs_of(by_channel),
        queries("a", "b"),
        passages(["x", "y"] * 20),
    )
    row = pairs[pairs["query_id"] == "q0"].iloc[0]
    assert row["bucket"] == bucket
    kept = [rank if rank <= 20 else 0 for rank in ranks]
    assert [row[f"rank_{name}"] for name in CHANNELS] == kept
    assert facts[bucket]["pairs"] == 1
    assert facts[bucket]["examples"] == [{"query_id": "q0", "passage_id": "p0", "grade": grade}]


def test_depths_shrink_alike_on_a_small_corpus() -> None:
    settings = BucketSettings()
    assert settings.shrunk(25_000) == (500, 50, 100)
    assert settings.shrunk(10**7) == (500, 50, 100)
    assert settings.shrunk(5_000) == (100, 10, 20)
    assert settings.shrunk(3) == (1, 1, 1)
    # Ranks below the shrunk depth are missed: two percent of 100 passages are two.
    ranks = {"bm25": {"q0": {f"p{i}": i + 1 for i in range(100)}}}
    placed = place_pairs(
        runs_of(ranks),
        CHANNELS,
        graded([]),
        queries("w"),
        passages(["w"] * 100),
        BucketSettings(random=0, token_similar=0),
        "none",
        1,
    )
    assert placed["passage_id"].tolist() == ["p0", "p1"]


def cosine(query: str, text: str, corpus: list[str]) -> float:
    """TF-IDF as it is written in textbooks, with smoothed frequencies and the log of counts."""
    counts = [Counter(one.split()) for one in corpus]
    words = sorted({word for one in counts for word in one})
    idf = {
        word: np.log((1 + len(corpus)) / (1 + sum(word in one for one in counts))) + 1
        for word in words
    }
    vectors = []
    for one in (query, text):
        held = Counter(one.split())
        vector = np.array([(1 + np.log(held[w])) * idf[w] if w in held else 0.0 for w in words])
        vectors.append(vector / max(np.linalg.norm(vector), 1e-12))
    return float(vectors[0] @ vectors[1])


def test_what_no_channel_returned_is_token_similar_or_random_by_tf_idf() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(12)]
    texts = [" ".join(rng.choice(words, size=6)) for _ in range(60)]
    asked = queries(*(" ".join(rng.choice(words, size=3)) for _ in range(8)))
    every = graded([(query, f"p{i}", 0) for query in asked["query_id"] for i in range(60)])
    runs = runs_of({"bm25": {query: {"p0": 1} for query in asked["query_id"]}})
    pairs, _ = fill(every, runs, asked, passages(texts), settings=SETTINGS.model_copy(
        update={"per_query": 100}
    ))  # fmt: skip
    assert len(pairs) == 8 * 60
    text_of = dict(zip(asked["query_id"], asked["text"], strict=True))
    kinds = set()
    for row in pairs[pairs["passage_id"] != "p0"].itertuples():
        near = cosine(text_of[row.query_id], texts[int(row.passage_id[1:])], texts)
        assert abs(near - 0.2) > 1e-5
        assert abs(near - 0.6) > 1e-5
        kinds.add((row.bucket, near > 0.6))
        assert row.bucket == ("token_similar" if 0.2 <= near <= 0.6 else "random")
    assert kinds == {("token_similar", False), ("random", False), ("random", True)}


def many(number: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Grades, runs, queries and passages of `number` queries, the same for each whatever it is."""
    texts = [f"w{i % 9} w{i % 7} x{i % 31}" for i in range(300)]
    names = [f"q{i}" for i in range(number)]
    ranks = {
        channel: {
            name: {f"p{(7 * i + step * rank) % 300}": rank for rank in range(1, 31)}
            for i, name in enumerate(names)
        }
        for step, channel in ((1, "bm25"), (2, "dense"))
    }
    rows = [
        (name, f"p{(7 * i + j) % 300}", j % 4) for i, name in enumerate(names) for j in range(9)
    ]
    return (
        graded(rows),
        runs_of(ranks),
        queries(*(f"w{i % 9} w{i % 7}" for i in range(number))),
        (passages(texts)),
    )


def test_a_query_gives_so_many_pairs_and_the_same_whatever_others_there_are() -> None:
    settings = SETTINGS.model_copy(update={"per_query": 16, "token_similar": 3, "random": 3})

    def ask(pairs: pd.DataFrame) -> pd.Series:
        return pd.Series(np.arange(len(pairs)) % 2 * 2, index=pairs.index)

    few, _ = fill(*many(4), settings=settings)
    more, facts = fill(*many(12), settings=settings)
    assert (more.groupby("query_id").size() == 16).all()
    assert not more.duplicated(KEY).any()
    here = more[more["query_id"].isin(few["query_id"])]
    pd.testing.assert_frame_equal(here.reset_index(drop=True), few)
    # What is graded comes first, and other places get their turn.
    assert (more[more["graded_by"] == "people"].groupby("query_id").size() == 9).all()
    assert facts["random"]["pairs"] > 0
    assert facts["token_similar"]["pairs"] > 0
    drawn = more[more["graded_by"] == "assumed"]
    assert set(drawn["bucket"]) == {"random", "token_similar"}
    assert (drawn["grade"] == 0).all()
    assert more.loc[more["bucket"] == "ungraded", "graded_by"].eq("nobody").all()
    machine, told = fill(*many(12), settings=settings, grade=ask)
    assert set(machine["graded_by"]) == {"people", "labeler"}
    assert "ungraded" not in set(machine["bucket"])
    assert 0 < told["random"]["false_negative_rate"] < 1
    other = fill(*many(12), settings=settings, seed=2)[0]
    assert set(map(tuple, other[KEY].to_numpy())) != set(map(tuple, more[KEY].to_numpy()))


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_grade_and_a_rare_place_are_kept(seed: int) -> None:
    ranks = {"bm25": {"q0": {f"p{i}": i + 1 for i in range(20)}}, "dense": {"q0": {"p1": 1}}}
    grades = graded([("q0", f"p{i}", 3 * (i == 7)) for i in range(20)])
    settings = SETTINGS.model_copy(update={"per_query": 5})
    table = passages(["x"] * 40)
    pairs, _ = fill(grades, runs_of(ranks), queries("a"), table, settings=settings, seed=seed)
    assert len(pairs) == 5
    assert {"p1", "p7"} <= set(pairs["passage_id"])


def test_a_channel_that_returns_nothing_and_a_corpus_smaller_than_every_depth() -> None:
    grades = graded([("q0", "p0", 3), ("q0", "p1", 0), ("q0", "p2", 2)])
    table = passages(["a b", "a c", "d e"])
    runs = runs_of({"bm25": {"q0": {"p0": 1, "p1": 2}}, "dense": {"q0": {}}})
    whole = BucketSettings(share_of_corpus=1.0)
    pairs, _ = fill(grades, runs, queries("a"), table, settings=whole)
    # Nothing is left to draw; with one channel nothing is returned by all. The depths are 3, 1, 1.
    found = dict(zip(pairs["passage_id"], pairs["bucket"], strict=True))
    assert found == {"p0": "hard_positive", "p1": "other_negative", "p2": "other_positive"}
    # What nobody asked has missed nothing.
    pairs, _ = fill(grades, runs, queries("a"), table, settings=whole, asked_channels=("bm25",))
    assert pairs["bucket"].tolist() == ["other_positive", "other_negative", "other_positive"]
    pairs, facts = fill(grades, runs_of({}), queries("a"), table, settings=whole)
    assert len(pairs) == 3
    assert facts["easy_positive"] == {
        "pairs": 0, "queries": 0, "graded_by": {}, "false_negative_rate": None, "examples": [],
    }  # fmt: skip
    with pytest.raises(UserError, match="no query has a graded passage"):
        fill(graded([]), runs, queries("a"), table, settings=whole)


def test_passages_without_a_word() -> None:
    grades = graded([("q0", "p0", 0), ("q0", "p1", 3)])
    settings = SETTINGS.model_copy(update={"token_similar": 2, "random": 2})
    runs = runs_of({"dense": {"q0": {"p1": 1}}})
    pairs, _ = fill(grades, runs, queries("a"), passages(["", " ", "…", "", "!"]), None, settings)
    assert set(pairs["bucket"]) == {"random", "other_positive"}
    assert len(pairs) == 4
