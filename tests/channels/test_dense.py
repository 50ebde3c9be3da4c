"""Dense retrieval: the exact best, ties, an encoder of transformers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.channels.dense import DenseSettings, dense_run, exact_top


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("k", [1, 10, 700, 40_000])
def test_the_best_are_those_of_sorting_every_product(k, tmp_path):
    rng = np.random.default_rng(0)
    # More rows and queries than one product holds, memory-mapped.
    vectors, queries = unit(rng, 35_000, 8), unit(rng, 270, 8)
    np.save(tmp_path / "vectors.npy", vectors)

    rows, scores = exact_top(np.load(tmp_path / "vectors.npy", mmap_mode="r"), queries, k)

    assert rows.shape == scores.shape == (270, min(k, 35_000))
    assert rows.dtype == np.int64
    assert scores.dtype == np.float32
    assert (np.diff(scores, axis=1) <= 0).all()
    for query in (0, 255, 256, 269):
        every = vectors.astype(np.float64) @ queries[query].astype(np.float64)
        assert scores[query] == pytest.approx(np.sort(every)[::-1][:k], abs=2e-6)
        assert every[rows[query]] == pytest.approx(scores[query], abs=2e-6)
        assert len(set(rows[query].tolist())) == len(rows[query])


@pytest.mark.parametrize("k", [1, 3, 50])
def test_ties_keep_the_order_of_the_rows_wherever_they_are_cut(k):
    rng = np.random.default_rng(1)
    # One vector at every 400th row, in three blocks, with the last digits that arithmetic in
    # another order gives.
    vectors, query = unit(rng, 40_003, 384), unit(rng, 384)
    vectors[3::400] = query * (1 + 2e-7 * rng.uniform(-1, 1, (100, 1))).astype(np.float32)

    for queries in (query[None], np.stack([*unit(rng, 6, 384), query])):
        rows, _ = exact_top(vectors, queries, k)
        assert rows[-1].tolist() == list(range(3, 40_003, 400))[:k]


def test_nothing_to_search_and_nothing_asked_are_no_errors():
    vectors = np.eye(3, dtype=np.float32)

    assert exact_top(vectors[:0], vectors, 5)[0].shape == (3, 0)
    assert exact_top(vectors, vectors[:0], 2)[0].shape == (0, 2)
    assert exact_top(vectors, vectors, 0)[1].shape == (3, 0)


def test_passages_are_found_by_their_meaning(tmp_path):
    passages = pd.DataFrame(
        {
            "passage_id": ["p0", "p1", "p2"],
            "title": ["", "", "Taking time off"],
            "heading": "",
            "text": [
                "The canteen serves soup.",
                "Reset a forgotten password.",
                "Ask your manager.",
            ],
        }
    )
    queries = pd.DataFrame({"query_id": ["a", "b"], "text": ["vacation days", "login problem"]})

    run = dense_run(queries, passages, DenseSettings(max_length=16).encoder(), 10)

    assert run["query_id"].tolist() == ["a"] * 3 + ["b"] * 3
    assert run["rank"].tolist() == [1, 2, 3] * 2
    assert run[run["rank"] == 1]["passage_id"].tolist() == ["p2", "p1"]
    assert run["score"].between(-1, 1).all()
    assert dense_run(queries, passages.iloc[:0], DenseSettings().encoder(), 10).empty
