"""The content of retrieval.json: what each retriever is worth, and which ingredient gave it.

The measures are those of ir_measures, computed from judged documents alone: itself it takes minutes
for thousands of rankings a thousand deep.
"""

import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.judgments import KEY
from relevance_distillery.evaluation.agreement.estimates import Options, estimates
from relevance_distillery.evaluation.agreement.measurement import FEW_QUERIES
from relevance_distillery.evaluation.statistics.arrays import Floats, Ints
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, ratio
from relevance_distillery.evaluation.statistics.bootstrap_t import UNBOUNDED, Bounds
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.evaluation.statistics.randomization import holm, sign_flips
from relevance_distillery.evaluation.systems.system_measures import parse_measures
from relevance_distillery.grading import GradeScale

PRIMARY, JUDGED, EMBARRASSING = "nDCG@10", "judged@10", "embarrassing@10"
FLOOR, REMOVED = "embarrassing_floor", "removed"
UNTRAINED, REFERENCE = "untrained", "reference"
IN_COMMON = "top_10_in_common"
COMPARED = ("curriculum", "retriever")
"""Systems that are compared with every other one; every one is with the untrained encoder."""

_TOP, _DEEP = 10, 100
_LEAST = re.compile(r"\(rel=\d+\)")
_BANDS = ("head", "torso", "tail")
_UNDEFINED = {REMOVED: "nothing is removable: a perfect ranking has no smaller rate than untrained"}


def measure_rankings(
    rankings: Mapping[str, pd.DataFrame],
    grades: pd.DataFrame,
    scale: GradeScale,
    benchmark: Mapping[str, Any],
    options: Options | None = None,
    bands: Mapping[Hashable, str] | None = None,
    reference: str | None = None,
) -> dict[str, Any]:
    """What rankings are worth by grades (of a pair the first): `query_values`, then `summarise`.

    Returns:
        The content of retrieval.json without what training knows: benchmark (the facts given
        without `skipped`, with pairs and queries), and the keys of `summarise`. Given a `reference`
        also `recovered`, by every other system and metric the share of the reference's mean, and
        top_10_in_common, the share of the reference's first ten that are among its own; with paired
        intervals.
    """
    grades = grades[[*KEY, "grade"]].drop_duplicates(KEY)
    values = query_values(rankings, grades, scale)
    found = summarise(values, options, bands)
    if reference is not None:
        found["recovered"] = _recovered(values, rankings, reference, options or Options())
    graded = set(grades["query_id"])
    asked = set[str]().union(*(table["query_id"].unique() for table in rankings.values()))
    found["queries"]["not_graded"] = len(asked - graded)
    facts = {name: value for name, value in benchmark.items() if name != "skipped"}
    return {"benchmark": {**facts, "pairs": len(grades), "queries": len(graded)}, **found}


def query_values(
    rankings: Mapping[str, pd.DataFrame], grades: pd.DataFrame, scale: GradeScale
) -> pd.DataFrame:
    """Every metric of every system for every graded query.

    A ranking has the columns query_id, document_id, rank (from 1, without gaps), the grades
    query_id, document_id, grade, one row a pair. Tables of several sets are joined by `pd.concat`
    with `keys`, those of several seeds averaged by `groupby` over the index.

    Returns:
        Index query_id and system, a column a metric: those of ir_measures, where an unjudged
        document is not relevant and a query without an answer has the value 0; the same with the
        prefix condensed_, unjudged documents taken out first (Sakai, 2007); judged@10, the judged
        share of the first ten; embarrassing@10, the share of the lowest grade among these, and
        embarrassing_floor, what a perfect ranking of the judged documents would have. nan without
        any relevant document (not the last three), without an answer or a judged one (these).
    """
    queries = pd.Index(grades["query_id"].unique(), name="query_id")
    gains = parse_measures([PRIMARY], scale)[0].measure["gains"]
    facts = grades.assign(
        query=queries.get_indexer(pd.Index(grades["query_id"])),
        relevant=grades["grade"] >= scale.relevant_from,
        lowest=scale.positions(grades["grade"]) == 0,
        gain=grades["grade"].map(gains),
    )
    perfect = facts.sort_values(["query", "grade"], ascending=[True, False])
    *ideal, judged, lowest = _sums(perfect, len(queries))
    floor, some = lowest / judged, _some(ideal[1])
    wholes = [_some(ideal[0]) * some / some, some, some, _TOP * some / some, some / some]
    least = f"(rel={scale.relevant_from})"
    names = [PRIMARY, f"AP{least}", f"R{least}@{_DEEP}", f"P{least}@{_TOP}", f"RR{least}@{_TOP}"]
    names += [f"condensed_{name}" for name in names]
    tables = {}
    for system, ranking in rankings.items():
        first = queries.get_indexer(pd.Index(ranking["query_id"][ranking["rank"] <= _TOP]))
        shown = np.bincount(first[first >= 0], minlength=len(queries)).astype(np.float64)
        rows = ranking[[*KEY, "rank"]].merge(facts, on=KEY).sort_values(["query", "rank"])
        *sums, judged, lowest = _sums(rows, len(queries), rows["rank"].to_numpy())
        sums += _sums(rows, len(queries))[:-2]
        values = dict(zip(names, map(np.divide, sums, wholes * 2), strict=True))
        values |= {JUDGED: judged / _some(shown), EMBARRASSING: lowest / _some(judged)}
        values[FLOOR] = floor * judged / _some(judged)
        tables[system] = pd.DataFrame(values, index=queries)
    return pd.concat(tables, names=["system"]).swaplevel()


def _recovered(
    values: pd.DataFrame, rankings: Mapping[str, pd.DataFrame], reference: str, options: Options
) -> dict[str, dict[str, Any]]:
    own = values.drop(columns=[JUDGED, EMBARRASSING, FLOOR])
    wide = {_LEAST.sub("", str(name)): own[name].unstack("system") for name in own}
    queries = wide[PRIMARY].index
    tops = {name: table.loc[table["rank"] <= _TOP, KEY] for name, table in rankings.items()}
    wanted = tops[reference].groupby("query_id").size().reindex(queries)
    figures: dict[str, dict[str, SumStatistic]] = {}
    for system in (name for name in tops if name != reference):
        common = tops[system].merge(tops[reference], on=KEY).groupby("query_id").size()
        common = common.reindex(queries).fillna(0) / wanted
        shares = {name: _share(one[system], one[reference]) for name, one in wide.items()}
        figures[system] = {**shares, IN_COMMON: _share(common, bounds=(0.0, 1.0))}
    undefined = "the reference's mean is 0, or no query has a value"
    return estimates(figures, options, lambda _: undefined)


def _sums(rows: pd.DataFrame, queries: int, rank: Ints | None = None) -> list[Floats]:
    """Of judged documents in order of query and rank, shape (queries,) each.

    Ranks are those among themselves unless given.

    Returns:
        Five measures before they are divided; documents in the first ten; those of lowest grade.
    """
    query, relevant = rows["query"].to_numpy(), rows["relevant"].to_numpy()
    start = np.searchsorted(query, query)
    rank = np.arange(query.size) - start + 1 if rank is None else rank
    found, top = relevant.cumsum(), rank <= _TOP
    nth = found - found[start] + relevant[start]
    summed = [
        top * rows["gain"].to_numpy() / np.log2(rank + 1),
        relevant * nth / rank,
        relevant & (rank <= _DEEP),
        relevant & top,
        (relevant & top & (nth == 1)) / rank,
        top,
        top & rows["lowest"].to_numpy(),
    ]
    return [np.bincount(query, one, queries).astype(np.float64) for one in summed]


def _some(counts: Floats) -> Floats:
    """What may be divided by: nan for 0."""
    return np.where(counts > 0, counts, np.nan)


def summarise(
    values: pd.DataFrame,
    options: Options | None = None,
    bands: Mapping[Hashable, str] | None = None,
) -> dict[str, Any]:
    """Means, differences and tests of `query_values`, with queries as units.

    `bands` has head, torso or tail by query, by what is left of the index without the system.

    Returns:
        queries (counts), systems (by metric estimate, low, high; beside the columns `removed`, the
        share that is gone of the untrained encoder's embarrassing rate above the floor),
        differences (each system minus the untrained encoder), curriculum_minus and retriever_minus
        (every other), bands (systems by band), options, warnings. Differences also have p,
        corrected over metrics but for the primary one (Holm, 1979), p_raw, and relative, as a share
        of what is subtracted.
    """
    options = options or Options()
    systems = list(values.index.unique("system"))
    wide = {name: values[name].unstack("system")[systems] for name in values.columns}
    couples = {"differences": {one: (one, UNTRAINED) for one in systems}} | {
        f"{name}_minus": {one: (name, one) for one in systems} for name in COMPARED
    }
    index = wide[PRIMARY].index
    band_of = np.array([(bands or {}).get(query, "") for query in index])
    rows = {band: band_of == band for band in _BANDS if (band_of == band).any()}
    few = f"{len(index)} queries: with fewer than {FEW_QUERIES} intervals are not to be relied on"
    return {
        "queries": {
            "graded": len(index),
            "without_relevant": int(wide[PRIMARY].isna().all(axis=1).sum()),
            "unanswered": wide[JUDGED].isna().sum().to_dict(),
            "without_judged_in_top_10": wide[EMBARRASSING].isna().sum().to_dict(),
            "bands": {band: int(own.sum()) for band, own in rows.items()},
        },
        "systems": _means(wide, options),
        **{key: _differences(wide, named, options) for key, named in couples.items()},
        "bands": {
            band: _means({name: table[own] for name, table in wide.items()}, options)
            for band, own in rows.items()
        },
        "options": {
            name: getattr(options, name) for name in ("resamples", "permutations", "level", "seed")
        },
        "warnings": [few] if len(index) < FEW_QUERIES else [],
    }


def _means(wide: Mapping[str, pd.DataFrame], options: Options) -> dict[str, dict[str, Any]]:
    """By system and metric; `wide` has by metric a row a query and a column a system."""
    rate, floor = wide[EMBARRASSING], wide[FLOOR]
    groups = {
        str(system): {name: _share(one[system], bounds=(0.0, 1.0)) for name, one in wide.items()}
        for system in rate
    }
    for system in groups.keys() - {UNTRAINED} if UNTRAINED in groups else ():
        gone = rate[UNTRAINED] - rate[system]
        groups[system][REMOVED] = _share(gone, rate[UNTRAINED] - floor[UNTRAINED])
    return estimates(groups, options, lambda name: _UNDEFINED.get(name, "no query has a value"))


def _differences(
    wide: Mapping[str, pd.DataFrame], couples: Mapping[str, tuple[str, str]], options: Options
) -> dict[str, dict[str, Any]]:
    """By the name of a couple and metric: the first system minus the second."""
    apart = {
        key: {name: one[first] - one[second] for name, one in wide.items() if name != FLOOR}
        for key, (first, second) in couples.items()
        if first != second and {first, second} <= set(wide[PRIMARY])
    }
    figures = {
        key: {name: _share(gap, bounds=(-1.0, 1.0)) for name, gap in gaps.items()}
        for key, gaps in apart.items()
    }
    found = estimates(figures, options, lambda _: "no query has a value in both")
    for key, gaps in apart.items():
        p = sign_flips(np.nan_to_num([*gaps.values()]), options.permutations, options.seed)
        p[[not gap.notna().any() for gap in gaps.values()]] = np.nan
        raw = dict(zip(gaps, p.tolist(), strict=True))
        corrected = raw | holm({name: one for name, one in raw.items() if name != PRIMARY})
        for name, gap in gaps.items():
            base = wide[name][couples[key][1]][gap.notna()].mean()
            relative = number(gap.mean() / base) if base else None
            facts = {"p": number(corrected[name]), "p_raw": number(raw[name])}
            found[key][name] |= facts | {"relative": relative}
    return found


def _share(
    part: pd.Series, whole: pd.Series | float = 1.0, bounds: Bounds = UNBOUNDED
) -> SumStatistic:
    """The sum of `part` over that of `whole`, of queries that have both; its mean by default."""
    both = np.column_stack([part + 0.0 * whole, whole + 0.0 * part])
    return SumStatistic(np.nan_to_num(both), ratio, bounds, logit=bounds[0] == 0.0)
