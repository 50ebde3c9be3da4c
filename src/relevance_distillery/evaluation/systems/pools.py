"""Pools of search engines' runs: which pairs have to be graded, and which were."""

from dataclasses import replace

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.collections.system_runs import SystemRuns


def reordered(runs: SystemRuns, grades: pd.Series, best: bool) -> SystemRuns:
    """The runs with tied documents of better grades first, else last.

    `grades` has the grade of each row of `runs.ranked`, missing where there is none.
    """
    keys = runs.ranked[["level"]].assign(
        system=pd.factorize(runs.ranked["system"])[0],
        query=pd.factorize(runs.ranked["query_id"])[0],
        grade=grades.astype("float64").fillna(-np.inf).to_numpy() * (-1 if best else 1),
    )
    order = keys.sort_values(["system", "query", "level", "grade"], kind="stable").index
    ranked = runs.ranked.loc[order].assign(rank=runs.ranked["rank"].to_numpy())
    return replace(runs, ranked=ranked.reset_index(drop=True))


def make_pool(runs: SystemRuns, depth: int) -> pd.DataFrame:
    """Union of the first `depth` documents of all systems.

    Returns:
        Columns query_id, document_id, best_rank (over systems), systems (how many have it
        among their first), a row a pair, in order of query and best rank.
    """
    first = runs.ranked[runs.ranked["rank"] <= depth]
    groups = first.groupby(KEY, sort=False)["rank"]
    pool = groups.agg(best_rank="min", systems="size").reset_index()
    order = pd.factorize(pool["query_id"])[0]
    pool = pool.assign(order=order).sort_values(["order", "best_rank"], kind="stable")
    return pool.drop(columns="order").reset_index(drop=True)


def complete_queries(pool: pd.DataFrame, graded: pd.Series) -> list[str]:
    """Queries of which every pooled document was graded; `graded` tells it of each row."""
    whole = graded.groupby(pool["query_id"], sort=False).all()
    return [str(query) for query in whole.index[whole]]


def judged_share(runs: SystemRuns, depth: int, graded: pd.DataFrame) -> dict[str, float]:
    """Share of each system's first `depth` documents that were graded (judged@k).

    `graded` has one row a graded pair. Pooled over queries; a system without documents is left
    out.
    """
    first = runs.ranked[runs.ranked["rank"] <= depth]
    known = first.merge(graded[KEY].assign(known=True), on=KEY, how="left")["known"].notna()
    shares = known.groupby(first["system"].to_numpy()).mean()
    return {system: float(shares[system]) for system in runs.systems if system in shares}


def with_people(pool: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """The pool and what people (nobody else) graded of its queries.

    Returns:
        Columns query_id, document_id, pooled, best_rank and systems (missing outside the pool),
        human (missing where there is none).
    """
    graded = benchmark.judgments if benchmark.human else benchmark.judgments.iloc[:0]
    graded = graded[graded["query_id"].isin(set(pool["query_id"]))]
    graded = graded[[*KEY, "grade"]].rename(columns={"grade": "human"})
    table = pool.assign(pooled=True).merge(graded, on=KEY, how="outer", sort=False)
    order = table["query_id"].map(
        {name: place for place, name in enumerate(pool["query_id"].unique())}
    )
    table = table.assign(order=order).sort_values(
        ["order", "best_rank"], kind="stable", na_position="last", ignore_index=True
    )
    table["pooled"] = table["pooled"].eq(True)
    for column in ("best_rank", "systems", "human"):
        table[column] = table[column].astype("Int64")
    return table[[*KEY, "pooled", "best_rank", "systems", "human"]]
