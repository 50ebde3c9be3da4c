"""The content of evaluation.json: which system is better, how sure, and how far to trust whom."""

from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.judgments import KEY
from relevance_distillery.collections.system_runs import SystemRuns
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.evaluation.systems.pools import complete_queries, judged_share, reordered
from relevance_distillery.evaluation.systems.system_comparison import (
    differences,
    judged_like_people,
)
from relevance_distillery.evaluation.systems.system_means import Options, Values, system_json
from relevance_distillery.evaluation.systems.system_measures import Measure, as_qrels, per_query

FEW_QUERIES = 20
"""Below so many human queries a correction of the machine is warned of."""

_MANY_UNGRADED = 0.05


def measure_systems(
    runs: SystemRuns,
    grades: pd.DataFrame,
    judges: list[str],
    measures: list[Measure],
    learned: dict[str, set[str]],
    options: Options,
    weight: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Everything about systems that follows from their runs and a table of grades.

    `grades` has the columns query_id, document_id, pooled (a system has it among its first
    `depth`), human (people's grade, missing where there is none) and JUDGE_grade for each judge. Of
    judges and measures the first one decides, and the first judge grades what people did not.
    `learned` has by judge the queries that it learned from people's grades: they never correct it.
    `weight` says how many queries each one stands for, where queries were drawn.

    Returns:
        Keys queries, systems, differences, judges, measures, warnings; see
        docs/pipelines/evaluating.md.
    """
    queries = [str(query) for query in runs.ranked["query_id"].drop_duplicates()]
    pool = grades[grades["pooled"]]
    whole = complete_queries(pool, pool["human"].notna())
    mixed = grades["human"]
    if judges:
        mixed = mixed.fillna(grades[f"{judges[0]}_grade"])
    graded = grades.assign(mixed_grade=mixed)
    people = per_query(runs, as_qrels(grades, "human"), measures, queries)
    people[:, :, ~np.isin(queries, whole)] = np.nan
    machine = {
        judge: per_query(runs, as_qrels(grades, f"{judge}_grade"), measures, queries)
        for judge in judges
    }
    mixed_values = per_query(runs, as_qrels(graded, "mixed_grade"), measures, queries)
    correcting = {judge: ~np.isin(queries, sorted(learned.get(judge, set()))) for judge in judges}
    weights = None if weight is None else np.array([weight.get(one, 1.0) for one in queries])
    by_measure = {
        measure.name: Values(
            people=people[row],
            machine={judge: values[row] for judge, values in machine.items()},
            mixed=mixed_values[row],
            correcting=correcting,
            weight=weights,
        )
        for row, measure in enumerate(measures)
    }
    primary = by_measure[measures[0].name]
    missing = pool[pool["human"].isna()].groupby("query_id", sort=False).size()
    started = set(pool.loc[pool["human"].notna(), "query_id"]) - set(whole)
    share = judged_share(runs, options.depth, graded[graded["human"].notna()])
    answered = runs.ranked.groupby("system")["query_id"].nunique()
    ties = _tie_ranges(runs, graded, measures, queries)
    found: dict[str, Any] = {
        "measures": [{"name": one.name, "says": one.says} for one in measures],
        "human": bool(pool["human"].notna().any()),
        "queries": {
            "all": len(queries),
            "human": len(whole),
            "partly_human": len(started),
            "pairs_to_complete_those": int(missing[missing.index.isin(started)].sum()),
            "correcting": {judge: int(primary.both(judge).sum()) for judge in judges},
            "learned_from_people": {
                judge: len(set(whole) & learned.get(judge, set())) for judge in judges
            },
            "without_any_grade": int((~np.isfinite(primary.mixed).all(0)).sum()),
        },
        "pool": {
            "depth": options.depth,
            "pairs": len(pool),
            "graded_by_people": int(pool["human"].notna().sum()),
            "graded_by": {judge: int(pool[f"{judge}_grade"].notna().sum()) for judge in judges},
        },
        "systems": {
            name: {
                **runs.facts[name],
                "unanswered": len(queries) - int(answered.get(name, 0)),
                "judged_by_people": number(share.get(name)),
                "order_of_ties": ties.get(name, {}),
                "measures": {
                    measure: system_json(values, place, options)
                    for measure, values in by_measure.items()
                },
            }
            for place, name in enumerate(runs.systems)
        },
        "differences": differences(runs.systems, primary, options),
        "judges": {
            judge: {
                name: judged_like_people(values, judge, options)
                for name, values in by_measure.items()
            }
            for judge in judges
            if primary.complete.any()
        },
    }
    found["warnings"] = _warnings(found, measures, options)
    return found


def _tie_ranges(
    runs: SystemRuns, grades: pd.DataFrame, measures: list[Measure], queries: list[str]
) -> dict[str, dict[str, Any]]:
    """By system and measure the lowest and highest mean that any order of ties gives."""
    tied = runs.ranked.duplicated(["system", "query_id", "level"], keep=False)
    systems = tuple(name for name in runs.systems if name in set(runs.ranked["system"][tied]))
    if not systems:
        return {}
    kept = runs.ranked[runs.ranked["system"].isin(systems)].reset_index(drop=True)
    some = SystemRuns(kept, systems, runs.facts)
    graded = kept.merge(grades[[*KEY, "mixed_grade"]], on=KEY, how="left")["mixed_grade"]
    qrels = as_qrels(grades, "mixed_grade")
    worst, best = (
        np.nanmean(per_query(reordered(some, graded, best), qrels, measures, queries), axis=2)
        if qrels
        else np.full((len(measures), len(systems)), np.nan)
        for best in (False, True)
    )
    return {
        name: {
            measure.name: {"lowest": number(worst[row, place]), "highest": number(best[row, place])}
            for row, measure in enumerate(measures)
        }
        for place, name in enumerate(systems)
    }


def _warnings(found: dict[str, Any], measures: list[Measure], options: Options) -> list[str]:
    """What a reader has to know before any figure."""
    said: list[str] = []
    queries, pool = found["queries"], found["pool"]
    corrected = {judge: n for judge, n in queries["correcting"].items() if 0 < n < FEW_QUERIES}
    if 0 < queries["human"] == queries["all"] < FEW_QUERIES:
        said.append(
            f"There are {queries['all']} queries only; with fewer than {FEW_QUERIES} the intervals "
            "are not to be relied on."
        )
    elif corrected:
        fewest = min(corrected.values())
        said.append(
            f"Only {fewest} queries tell how wrong the machine is; with fewer than {FEW_QUERIES} "
            "the intervals are not to be relied on."
        )
    deeper = [one.name for one in measures if one.cutoff is None or one.cutoff > options.depth]
    if deeper:
        said.append(
            f"{', '.join(deeper)} {'reads' if len(deeper) == 1 else 'read'} further down than "
            f"the {options.depth} pooled documents; documents below "
            "that nobody graded count as not relevant."
        )
    for judge, graded in pool["graded_by"].items():
        if pool["pairs"] and graded < (1.0 - _MANY_UNGRADED) * pool["pairs"]:
            said.append(
                f"{judge} graded {graded} of {pool['pairs']} pooled pairs; the others count as "
                "not relevant in its figures."
            )
    if len(found["systems"]) == 1:
        said.append("There is one system only: nothing can be compared.")
    return said
