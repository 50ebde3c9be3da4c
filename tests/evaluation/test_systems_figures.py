"""Measures, rank correlations and tests of systems against independent implementations."""

from __future__ import annotations

import itertools
from pathlib import Path

import ir_measures
import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from ppi_py import ppi_mean_ci
from scipy.stats import kendalltau

from relevance_distillery.collections.system_runs import SystemRuns, read_runs
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.ranking import ranking_metrics
from relevance_distillery.evaluation.systems.system_comparison import (
    ap_correlation,
    correlations,
    differences,
    judged_like_people,
    kendall_tau,
    pairwise_tests,
    survival,
)
from relevance_distillery.evaluation.systems.system_means import Options, Values, powered
from relevance_distillery.evaluation.systems.system_measures import (
    as_qrels,
    parse_measures,
    per_query,
)
from relevance_distillery.evaluation.systems.system_report import measure_systems
from relevance_distillery.grading import DEFAULT_SCALE

NAMES = ["nDCG@10", "AP(rel=R)", "P(rel=R)@10", "RR(rel=R)@10", "nDCG"]
FAST = Options(resamples=200, permutations=200)


def random_runs(folder: Path, seed: int = 0, queries: int = 12, systems: int = 3) -> SystemRuns:
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for system in range(systems):
        lines = [
            f"q{q} Q0 d{d} 0 {rng.integers(0, 12)} t\n"
            for q in range(queries)
            for d in rng.permutation(30)[:25]
            if q or system
        ]
        (folder / f"s{system}.run").write_text("".join(lines))
    return read_runs(folder)


def random_grades(seed: int = 1, queries: int = 12) -> dict[str, dict[str, int]]:
    rng = np.random.default_rng(seed)
    return {
        f"q{q}": {f"d{d}": int(rng.integers(0, 4)) for d in rng.permutation(30)[:20]}
        for q in range(queries)
    } | {"q3": {"d1": 0, "d2": 0}}


def as_dict(runs: SystemRuns, system: str) -> dict[str, dict[str, float]]:
    own = runs.ranked[runs.ranked["system"] == system]
    found: dict[str, dict[str, float]] = {}
    for row in own.itertuples():
        found.setdefault(row.query_id, {})[row.document_id] = 1000.0 - row.rank
    return found


def test_measures_are_pytrec_evals(tmp_path: Path) -> None:
    runs, grades = random_runs(tmp_path / "runs"), random_grades()
    queries = list(grades)
    values = per_query(runs, grades, parse_measures(NAMES, DEFAULT_SCALE), queries)
    gains = {q: {d: 2**g - 1 for d, g in rows.items()} for q, rows in grades.items()}
    for place, system in enumerate(runs.systems):
        run = as_dict(runs, system)
        by_gain = pytrec_eval.RelevanceEvaluator(gains, {"ndcg_cut_10", "ndcg"}).evaluate(run)
        by_level = pytrec_eval.RelevanceEvaluator(
            grades, {"map", "P_10", "recip_rank"}, relevance_level=2
        ).evaluate(run)
        for column, query in enumerate(queries):
            one, two = by_gain.get(query, {}), by_level.get(query, {})
            reciprocal = two.get("recip_rank", 0.0)
            expected = [
                one.get("ndcg_cut_10", 0.0),
                two.get("map", 0.0),
                two.get("P_10", 0.0),
                reciprocal if reciprocal >= 0.1 else 0.0,
                one.get("ndcg", 0.0),
            ]
            assert values[:, place, column] == pytest.approx(expected), (system, query)
    assert (values[:, 0, queries.index("q0")] == 0).all()  # not answered
    assert (values[:, :, queries.index("q3")] == 0).all()  # nothing relevant


def test_measures_are_ir_measures_own(tmp_path: Path) -> None:
    runs, grades = random_runs(tmp_path / "runs"), random_grades()
    parsed = parse_measures(["AP(rel=R)", "P(rel=R)@10"], DEFAULT_SCALE)
    values = per_query(runs, grades, parsed, list(grades))
    for place, system in enumerate(runs.systems):
        for row, name in enumerate(["AP(rel=2)", "P(rel=2)@10"]):
            own = ir_measures.parse_measure(name)
            mean = ir_measures.calc_aggregate([own], grades, as_dict(runs, system))[own]
            assert values[row, place].mean() == pytest.approx(mean)


def test_ndcg_has_the_gain_of_the_agreement_report(tmp_path: Path) -> None:
    runs = random_runs(tmp_path / "runs")
    grades = {
        q: {f"d{d}": (d * 7 + n) % 4 for d in range(30)} for n, q in enumerate(random_grades())
    }
    values = per_query(runs, grades, parse_measures(["nDCG"], DEFAULT_SCALE), list(grades))
    query = "q5"
    own = runs.ranked[(runs.ranked["system"] == "s1") & (runs.ranked["query_id"] == query)]
    ranked = dict(zip(own["document_id"], own["rank"], strict=True))
    # A document that the system leaves out gains nothing: all of them behind the last rank.
    left = [name for name in grades[query] if name not in ranked]
    dcg = sum((2 ** grades[query][d] - 1) / np.log2(rank + 1) for d, rank in ranked.items())
    ideal_order = sorted(grades[query].values(), reverse=True)
    ideal = sum((2**g - 1) / np.log2(n + 2) for n, g in enumerate(ideal_order))
    found = values[0, 1, list(grades).index(query)]
    assert left
    assert found == pytest.approx(dcg / ideal)
    same = np.zeros(len(ideal_order), dtype=np.int64)
    ranked_ideally = ranking_metrics(ideal_order, ideal_order, same, 1, relevant=1)
    assert ranked_ideally["ndcg"][0] == pytest.approx(1.0)


def test_unknown_measures_are_refused() -> None:
    for name in ("nonsense", "nDCG@ten", "RBP(rel=2)"):
        with pytest.raises(UserError, match="no measure that can be computed here"):
            parse_measures([name], DEFAULT_SCALE)
    with pytest.raises(UserError, match="is given twice"):
        parse_measures(["AP(rel=R)", "AP(rel=2)"], DEFAULT_SCALE)


scores = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=6)


@given(scores)
def test_tau_is_scipys(pairs: list[tuple[int, int]]) -> None:
    truth, estimate = np.array(pairs, dtype=float).T
    with np.errstate(invalid="ignore"):
        expected = kendalltau(truth, estimate).statistic
    assert kendall_tau(truth, estimate)[0] == pytest.approx(expected, nan_ok=True)


def naive_ap_correlation(truth: list[float], estimate: list[float]) -> float:
    """The definition, literally: every order that breaks the estimate's ties, averaged."""
    size = len(truth)
    found = []
    for order in itertools.permutations(range(size)):
        if any(estimate[a] < estimate[b] for a, b in itertools.pairwise(order)):
            continue
        total = 0.0
        for place in range(1, size):
            here = order[place]
            right = sum(
                1.0 if truth[above] > truth[here] else 0.5 if truth[above] == truth[here] else 0.0
                for above in order[:place]
            )
            total += right / place
        found.append(2.0 / (size - 1) * total - 1.0)
    return float(np.mean(found))


@settings(deadline=None)
@given(scores)
def test_ap_correlation_is_its_definition(pairs: list[tuple[int, int]]) -> None:
    truth, estimate = zip(*pairs, strict=True)
    if len(set(truth)) == 1 or len(set(estimate)) == 1:
        assert np.isnan(ap_correlation(truth, estimate)[0])
        return
    assert ap_correlation(truth, estimate)[0] == pytest.approx(
        naive_ap_correlation(truth, estimate)
    )


def test_ap_correlation_weighs_the_top() -> None:
    truth = np.arange(8, 0, -1.0)
    top, bottom = truth.copy(), truth.copy()
    top[[0, 1]], bottom[[6, 7]] = truth[[1, 0]], truth[[7, 6]]
    assert ap_correlation(truth, truth)[0] == pytest.approx(1.0)
    assert ap_correlation(truth, -truth)[0] == pytest.approx(-1.0)
    assert ap_correlation(truth, top)[0] < ap_correlation(truth, bottom)[0]
    assert kendall_tau(truth, top)[0] == kendall_tau(truth, bottom)[0]
    several = ap_correlation(np.stack([truth, truth]), np.stack([top, bottom]))
    assert several == pytest.approx(
        [ap_correlation(truth, top)[0], ap_correlation(truth, bottom)[0]]
    )


def test_pairwise_tests_are_exact_randomisation_tests() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 9))
    values[1] += 1.0
    found = pairwise_tests(values, permutations=20_000, seed=1)
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=9)))
    for place, (a, b) in enumerate(zip(*np.triu_indices(3, 1), strict=True)):
        apart = values[a] - values[b]
        exact = (np.abs(signs @ apart) >= abs(apart.sum()) - 1e-12).mean()
        assert found.p[place] == pytest.approx(exact, abs=0.015)
    order = np.argsort(found.p)
    by_hand = np.minimum(np.maximum.accumulate(found.p[order] * [3, 2, 1]), 1.0)
    assert found.p_holm[order] == pytest.approx(by_hand)


def test_survivors_flips_and_inventions_are_counted() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=40) * 0.1
    people = np.stack([base, base + 1, base + 2, base + 2 + rng.normal(size=40) * 0.01])
    machine = np.stack([base + 1, base, base + 2, base + 3])
    found = survival(pairwise_tests(people), pairwise_tests(machine), 0.95)
    assert (found["pairs"], found["people"], found["machine"]) == (6, 5, 6)
    assert (found["survive"], found["flip"], found["machine_alone"]) == (4, 1, 1)
    assert (found["lost"], found["survive_share"], found["flip_share"]) == (0, 0.8, 0.2)


def values(seed: int = 0, systems: int = 3, queries: int = 40, human: int = 15) -> Values:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(size=(systems, queries)) / 2 + np.arange(systems)[:, None] / 5
    machine = truth + rng.normal(size=truth.shape) * 0.1 + 0.2
    people = truth.copy()
    people[:, human:] = np.nan
    everywhere = {"m": np.ones(queries, dtype=bool)}
    return Values(people, {"m": machine}, np.where(np.isnan(people), machine, people), everywhere)


def test_prediction_powered_means_are_ppi_pythons_in_their_normal_form() -> None:
    table = values()
    found = powered(table, "m", np.array([0.0, 1.0, 0.0]), 0.95)
    low, high = ppi_mean_ci(
        table.people[1, :15], table.machine["m"][1, :15], table.machine["m"][1, 15:],
        alpha=0.05, lam=found.power,
    )  # fmt: skip
    # Ours takes t quantiles and unbiased variances: the same centre, a little wider.
    assert found.interval.estimate == pytest.approx((low[0] + high[0]) / 2, abs=1e-6)
    assert 1.0 < (found.interval.high - found.interval.low) / (high[0] - low[0]) < 1.3


def test_means_of_few_queries_stay_within_what_a_measure_can_be() -> None:
    rng = np.random.default_rng(0)
    people = np.full((2, 30), np.nan)
    people[:, :3] = [[1.0, 0.6, 1.0], [0.1, 0.5, 0.3]]
    machine = np.clip(rng.normal(0.9, 0.1, people.shape), 0.0, 1.0)
    everywhere = {"m": np.ones(30, dtype=bool)}
    table = Values(people, {"m": machine}, np.where(np.isnan(people), machine, people), everywhere)
    alone = powered(table, "m", np.array([1.0, 0.0]), 0.95)
    for found in (alone.interval, alone.classical):
        assert 0.0 <= found.low < found.high == 1.0
    apart = powered(table, "m", np.array([1.0, -1.0]), 0.95).interval
    assert -1.0 <= apart.low < apart.high == 1.0
    (pair,) = differences(("a", "b"), Values(people[:, :3], {}, people[:, :3]), FAST)["pairs"]
    assert -1.0 <= pair["low"] < pair["high"] == 1.0
    gains = Values(10 * people, {"m": 10 * machine}, table.mixed, everywhere)
    assert powered(gains, "m", np.array([1.0, 0.0]), 0.95).interval.high > 10.0


def test_queries_learned_from_people_never_correct() -> None:
    table = values()
    learned = np.ones(40, dtype=bool)
    learned[[0, 1, 2, 20]] = False
    fewer = Values(table.people, table.machine, table.mixed, {"m": learned})
    found = powered(fewer, "m", np.array([1.0, 0.0, 0.0]), 0.95)
    assert (found.human_units, found.machine_units) == (12, 24)
    spoiled = table.machine["m"].copy()
    spoiled[:, [0, 1, 2, 20]] = 99.0
    other = Values(table.people, {"m": spoiled}, table.mixed, {"m": learned})
    assert powered(other, "m", np.array([1.0, 0.0, 0.0]), 0.95) == found


def test_differences_rest_on_the_best_grades() -> None:
    table = values(human=15)
    assert differences(("a", "b", "c"), table, FAST)["basis"] == "prediction_powered"
    whole = values(human=40)
    found = differences(("a", "b", "c"), whole, FAST)
    assert found["basis"] == "people"
    assert found["ranking"] == [["c"], ["b"], ["a"]]
    pair = found["pairs"][0]
    apart = whole.people[0] - whole.people[1]
    assert pair["estimate"] == pytest.approx(apart.mean(), abs=1e-6)
    assert pair["sure"]
    alone = differences(("a", "b", "c"), values(human=0), FAST)
    assert (alone["basis"], alone["judge"]) == ("machine", "m")


def test_identical_systems_tie_and_nothing_is_made_up() -> None:
    table = values(human=15)
    people, machine = table.people[[0, 0]], table.machine["m"][[0, 0]]
    same = Values(people, {"m": machine}, machine, table.correcting)
    found = differences(("a", "b"), same, FAST)
    assert found["ranking"] == [["a", "b"]]
    assert found["pairs"][0]["p"] is None
    assert "same value in every query" in found["pairs"][0]["reason"]
    like = judged_like_people(same, "m", FAST)
    assert like["kendall_tau"]["estimate"] is None
    assert "same mean" in like["kendall_tau"]["reason"]
    assert like["conclusions"]["survive_share"] is None


def table_of(runs: SystemRuns, grades: dict[str, dict[str, int]], human: int) -> pd.DataFrame:
    rows = [(q, d, g) for q, pairs in grades.items() for d, g in pairs.items()]
    table = pd.DataFrame(rows, columns=["query_id", "document_id", "m_grade"])
    table["pooled"] = True
    kept = table["query_id"].isin(list(grades)[:human])
    table["human"] = table["m_grade"].where(kept).astype("Int64")
    table["m_grade"] = table["m_grade"].astype("Int64")
    return table


def test_without_people_no_interval_pretends_to_know_the_machines_errors(tmp_path: Path) -> None:
    runs, grades = random_runs(tmp_path / "runs"), random_grades()
    found = measure_systems(
        runs, table_of(runs, grades, 0), ["m"], parse_measures(NAMES[:2], DEFAULT_SCALE), {}, FAST
    )
    assert not found["human"]
    assert found["judges"] == {}
    for system in found["systems"].values():
        figures = system["measures"]["nDCG@10"]
        assert "prediction_powered" not in figures
        assert figures["people"]["estimate"] is None
        assert figures["people"]["reason"]
        assert figures["machine"]["m"]["queries"] == 12


def test_one_system_one_query_one_grade(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "only.run").write_text("q1 Q0 d1 1 2 t\nq1 Q0 d2 2 1 t\n")
    runs = read_runs(folder)
    grades = {"q1": {"d1": 0, "d2": 0}}
    found = measure_systems(
        runs, table_of(runs, grades, 1), ["m"], parse_measures(NAMES[:2], DEFAULT_SCALE), {}, FAST
    )
    figures = found["systems"]["only"]["measures"]["nDCG@10"]
    assert figures["people"] == {
        "estimate": 0.0, "low": None, "high": None, "reason": "one query only", "queries": 1,
    }  # fmt: skip
    assert found["differences"]["pairs"] == []
    assert found["judges"]["m"]["nDCG@10"]["kendall_tau"]["reason"].startswith("one system only")
    assert any("one system only" in line for line in found["warnings"])


def test_ungraded_documents_are_no_grades() -> None:
    table = pd.DataFrame(
        {"query_id": ["a", "a", "b"], "document_id": ["x", "y", "x"], "g": [1, None, None]}
    ).astype({"g": "Int64"})
    assert as_qrels(table, "g") == {"a": {"x": 1}}


def test_a_query_counts_as_people_s_only_when_its_whole_pool_was_graded(tmp_path: Path) -> None:
    runs, grades = random_runs(tmp_path / "runs"), random_grades()
    table = table_of(runs, grades, 6)
    first = table["query_id"] == "q0"
    table.loc[table.index[first][:2], "human"] = pd.NA
    measures = parse_measures(NAMES[:1], DEFAULT_SCALE)
    found = measure_systems(runs, table, ["m"], measures, {}, FAST)
    assert found["queries"]["human"] == 5
    assert found["queries"]["partly_human"] == 1
    assert found["queries"]["pairs_to_complete_those"] == 2
    assert found["systems"]["s1"]["measures"]["nDCG@10"]["people"]["queries"] == 5
    assert found["judges"]["m"]["nDCG@10"]["queries"] == 5
    # Ungraded below the pool does no harm.
    table.loc[table.index[first][:2], "pooled"] = False
    assert measure_systems(runs, table, ["m"], measures, {}, FAST)["queries"]["human"] == 6


def test_intervals_of_correlations_are_percentiles_within_bounds() -> None:
    table = values(systems=5, queries=40, human=40)
    found = correlations(table.people, table.machine["m"], resamples=300, seed=1)
    rng_free = correlations(table.people, table.machine["m"], resamples=300, seed=1)
    assert found == rng_free
    for interval in found.values():
        assert -1.0 <= interval.low <= interval.high <= 1.0
    one = correlations(table.people[:, :1], table.machine["m"][:, :1])
    assert np.isnan(one["kendall_tau"].low)
