from __future__ import annotations

import pandas as pd
import pytest

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.learning.labelled_pairs import class_weights, labelled_pairs
from relevance_distillery.learning.splits import (
    REASONS,
    exclude_benchmarks,
    query_groups,
    split_pairs,
)
from tiny_models import tables

SHARES = {"train": 0.7, "early_stopping": 0.1, "calibration": 0.1, "test": 0.1}
NOTHING = pd.DataFrame({"query_id": [], "text": [], "document_id": []}, dtype=str)


def test_queries_of_one_document_or_one_wording_stay_together() -> None:
    passages = pd.DataFrame(
        {"passage_id": ["a#0", "a#1", "b", "c"], "document_id": ["a", "a", "b", "c"]}
    )
    queries = pd.DataFrame(
        {
            "query_id": ["1", "2", "3", "4", "5"],
            "text": ["Travel  policy", "hotel cap", "travel policy", "visa", "lunch"],
            "passage_id": ["a#0", "a#1", "b", "b", ""],
        }
    )
    groups = query_groups(queries, passages)
    assert len({groups[q] for q in "1234"}) == 1
    assert groups["5"] != groups["1"]


def test_no_group_is_divided_and_shares_are_met() -> None:
    labels, queries, passages = tables(queries=120)
    # Every third query shares its neighbour's seed.
    queries.loc[1::3, "passage_id"] = queries["passage_id"].shift(1)[1::3]
    splits = split_pairs(labels, queries, passages, SHARES, seed=1)
    assert splits.groupby("group")["split"].nunique().max() == 1
    assert splits.groupby("query_id")["group"].nunique().max() == 1
    shares = splits["split"].value_counts(normalize=True)
    for name, share in SHARES.items():
        assert shares[name] == pytest.approx(share, abs=0.04)
    assert splits.equals(split_pairs(labels, queries, passages, SHARES, seed=1))
    assert not splits.equals(split_pairs(labels, queries, passages, SHARES, seed=2))


def test_ten_queries_fill_every_split_and_nine_are_too_few() -> None:
    labels, queries, passages = tables(queries=10)
    splits = split_pairs(labels, queries, passages, SHARES, seed=0)
    assert set(splits["split"]) == set(SHARES)
    with pytest.raises(UserError, match="9 queries"):
        split_pairs(labels[labels["query_id"] != "q0"], queries, passages, SHARES, seed=0)


@pytest.fixture
def collection() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    queries = pd.DataFrame(
        {
            "query_id": ["same", "near", "free"],
            "text": ["Travel policy", "travel policies emea hotels cap 2026", "lunch menu"],
        }
    )
    passages = pd.DataFrame(
        {
            "passage_id": ["d1", "d2#0", "d2#1", "d3"],
            "document_id": ["d1", "d2", "d2", "d3"],
            "title": ["", "", "", ""],
            "text": ["Hotels are capped.", "First half.", "Second half.", "Soup on Monday."],
        }
    )
    labels = pd.DataFrame(
        [(q, p) for q in queries["query_id"] for p in passages["passage_id"]],
        columns=["query_id", "passage_id"],
    )
    return labels, queries, passages


def _benchmark_of(
    queries: pd.DataFrame, judgments: pd.DataFrame, documents: pd.DataFrame | None
) -> Benchmark:
    kind = "same_corpus" if documents is None else "own_corpus"
    return Benchmark("b", kind, True, queries, judgments, NOTHING, documents, DEFAULT_SCALE)


def _benchmark() -> tuple[pd.DataFrame, pd.DataFrame]:
    queries = pd.DataFrame(
        {"query_id": ["b1", "b2"], "text": ["travel POLICY", "Travel policy EMEA hotel cap 2026"]}
    )
    judgments = pd.DataFrame({"query_id": ["b1", "b2"], "document_id": ["d1", "x2"]})
    return queries, judgments


def test_benchmark_queries_near_duplicates_and_pairs_are_kept_out(
    collection: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> None:
    left, facts = exclude_benchmarks(
        *collection, [_benchmark_of(*_benchmark(), None)], "english", 0.8
    )
    assert set(left["query_id"]) == {"free"}
    assert {name: facts["reasons"][name]["pairs"] for name in REASONS} == {
        "judged_pair": 1,
        "benchmark_query": 3,
        "near_duplicate_query": 4,
        "judged_text": 0,
    }
    assert (facts["pairs_before"], facts["pairs_after"]) == (12, 4)
    assert facts["same_collection"]


def test_texts_of_another_collection_are_kept_out(
    collection: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> None:
    queries, _ = _benchmark()
    documents = pd.DataFrame(
        {
            "document_id": ["x1", "x2", "x3", "x4", "x5"],
            "title": [""] * 5,
            "text": ["hotels  are capped.", "First half. Second half.", "a", "b", "c"],
        }
    )
    judgments = pd.DataFrame({"query_id": ["b1"] * 5, "document_id": documents["document_id"]})
    left, facts = exclude_benchmarks(
        *collection, [_benchmark_of(queries, judgments, documents)], "english", 0.8
    )
    # The second text is a document that was split into two passages.
    assert left.values.tolist() == [["free", "d3"]]
    assert facts["reasons"]["judged_text"] == {"pairs": 3, "queries": 1}


def test_on_the_same_collection_documents_may_recur(
    collection: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> None:
    queries, _ = _benchmark()
    documents = pd.DataFrame(
        {
            "document_id": ["d1", "d3", "new"],
            "title": [""] * 3,
            "text": ["Hotels are capped.", "Soup on Monday.", "something else"],
        }
    )
    judgments = pd.DataFrame({"query_id": ["b2"] * 3, "document_id": documents["document_id"]})
    left, facts = exclude_benchmarks(
        *collection, [_benchmark_of(queries, judgments, documents)], "english", 0.8
    )
    assert len(left) == 4
    assert facts["same_collection"]
    assert facts["reasons"]["judged_text"]["pairs"] == 0


def test_every_benchmark_is_kept_out_and_ids_of_one_say_nothing_of_another(
    collection: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> None:
    # Both call their query b1; the second one's judged documents are documents of the run.
    first = _benchmark_of(
        pd.DataFrame({"query_id": ["b1"], "text": ["travel policy"]}),
        pd.DataFrame({"query_id": ["b1"], "document_id": ["none"]}),
        None,
    )
    second = _benchmark_of(
        pd.DataFrame({"query_id": ["b1"], "text": ["lunch menu"]}),
        pd.DataFrame({"query_id": ["b1"], "document_id": ["d3"]}),
        None,
    )
    left, facts = exclude_benchmarks(*collection, [first, second], "english", 0.8)
    kept = set(left["query_id"])
    alone = [exclude_benchmarks(*collection, [one], "english", 0.8)[0] for one in (first, second)]
    assert kept == set(alone[0]["query_id"]) & set(alone[1]["query_id"])
    assert len(kept) == 1
    assert facts["reasons"]["judged_pair"]["pairs"] == 1
    assert facts["reasons"]["benchmark_query"]["queries"] == 2


def test_without_a_benchmark_nothing_is_kept_out(
    collection: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> None:
    left, _ = exclude_benchmarks(
        *collection, [_benchmark_of(NOTHING, NOTHING, None)], "english", 0.8
    )
    assert len(left) == 12


def test_labels_become_targets() -> None:
    labels, queries, passages = tables(queries=3)
    pairs = labelled_pairs(labels, queries, passages, DEFAULT_SCALE)
    assert (pairs.positions == labels["grade"]).all()
    hard = labels["probabilities"].isna().to_numpy()
    assert set(pairs.targets[hard].ravel().tolist()) == {0.0, 1.0}
    assert pairs.targets[~hard].max() == pytest.approx(0.85)
    with pytest.raises(UserError, match="grades 7 are not on the scale"):
        labelled_pairs(labels.assign(grade=7), queries, passages, DEFAULT_SCALE)
    with pytest.raises(UserError, match="2 probabilities for 4 grades"):
        labelled_pairs(
            labels.assign(probabilities=[[0.5, 0.5]] * len(labels)),
            queries,
            passages,
            DEFAULT_SCALE,
        )
    with pytest.raises(UserError, match="unknown passage_id, such as"):
        labelled_pairs(labels, queries, passages.tail(-1), DEFAULT_SCALE)


def test_rare_grades_weigh_more_within_bounds() -> None:
    positions = pd.Series([0] * 900 + [1] * 90 + [3] * 10).to_numpy()
    weights = class_weights(positions, 4, balance=0.5)
    assert weights[0] < weights[1] < weights[3] <= 4
    assert weights[2] == 1
    assert (class_weights(positions, 4, balance=0.0) == 1).all()
