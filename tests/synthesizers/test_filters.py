"""The filters, each with a query it must drop and one it must keep."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.synthesizers import filters
from relevance_distillery.text.language import Language

ENGLISH = Language("en")


def queries(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["text", "style", "passage_id"])
    return table.assign(query_id=[f"q{n}" for n in range(len(table))])


def test_overlap_sees_endings_order_and_stop_words():
    texts = ["the travel policies emea", "Emea Policy Travel", "travel policy apac", "pto"]
    reference = ["travel policy EMEA", "what is PTO"]
    assert filters.overlapping(texts, reference, ENGLISH).tolist() == [True, True, False, True]
    assert not filters.overlapping(texts, [], ENGLISH).any()


def test_overlap_threshold_is_jaccard():
    text, reference = ["alpha beta gamma delta"], ["alpha beta gamma delta epsilon"]
    assert filters.overlapping(text, reference, ENGLISH, 0.8).tolist() == [True]
    assert filters.overlapping(text, reference, ENGLISH, 0.81).tolist() == [False]


def test_duplicates_keep_the_first_and_every_real_query():
    table = queries(
        ("hotel cap", "real", ""),
        ("Hotel caps?", "keyword", "p"),
        ("the hotel cap", "real", ""),
        ("train cap", "keyword", "p"),
    )
    assert filters.duplicates(table, ENGLISH).tolist() == [False, True, False, False]


def test_too_common_counts_documents_that_hold_all_words(passages):
    table = queries(("a", "short", ""), ("tripline", "short", ""), ("zebra", "short", ""))
    assert filters.too_common(table, passages, ENGLISH, 0.1, 3).tolist() == [True, False, False]
    assert filters.too_common(table, passages, ENGLISH, 0.1, 1).tolist() == [True, True, False]


def test_round_trip_looks_for_the_seed_document(passages):
    seed = passages["passage_id"][7]
    table = queries(("ferrous steering", "known_item", seed), ("hotel cap", "keyword", seed))
    assert filters.not_retrieved(table, passages, ENGLISH, k=2).tolist() == [False, True]


def test_the_filter_counts_by_style_and_spares_real_queries():
    remaining = filters.QueryFilter(
        queries(("a", "real", ""), ("b", "short", ""), ("c", "keyword", ""))
    )
    remaining.drop("one", lambda table: (table["text"] != "c").to_numpy())
    assert remaining.dropped == {"one": {"short": 1}}
    assert remaining.queries["text"].tolist() == ["a", "c"]
    remaining.drop("two", lambda table: (table["text"] == "a").to_numpy(), synthetic_only=False)
    assert remaining.queries["text"].tolist() == ["c"]
