"""Figures of retrieval.json, by hand and against ir_measures."""

from __future__ import annotations

import itertools
import json
from math import log2
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.retrieval import (
    EMBARRASSING,
    FLOOR,
    JUDGED,
    PRIMARY,
    REMOVED,
    measure_rankings,
    query_values,
    summarise,
)
from relevance_distillery.evaluation.statistics.randomization import sign_flips
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale

FAST = Options(resamples=200, permutations=500)
FACTS = {"name": "set", "human": True, "kind": "own_corpus"}
NAMES = [PRIMARY, "AP(rel=2)", "R(rel=2)@100", "P(rel=2)@10", "RR(rel=2)@10"]


def ranking(**queries: str) -> pd.DataFrame:
    """`ranking(q1="a b")`: the document a first, b second."""
    rows = [
        (query, document, rank)
        for query, text in queries.items()
        for rank, document in enumerate(text.split(), 1)
    ]
    return pd.DataFrame(rows, columns=["query_id", "document_id", "rank"])


def graded(**queries: str) -> pd.DataFrame:
    """`graded(q1="a3 b0")`: the document a has the grade 3."""
    rows = [
        (query, part[:-1], int(part[-1]))
        for query, text in queries.items()
        for part in text.split()
    ]
    return pd.DataFrame(rows, columns=["query_id", "document_id", "grade"])


def random_set(queries: int = 30) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Rankings as deep as 130 of three systems, a few grades a query, some without anything."""
    rng = np.random.default_rng(3)
    rankings = {}
    for system in ("bm25", "untrained", "retriever"):
        texts = {
            f"q{q}": " ".join(f"d{d}" for d in rng.permutation(150)[: rng.integers(3, 130)])
            for q in range(queries)
            if q or system != "bm25"
        }
        rankings[system] = ranking(**texts).sample(frac=1.0, random_state=1)
    grades = graded(
        **{
            f"q{q}": " ".join(
                f"d{d}{rng.integers(0, 2 if q == 4 else 4)}"
                for d in rng.permutation(170)[: rng.integers(1, 60)]
            )
            for q in range(queries)
        }
    )
    return rankings, grades.astype({"grade": "Int64"})


def test_the_measures_are_ir_measures_own() -> None:
    rankings, grades = random_set()
    values = query_values(rankings, grades, DEFAULT_SCALE)
    qrels = grades.rename(columns={"document_id": "doc_id", "grade": "relevance"})
    qrels = qrels.astype({"relevance": "int64"})
    parsed = {name: ir_measures.parse_measure(name) for name in NAMES}
    parsed[PRIMARY] = ir_measures.nDCG(gains={0: 0, 1: 1, 2: 3, 3: 7}) @ 10
    relevant = set(grades["query_id"][grades["grade"] >= 2])
    assert 0 < len(relevant) < 30
    for system, ranks in rankings.items():
        run = ranks.rename(columns={"document_id": "doc_id"}).assign(score=-ranks["rank"])
        condensed = run.merge(qrels[["query_id", "doc_id"]], on=["query_id", "doc_id"])
        for prefix, table in (("", run), ("condensed_", condensed)):
            for name, measure in parsed.items():
                own = dict.fromkeys(relevant, 0.0) | {
                    row.query_id: row.value
                    for row in ir_measures.iter_calc([measure], qrels, table)
                    if row.query_id in relevant
                }
                mine = values[prefix + name].xs(system, level="system")
                assert mine.dropna().to_dict() == pytest.approx(own), (system, prefix, name)


def test_one_query_by_hand() -> None:
    values = query_values(
        {"one": ranking(q1="x a b c")}, graded(q1="a3 b0 c2 d1"), DEFAULT_SCALE
    ).loc[("q1", "one")]
    best = 7 + 3 / log2(3) + 1 / log2(4)
    assert values[NAMES].tolist() == pytest.approx(
        [(7 / log2(3) + 3 / log2(5)) / best, (1 / 2 + 2 / 4) / 2, 1.0, 0.2, 0.5]
    )
    assert values[[f"condensed_{name}" for name in NAMES]].tolist() == pytest.approx(
        [(7 + 3 / log2(4)) / best, (1 + 2 / 3) / 2, 1.0, 0.2, 1.0]
    )
    assert values[[JUDGED, EMBARRASSING, FLOOR]].tolist() == pytest.approx([3 / 4, 1 / 3, 1 / 4])


def test_only_the_first_ten_are_embarrassing_and_a_perfect_ranking_fills_them() -> None:
    lowest = [f"z{n}" for n in range(12)]
    grades = graded(q1=" ".join([*(f"{name}0" for name in lowest), "a3", "b1", "c2"]))
    worst = ranking(q1=" ".join([*lowest, "a", "b", "c"]))
    best = ranking(q1=" ".join(["a", "b", "c", *lowest]))
    values = query_values({"worst": worst, "best": best}, grades, DEFAULT_SCALE)
    assert values[EMBARRASSING].tolist() == [1.0, 0.7]
    assert values[FLOOR].tolist() == [0.7, 0.7]
    assert values[PRIMARY].tolist() == pytest.approx(
        [0.0, (7 + 1 / log2(3) + 3 / 2) / (7 + 3 / log2(3) + 1 / 2)]
    )


def test_the_lowest_grade_and_relevance_are_the_scale_s() -> None:
    names = {-1: "junk", 2: "fair", 5: "good"}
    scale = GradeScale(
        grades=tuple(Grade(value=value, name=name) for value, name in names.items()),
        relevant_from=5,
    )
    grades = graded(q1="a5 b2").assign(grade=[5, -1])
    values = query_values({"s": ranking(q1="b a")}, grades, scale).iloc[0]
    assert values["AP(rel=5)"] == 0.5
    assert values[PRIMARY] == pytest.approx(1 / log2(3))
    assert values[EMBARRASSING] == 0.5


def test_what_cannot_be_measured_is_left_out_and_counted() -> None:
    rankings = {
        "untrained": ranking(q1="a b", q2="a", q3="x y", q9="a"),
        "retriever": ranking(q1="b a", q2="b"),
    }
    grades = graded(q1="a3 b0", q2="a0 b1", q3="a3", q4="a2")
    found = measure_rankings(rankings, grades, DEFAULT_SCALE, FACTS, FAST)
    assert found["benchmark"] == FACTS | {"pairs": 6, "queries": 4}
    assert found["queries"] == {
        "graded": 4,
        "not_graded": 1,
        "without_relevant": 1,
        "unanswered": {"untrained": 1, "retriever": 2},
        "without_judged_in_top_10": {"untrained": 2, "retriever": 2},
        "bands": {},
    }
    untrained, retriever = found["systems"]["untrained"], found["systems"]["retriever"]
    # q2 has no relevant document; q3 and q4 count as 0, the latter was not answered.
    assert untrained[PRIMARY]["estimate"] == pytest.approx(1 / 3, abs=1e-6)
    assert untrained["RR(rel=2)@10"]["estimate"] == pytest.approx(1 / 3, abs=1e-6)
    assert untrained[JUDGED]["estimate"] == pytest.approx(2 / 3, abs=1e-6)
    assert untrained[EMBARRASSING]["estimate"] == pytest.approx(0.75)
    assert retriever[EMBARRASSING]["estimate"] == pytest.approx(0.25)
    assert any("4 queries" in line for line in found["warnings"])
    json.dumps(found, allow_nan=False)


def test_no_grade_in_the_top_ten_and_no_relevant_document_are_null_with_a_reason() -> None:
    rankings = {"untrained": ranking(q1="x y", q2="z"), "retriever": ranking(q1="x", q2="z")}
    found = measure_rankings(rankings, graded(q1="a0", q2="b1"), DEFAULT_SCALE, FACTS, FAST)
    row = found["systems"]["retriever"]
    for name in (PRIMARY, EMBARRASSING, FLOOR):
        assert row[name]["estimate"] is None
        assert row[name]["reason"] == "no query has a value"
    assert "nothing is removable" in row[REMOVED]["reason"]
    assert row[JUDGED]["estimate"] == 0.0
    apart = found["differences"]["retriever"][PRIMARY]
    assert (apart["estimate"], apart["p"], apart["relative"]) == (None, None, None)
    assert apart["reason"] == "no query has a value in both"


@pytest.mark.parametrize("empty", [True, False])
def test_one_system_or_an_empty_ranking(empty: bool) -> None:
    table = ranking(q1="a") if not empty else ranking(q1="a").iloc[:0]
    found = measure_rankings({"only": table}, graded(q1="a3"), DEFAULT_SCALE, FACTS, FAST)
    assert list(found["systems"]) == ["only"]
    assert REMOVED not in found["systems"]["only"]
    assert found["differences"] == found["curriculum_minus"] == found["retriever_minus"] == {}
    row = found["systems"]["only"][PRIMARY]
    assert (row["estimate"], row["low"]) == (0.0 if empty else 1.0, None)
    assert found["systems"]["only"][EMBARRASSING]["estimate"] == (None if empty else 0.0)


def table(**systems: dict[str, list[float]]) -> pd.DataFrame:
    """Values as of `query_values`: by system and metric one of each query."""
    parts = {
        name: pd.DataFrame(metrics).rename_axis("query_id") for name, metrics in systems.items()
    }
    return pd.concat(parts, names=["system"]).swaplevel()


def row(ndcg: list[float], rate: list[float], floor: list[float]) -> dict[str, list[float]]:
    return {PRIMARY: ndcg, JUDGED: [1.0] * len(ndcg), EMBARRASSING: rate, FLOOR: floor}


def test_removed_is_the_share_of_what_can_be_removed() -> None:
    nan = np.nan
    untrained = row([0.5] * 4, [0.6, 0.4, 0.5, nan], [0.2, 0.1, 0.5, nan])
    better = row([0.5] * 4, [0.4, 0.3, 0.4, 0.9], [0.2, 0.1, 0.5, 0.1])
    found = summarise(table(untrained=untrained, better=better), FAST)["systems"]
    # The last query has no rate before, so it is not part of it.
    assert found["better"][REMOVED]["estimate"] == pytest.approx(0.4 / 0.7, abs=1e-6)
    assert found["better"][REMOVED]["low"] < 0.4 / 0.7 < found["better"][REMOVED]["high"]
    assert REMOVED not in found["untrained"]
    perfect = untrained | {EMBARRASSING: untrained[FLOOR]}
    found = summarise(table(untrained=perfect, better=better), FAST)["systems"]
    assert found["better"][REMOVED]["estimate"] is None
    assert "nothing is removable" in found["better"][REMOVED]["reason"]


def random_values(queries: int = 40, **gains: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.6, queries)
    return table(
        **{
            name: row(
                list(base + gain + rng.uniform(-0.05, 0.05, queries)),
                list(rng.uniform(0.3, 0.5, queries) - gain),
                [0.1] * queries,
            )
            for name, gain in gains.items()
        }
    )


def test_differences_are_paired_by_query() -> None:
    values = random_values(untrained=0.0, bm25=-0.1, curriculum=0.1, one_stage=0.09)
    found = summarise(values, FAST)
    by_query = values[PRIMARY].unstack("system")
    gap = (by_query["curriculum"] - by_query["untrained"]).mean()
    apart = found["differences"]["curriculum"][PRIMARY]
    assert apart["estimate"] == pytest.approx(gap, abs=1e-6)
    assert apart["relative"] == pytest.approx(gap / by_query["untrained"].mean(), abs=1e-6)
    # Queries differ much, the two on each of them little.
    assert apart["high"] - apart["low"] < 0.05
    mean = found["systems"]["curriculum"][PRIMARY]
    assert mean["high"] - mean["low"] > 0.05
    assert apart["p"] == apart["p_raw"] < 0.01
    assert set(found["differences"]) == {"bm25", "curriculum", "one_stage"}
    assert set(found["curriculum_minus"]) == {"untrained", "bm25", "one_stage"}
    assert found["curriculum_minus"]["untrained"] == found["differences"]["curriculum"]
    assert found["retriever_minus"] == {}
    assert FLOOR not in found["differences"]["curriculum"]


def test_all_but_the_primary_metric_are_corrected() -> None:
    apart = summarise(random_values(untrained=0.0, other=0.02), FAST)["differences"]["other"]
    others = [name for name in apart if name != PRIMARY]
    assert apart[PRIMARY]["p"] == apart[PRIMARY]["p_raw"]
    raw = sorted(apart[name]["p_raw"] for name in others)
    by_hand = np.minimum(np.maximum.accumulate(np.array(raw) * [2, 1]), 1.0)
    assert sorted(apart[name]["p"] for name in others) == pytest.approx(by_hand, abs=1e-5)


def test_flips_of_signs_are_the_exact_randomisation_test() -> None:
    apart = np.random.default_rng(0).normal(0.4, 1.0, size=(3, 10))
    apart[1, 5:] = 0.0
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=10)))
    exact = (np.abs(apart @ signs.T) >= np.abs(apart.sum(1))[:, None] - 1e-12).mean(1)
    assert sign_flips(apart, 20_000, seed=1) == pytest.approx(exact, abs=0.015)


def test_bands_are_measured_by_themselves() -> None:
    values = random_values(untrained=0.0, retriever=0.1)
    bands = {query: "head" if query < 10 else "tail" for query in range(40)}
    found = summarise(values, FAST, bands)
    assert list(found["bands"]) == ["head", "tail"]
    assert found["queries"]["bands"] == {"head": 10, "tail": 30}
    own = values[PRIMARY].xs("retriever", level="system")
    for band, kept in (("head", own[:10]), ("tail", own[10:])):
        estimate = found["bands"][band]["retriever"][PRIMARY]["estimate"]
        assert estimate == pytest.approx(kept.mean(), abs=1e-6)


def test_sets_and_seeds_are_pooled() -> None:
    """Seeds are averaged within queries: more of them never make an interval shorter by count."""
    one, other = (random_values(untrained=0.0, retriever=0.1) for _ in range(2))
    seeds = pd.concat([one, one]).groupby(level=["query_id", "system"], sort=False).mean()
    assert summarise(seeds, FAST) == summarise(one, FAST)
    pooled = pd.concat({"chorus": one, "antique": other}, names=["set"])
    found = summarise(pooled, FAST, {("chorus", 3): "head"})
    assert found["queries"]["graded"] == 80
    assert found["queries"]["bands"] == {"head": 1}
    single: Any = summarise(one, FAST)["systems"]["retriever"][PRIMARY]
    assert found["systems"]["retriever"][PRIMARY]["estimate"] == single["estimate"]
    assert found["systems"]["retriever"][PRIMARY]["low"] > single["low"]


def test_the_same_input_gives_the_same_figures() -> None:
    rankings, grades = random_set()
    first = measure_rankings(rankings, grades, DEFAULT_SCALE, FACTS, FAST)
    shuffled = {name: part.sample(frac=1.0, random_state=7) for name, part in rankings.items()}
    assert measure_rankings(shuffled, grades, DEFAULT_SCALE, FACTS, FAST) == first


def test_what_is_recovered_of_a_reference_is_paired_by_query() -> None:
    rankings, grades = random_set()
    facts: dict[str, Any] = {**FACTS}
    found = measure_rankings(rankings, grades, DEFAULT_SCALE, facts, FAST, None, "untrained")
    assert set(found["recovered"]) == {"bm25", "retriever"}
    values = query_values(rankings, grades, DEFAULT_SCALE)
    for name, kept in (("nDCG@10", PRIMARY), ("P@10", "P(rel=2)@10"), ("R@100", "R(rel=2)@100")):
        means = values[kept].unstack("system").mean()
        row = found["recovered"]["bm25"][name]
        assert row["estimate"] == pytest.approx(means["bm25"] / means["untrained"], abs=1e-5)
        assert row["low"] < row["estimate"] < row["high"]
    tops = {
        name: table[table["rank"] <= 10].groupby("query_id")["document_id"].agg(set)
        for name, table in rankings.items()
    }
    graded_queries = grades["query_id"].unique()
    shares = [
        len(tops["untrained"][q] & tops["bm25"].get(q, set())) / len(tops["untrained"][q])
        for q in graded_queries
        if q in tops["untrained"]
    ]
    row = found["recovered"]["bm25"]["top_10_in_common"]
    assert row["estimate"] == pytest.approx(np.mean(shares), abs=1e-5)
    # A system that ranks as the reference keeps all of it, without any doubt.
    twins = {"reference": rankings["bm25"], "static": rankings["bm25"]}
    same = measure_rankings(twins, grades, DEFAULT_SCALE, facts, FAST, None, "reference")
    for name in ("nDCG@10", "condensed_nDCG@10", "top_10_in_common"):
        assert same["recovered"]["static"][name]["estimate"] == 1.0
    row = same["recovered"]["static"]["nDCG@10"]
    assert row["low"] in (1.0, None)
