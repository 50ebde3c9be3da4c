"""BM25: ranking, scores of chosen pairs, persistence."""

from __future__ import annotations

import bm25s
import numpy as np
import pandas as pd
import pytest

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.errors import UserError
from relevance_distillery.text.terms import analyzer, passage_text


def passages(texts: list[str], **columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"passage_id": [f"p{n}" for n in range(len(texts))], "text": texts} | columns
    )


def queries(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"query_id": [f"q{n}" for n in range(len(texts))], "text": list(texts)})


TEXTS = [
    "Travel is booked through the portal.",
    "Booking a trip: the portal opens at nine. The portal closes at five.",
    "The lunch menu of the week.",
]


def test_ranks_by_stemmed_terms_and_leaves_out_what_shares_none():
    run = BM25Channel.build(passages(TEXTS), "en").search(queries("portals"), k=10)

    assert sorted(run["passage_id"]) == ["p0", "p1"]
    assert run["rank"].tolist() == [1, 2]
    assert (run["score"] > 0).all()
    assert run["score"].is_monotonic_decreasing


def test_agrees_with_the_formula_of_lucene():
    texts = ["a b b", "b c", "c d e f"]
    channel = BM25Channel.build(passages(texts), "none", k1=1.2, b=0.75)

    idf = np.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean = 9 / 3
    expected = [idf * tf / (tf + 1.2 * (0.25 + 0.75 * n / mean)) for tf, n in [(2, 3), (1, 2)]]

    assert channel.scores("b", ["p0", "p1", "p2"]) == pytest.approx([*expected, 0], rel=1e-5)


def test_matches_title_path_author_and_date():
    table = passages(
        ["x", "x", "x", "x"],
        title=["Zephyr", "", "", ""],
        path=["", "hr/leave_policy-2024.md", "", ""],
        author=["", "", "Nadia Okafor", ""],
        modified=["", "", "", "2023-05-01"],
    )
    run = BM25Channel.build(table, "en").search(
        queries("zephyr", "leave policy", "okafor", "2023"), k=4
    )

    assert run["passage_id"].tolist() == ["p0", "p1", "p2", "p3"]


def test_more_than_the_corpus_unknown_and_empty_queries_are_no_errors():
    channel = BM25Channel.build(passages(TEXTS), "en")

    assert len(channel.search(queries("the"), k=1000)) == 3
    run = channel.search(queries("zzzz", "", "?!", "menu"), k=1000)
    assert run["query_id"].tolist() == ["q3"]


@pytest.mark.parametrize("texts", [[], ["", "..."]])
def test_a_corpus_without_words_finds_nothing(tmp_path, texts):
    channel = BM25Channel.build(passages(texts), "en")
    channel.save(tmp_path / "index")

    for index in (channel, BM25Channel.load(tmp_path / "index")):
        run = index.search(queries("anything"), k=3)
        assert run.empty
        assert run["rank"].dtype == "int64"


def test_ties_keep_the_order_of_the_table_wherever_they_are_cut():
    channel = BM25Channel.build(passages(["same words"] * 50), "en")

    for k in (1, 7, 50):
        run = channel.search(queries("words"), k=k)
        assert run["passage_id"].tolist() == [f"p{n}" for n in range(k)]


@pytest.mark.parametrize("k", [1, 7, 60, 5000, 20_000])
def test_the_best_are_those_of_sorting_every_score(k):
    rng = np.random.default_rng(0)
    words = np.array([f"w{n}" for n in range(40)])
    # More passages than one block has; frequent and rare words, and many that tie.
    drawn = np.minimum(rng.geometric(0.15, (9000, 3)) - 1, 39)
    table = passages([" ".join(words[row]) for row in drawn])
    channel = BM25Channel.build(table, "none")
    asked = queries("w0", "w39", "w0 w1 w30", "w5 w5 w12", "w0 zzzz", "zzzz", "w3 w4 w6 w9 w20")

    run = channel.search(asked, k)

    for query_id, text in zip(asked["query_id"], asked["text"], strict=True):
        scores = channel.scores(text, table["passage_id"].tolist())
        order = np.argsort(-scores, kind="stable")[:k]
        order = order[scores[order] > 0]
        found = run[run["query_id"] == query_id]
        assert found["passage_id"].tolist() == [f"p{row}" for row in order]
        assert found["rank"].tolist() == list(range(1, len(order) + 1))
        assert found["score"].tolist() == scores[order].tolist()


def test_scores_are_those_of_bm25s_called_bare():
    rng = np.random.default_rng(1)
    texts = [
        " ".join(f"w{n}" for n in rng.integers(0, 300, rng.integers(1, 40))) for _ in range(800)
    ]
    index = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    index.index([text.split() for text in texts], show_progress=False)
    asked = ["w1 w2 w3", "w7 w7", "w250 w9 w10 w11"]

    run = BM25Channel.build(passages(texts), "none").search(queries(*asked), k=20)
    bare = index.retrieve([text.split() for text in asked], k=20, show_progress=False)

    assert run["score"].to_numpy() == pytest.approx(bare.scores.ravel(), rel=1e-6)


def test_words_of_other_scripts_beside_plain_ones():
    table = passages(["Crème brûlée, 東京 guide", "plain creme"])

    run = BM25Channel.build(table, "none").search(queries("crème", "東京", "creme GUIDE"), k=2)

    assert run["passage_id"].tolist() == ["p0", "p0", "p1", "p0"]


def test_a_saved_index_is_mapped_and_answers_the_same(tmp_path):
    channel = BM25Channel.build(passages(TEXTS), "en")
    channel.save(tmp_path / "index")
    loaded = BM25Channel.load(tmp_path / "index")
    asked = queries("portal", "the menu")

    pd.testing.assert_frame_equal(loaded.search(asked, k=3), channel.search(asked, k=3))
    assert isinstance(loaded._index.scores["data"], np.memmap)
    assert loaded.fingerprint == channel.fingerprint


def test_the_fingerprint_follows_text_language_and_constants():
    base = BM25Channel.build(passages(TEXTS), "en").fingerprint

    assert BM25Channel.build(passages(TEXTS), "english").fingerprint == base
    assert BM25Channel.build(passages([*TEXTS[:2], "new"]), "en").fingerprint != base
    assert BM25Channel.build(passages(TEXTS), "de").fingerprint != base
    assert BM25Channel.build(passages(TEXTS), "en", b=0.5).fingerprint != base


def test_a_damaged_index_names_the_folder_and_the_remedy(tmp_path):
    BM25Channel.build(passages(TEXTS), "en").save(tmp_path / "index")
    (tmp_path / "index" / "index.json").write_text("{")

    with pytest.raises(UserError, match=r"index.*--pipeline=mine"):
        BM25Channel.load(tmp_path / "index")


def test_scores_of_an_unknown_passage_are_refused():
    with pytest.raises(ValueError, match="not in the index"):
        BM25Channel.build(passages(TEXTS), "en").scores("portal", ["p0", "elsewhere"])


def test_an_unknown_language_lists_the_known_ones():
    with pytest.raises(UserError, match=r"language='klingon'.*de, .*none"):
        analyzer("klingon")


def test_terms_fold_case_width_and_inflection():
    assert analyzer("en").terms("Running RUNS, ｒｕｎ_2024") == ["run", "run", "run", "2024"]


def test_absent_fields_count_as_empty():
    table = pd.DataFrame({"title": ["T", None], "text": ["x", "y"]})
    assert passage_text(table) == ["T \nx", " \ny"]
