"""Which pairs are graded: bands, seeds, random and recorded passages."""

from __future__ import annotations

from typing import get_args

import pandas as pd
import pytest

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.candidates import Band, choose_candidates, sample_bands
from relevance_distillery.channels.registry import (
    CHANNELS,
    ChannelName,
    ChannelSources,
    search_channels,
)
from relevance_distillery.errors import UserError
from relevance_distillery.schemas import Candidates, Runs

BANDS = (
    Band(first=1, last=5, take=4),
    Band(first=6, last=20, take=3),
    Band(first=21, last=100, take=2),
)


def run_of(query_id: str, length: int) -> pd.DataFrame:
    ranks = range(1, length + 1)
    return pd.DataFrame(
        {
            "query_id": query_id,
            "passage_id": [f"p{rank}" for rank in ranks],
            "rank": list(ranks),
            "score": [100.0 - rank for rank in ranks],
        }
    )


def corpus(size: int = 40) -> pd.DataFrame:
    # Every passage holds the word `common` in a passage of its own length, so that all rank.
    return pd.DataFrame(
        {
            "passage_id": [f"d{n}#0" for n in range(size)],
            "document_id": [f"d{n}" for n in range(size)],
            "text": [f"common word{n} " + "filler " * n for n in range(size)],
        }
    )


def asked(**seeds: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": list(seeds),
            "text": ["common" for _ in seeds],
            "passage_id": list(seeds.values()),
        }
    )


def searched(queries, passages, recorded=None, *, channels=("bm25", "random"), **options):
    settings = {"depth": 500, "random_passages": 2, "seed": 1}
    if recorded is None:
        recorded = pd.DataFrame({"query_id": [], "document_id": []}, dtype="str")
    index = BM25Channel.build(passages, "en")
    sources = ChannelSources(passages, index, recorded, **(settings | options))
    return search_channels(queries, sources, channels)


def mine(queries, passages, recorded=None, *, depth=100, bands=BANDS, seed=1, **options):
    runs, counts = searched(queries, passages, recorded, seed=seed, **options)
    return choose_candidates(
        queries, passages, Runs.validate(runs), counts, depth=depth, bands=bands, seed=seed
    )


def test_every_band_gives_its_share():
    drawn = sample_bands(run_of("q", 100), BANDS, seed=3)

    assert drawn["rank"].between(1, 5).sum() == 4
    assert drawn["rank"].between(6, 20).sum() == 3
    assert drawn["rank"].between(21, 100).sum() == 2
    assert drawn["rank"].is_monotonic_increasing


def test_a_short_ranking_gives_what_it_has():
    assert sample_bands(run_of("q", 7), BANDS, seed=3)["rank"].ge(6).sum() == 2
    assert sample_bands(run_of("q", 0), BANDS, seed=3).empty


def test_draws_of_a_query_do_not_depend_on_other_queries():
    alone = sample_bands(run_of("q", 100), BANDS, seed=3)
    among = sample_bands(pd.concat([run_of("r", 60), run_of("q", 100)]).reset_index(), BANDS, 3)

    assert among[among["query_id"] == "q"]["passage_id"].tolist() == alone["passage_id"].tolist()
    assert not alone.equals(sample_bands(run_of("q", 100), BANDS, seed=4))


def test_random_passages_are_drawn_without_repetition_and_clipped():
    run, _ = searched(asked(q=""), corpus(3), channels=("random",), random_passages=10)

    assert sorted(run["passage_id"]) == ["d0#0", "d1#0", "d2#0"]


def test_more_random_passages_than_there_are_is_said_with_what_it_costs(caplog):
    queries = asked(q="", r="")
    run, _ = searched(queries, corpus(3), channels=("random",), random_passages=99_999_999)

    assert len(run) == 6
    assert caplog.messages == [
        "mining.random_passages=99999999 takes every passage for every query: 6 pairs to grade"
    ]


def test_candidates_satisfy_the_schema_and_hold_every_seed_once():
    queries = asked(q0="d0#0", q1="d39#0", q2="")
    candidates, report = mine(queries, corpus())
    checked = Candidates.validate(candidates)

    seeds = checked[checked["is_seed"]]
    assert seeds.groupby("query_id").size().to_dict() == {"q0": 1, "q1": 1}
    # The seed at the end of the ranking was not drawn, but keeps its true rank.
    assert seeds.set_index("query_id").loc["q1", "channel"] == "bm25"
    assert seeds.set_index("query_id").loc["q1", "rank"] == 40
    assert report["seeds_found"] == 2
    assert report["pairs"] == len(checked.drop_duplicates(["query_id", "passage_id"]))
    assert report["candidates"] == checked["channel"].value_counts().to_dict()


def test_a_seed_beyond_the_depth_is_added_unranked():
    candidates, report = mine(asked(q="d39#0"), corpus(), depth=20, bands=BANDS[:2])
    seed = candidates[candidates["is_seed"]].iloc[0]

    assert (seed["channel"], seed["rank"]) == ("seed", 0)
    assert report["seeds_found"] == 0


def test_random_candidates_are_not_among_the_others():
    candidates, _ = mine(asked(q="d0#0"), corpus(), random_passages=40)

    assert not candidates.duplicated(["query_id", "passage_id"]).any()
    assert len(candidates) == 40


def test_queries_without_hits_and_stale_seeds_are_counted():
    queries = asked(q0="gone#0", q1="").assign(text=["common", "nowhere"])
    candidates, report = mine(queries, corpus(), random_passages=0)

    assert report["seeds_unknown"] == 1
    assert report["queries_without_bm25_hit"] == 1
    assert report["queries_without_candidates"] == 1
    assert not candidates["is_seed"].any()


def test_the_same_seed_gives_the_same_candidates():
    first, _ = mine(asked(q0="d0#0", q1=""), corpus())
    second, _ = mine(asked(q0="d0#0", q1=""), corpus())
    other, _ = mine(asked(q0="d0#0", q1=""), corpus(), seed=2)

    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)


def test_recorded_pairs_are_all_mined_and_strangers_counted():
    recorded = pd.DataFrame(
        {"query_id": ["q", "q", "q", "gone"], "document_id": ["d1", "d2", "nowhere", "d1"]}
    )
    candidates, report = mine(asked(q=""), corpus(), recorded, channels=("recorded",))

    assert candidates["passage_id"].tolist() == ["d1#0", "d2#0"]
    assert set(candidates["channel"]) == {"recorded"}
    assert report["recorded_unknown_documents"] == 1
    assert report["recorded_unknown_queries"] == 1


def test_a_recorded_document_stands_with_all_its_passages():
    passages = corpus(2).assign(passage_id=["d#0", "d#1"], document_id="d")
    grades = pd.DataFrame({"query_id": ["q"], "document_id": ["d"]})

    found, _ = searched(asked(q=""), passages, grades, channels=("recorded",))
    assert found["passage_id"].tolist() == ["d#0", "d#1"]


def test_nothing_to_mine_names_the_stage_to_run():
    with pytest.raises(UserError, match=r"no queries.*synthesize"):
        mine(asked(), corpus())
    with pytest.raises(UserError, match=r"no passages.*synthesize"):
        mine(asked(q=""), corpus(0))


def test_unknown_channels_and_fruitless_mining_are_refused():
    with pytest.raises(UserError, match=r"ann: use some of bm25, dense, .*recorded"):
        mine(asked(q=""), corpus(), channels=("ann",))
    with pytest.raises(UserError, match="grades=FILE"):
        mine(asked(q=""), corpus(), channels=("recorded",))
    elsewhere = pd.DataFrame({"query_id": ["q"], "document_id": ["nowhere"]})
    with pytest.raises(UserError, match="No candidate"):
        mine(asked(q=""), corpus(), elsewhere, channels=("recorded",))


def test_runs_hold_whole_rankings_of_every_channel():
    recorded = pd.DataFrame({"query_id": ["q"], "document_id": ["d1"]})
    runs, _ = searched(asked(q="d0#0", r=""), corpus(), recorded, channels=tuple(CHANNELS))

    assert set(get_args(ChannelName)) == set(CHANNELS)
    assert runs["channel"].drop_duplicates().tolist() == list(CHANNELS)
    bm25 = runs[runs["channel"] == "bm25"]
    assert bm25.groupby("query_id")["rank"].agg(list).tolist() == [list(range(1, 41))] * 2
    assert set(runs.loc[runs["channel"].isin(["random", "recorded"]), "rank"]) == {0}
    short, _ = searched(asked(q="d0#0"), corpus(), depth=7, channels=("bm25",))
    assert short["rank"].max() == 7


def test_runs_deeper_than_the_bands_change_no_candidate():
    queries = asked(q0="d0#0", q1="d39#0", q2="")
    deep, report = mine(queries, corpus(), depth=20, bands=BANDS[:2])
    runs, counts = searched(queries, corpus(), depth=20)
    shallow, same = choose_candidates(
        queries, corpus(), runs, counts, depth=20, bands=BANDS[:2], seed=1
    )

    pd.testing.assert_frame_equal(deep, shallow)
    assert report == same


def engine(**found: list[str]) -> pd.DataFrame:
    rows = [
        ("ours", query, document, rank)
        for query, documents in found.items()
        for rank, document in enumerate(documents, 1)
    ]
    return pd.DataFrame(rows, columns=["system", "query_id", "document_id", "rank"])


def test_a_run_of_an_engine_is_a_channel_with_all_passages_of_its_documents(caplog):
    passages = corpus(6)
    passages.loc[passages["document_id"] == "d4", "document_id"] = "d3"
    run = engine(q=["gone", "d3", "d3#0", "d1#0", "d5"], stranger=["d1"])

    runs, counts = searched(asked(q="", r=""), passages, runs=run, channels=("bm25",), depth=4)

    found = Runs.validate(runs)[runs["channel"] == "run_ours"]
    assert found[["query_id", "passage_id", "rank"]].to_numpy().tolist() == [
        ["q", "d3#0", 2],
        ["q", "d4#0", 2],
        ["q", "d1#0", 4],
    ]
    assert found["score"].is_monotonic_decreasing
    assert counts["run_ours_unknown_documents"] == 1
    assert counts["run_ours_unknown_queries"] == 1
    assert counts["queries_without_run_ours_hit"] == 1
    assert [message for message in caplog.messages if "run_ours" in message] == [
        "run_ours: 1 unknown queries (such as stranger) left out",
        "run_ours: 1 unknown documents (such as gone) left out",
    ]


def test_a_run_of_other_queries_or_documents_is_refused():
    for run in (engine(x=["d1"], y=["d2"]), engine(q=["a", "b"])):
        with pytest.raises(UserError, match=r"run_ours: 2 unknown .* and no known"):
            searched(asked(q=""), corpus(), runs=run)


def test_a_channel_that_finds_nothing_is_said_and_counted(caplog):
    queries = asked(q="").assign(text=["nowhere"])
    runs, counts = searched(queries, corpus(), channels=("bm25", "expansion", "random"))

    assert set(runs["channel"]) == {"random"}
    assert counts["queries_without_expansion_hit"] == counts["queries_without_bm25_hit"] == 1
    assert [message for message in caplog.messages if "expansion" in message] == [
        "the channel expansion found nothing for any of 1 queries"
    ]


def test_a_query_of_ten_thousand_words_is_searched_by_every_channel():
    queries = asked(q="").assign(text=["common filler other " * 3_334])
    channels = ("bm25", "dense", "expansion")
    runs, counts = searched(queries, corpus(12), channels=channels)

    assert runs.groupby("channel").size().to_dict() == dict.fromkeys(channels, 12)
    assert set(counts["overlap"]) == {"10"}
    assert counts["overlap"]["10"]["bm25, expansion"] == 1
