"""BM25: ranking, scores of chosen pairs, persistence."""

from __future__ import annotations

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
