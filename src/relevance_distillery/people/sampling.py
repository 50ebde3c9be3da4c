"""Which pairs people grade, and how probable it was that each one was drawn.

A random or stratified sample says something about all pairs, each drawn pair weighing 1 / its
inclusion probability (Horvitz and Thompson, 1952). Pairs picked where judges doubt teach more
but say nothing about the rest: they carry no probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.people.doubt import KEY

Design = Literal["random", "stratified", "active"]
Unit = Literal["pair", "query"]
Allocation = Literal["equal", "proportional", "square_root"]

SAMPLE_COLUMNS = (
    "row_id",
    "sample_id",
    "query_id",
    "passage_id",
    "document_id",
    "query",
    "style",
    "text_digest",
    "design",
    "unit",
    "inclusion_probability",
)
"""The table of everything that was ever handed out for grading."""


@dataclass(frozen=True)
class Plan:
    """How a sample is drawn.

    Attributes:
        design: `random`, `stratified`, or `active` (the most doubtful ones).
        unit: Single pairs, or queries with all their pairs.
        size: How many units.
        strata: Columns of the frame whose values make the strata.
        allocation: How the sample is divided over strata: `equal`, `proportional` to their
            sizes, or to the `square_root` of their sizes (power allocation; Bankier, 1988).
        seed: Of every draw and of the order.
    """

    design: Design
    unit: Unit
    size: int
    strata: tuple[str, ...]
    allocation: Allocation
    seed: int


def draw(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Draw a sample.

    Args:
        frame: One row a pair: query_id, passage_id, the columns of `plan.strata` (of a query
            the highest value counts), and doubt for the active design (of a query the mean).
        plan: How.

    Returns:
        The drawn rows in an order that tells nothing: queries shuffled, and pairs within each.
        Added columns design, unit, stratum, inclusion_probability (nan for active).

    Raises:
        UserError: There is nothing to draw from, or fewer places than strata.
    """
    if frame.empty:
        raise UserError(
            "there is no pair to hand out: run `kedro run --pipeline=label` first, or choose "
            "another design (active leaves out what was handed out before)"
        )
    units = frame if plan.unit == "pair" else _queries(frame, plan)
    rng = np.random.default_rng(plan.seed)
    units = units.sort_values(KEY[:1] if plan.unit == "query" else KEY, ignore_index=True)
    stratum = _strata(units, plan)
    if plan.design == "active":
        chosen = _most_doubtful(units, plan.size)
        chance = np.full(len(chosen), np.nan)
    else:
        chosen, chance = _random(stratum, plan, rng)
    drawn = units.loc[chosen, KEY[:1] if plan.unit == "query" else KEY].assign(
        stratum=stratum[chosen], inclusion_probability=chance
    )
    rows = frame.merge(drawn, on=list(drawn.columns[:-2]), how="inner")
    return _shuffled(rows.assign(design=plan.design, unit=plan.unit), rng)


def allocate(sizes: dict[str, int], total: int, allocation: Allocation) -> dict[str, int]:
    """How many units of each stratum are drawn.

    No stratum is left out: one that cannot be drawn would bias every estimate. None gets more
    than it has; what it cannot take goes to the others.

    Args:
        sizes: Units by stratum, all above 0.
        total: How many to draw; at most all are drawn.
        allocation: See `Plan`.

    Raises:
        UserError: Fewer places than strata.
    """
    if total < len(sizes):
        raise UserError(
            f"hand_grading.size={total} is less than one for each of {len(sizes)} strata; raise "
            "it or set fewer strata"
        )
    power = {"equal": 0.0, "square_root": 0.5, "proportional": 1.0}[allocation]
    given = dict.fromkeys(sizes, 1)
    share = {name: size**power for name, size in sizes.items()}
    for _ in range(min(total, sum(sizes.values())) - len(sizes)):
        open_strata = [name for name in sizes if given[name] < sizes[name]]
        # The one furthest behind its share takes the next place (Sainte-Laguë's divisors).
        needy = max(open_strata, key=lambda name: (share[name] / (2 * given[name] + 1), name))
        given[needy] += 1
    return given


def sample_id(rows: pd.DataFrame, plan: Plan) -> str:
    """Eight hexadecimal digits that change with the pairs and with how they were drawn."""
    text = f"{plan}\n" + "\n".join(
        f"{row.query_id}\t{row.passage_id}" for row in rows.sort_values(KEY).itertuples()
    )
    return hex_digest(text, 4)


def row_id(sample: str, query_id: str, passage_id: str) -> str:
    """Names a row of a sheet; begins with letters, so that no spreadsheet takes it for a number."""
    return "row-" + hex_digest(f"{sample}\x1f{query_id}\x1f{passage_id}")


def _queries(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    groups = frame.groupby("query_id", sort=False)
    rows = {name: groups[name].max() for name in plan.strata}
    if "doubt" in frame:
        rows["doubt"] = groups["doubt"].mean()
    if not rows:
        return pd.DataFrame({"query_id": list(groups.groups)})
    return pd.DataFrame(rows).reset_index()


def _strata(units: pd.DataFrame, plan: Plan) -> NDArray[np.str_]:
    if plan.design != "stratified":
        return np.full(len(units), "all")
    parts = [units[name].astype(object).where(units[name].notna(), "none") for name in plan.strata]
    return np.array([" / ".join(map(str, values)) for values in zip(*parts, strict=True)])


def _most_doubtful(units: pd.DataFrame, size: int) -> NDArray[np.int64]:
    order = np.argsort(-units["doubt"].to_numpy(dtype=np.float64), kind="stable")
    return np.sort(order[:size])


def _random(
    stratum: NDArray[np.str_], plan: Plan, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows drawn without replacement in each stratum, and each one's inclusion probability."""
    names, counts = np.unique(stratum, return_counts=True)
    sizes = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    taken = allocate(sizes, plan.size, plan.allocation)
    chosen, chance = [], []
    for name, size in sizes.items():
        members = np.flatnonzero(stratum == name)
        chosen.append(rng.choice(members, taken[name], replace=False))
        chance.append(np.full(taken[name], taken[name] / size))
    rows, chances = np.concatenate(chosen), np.concatenate(chance)
    order = np.argsort(rows)
    return rows[order], chances[order]


def _shuffled(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Queries in random order, and the pairs of each: read once, graded without any hint."""
    rows = rows.sort_values(KEY, ignore_index=True)
    queries = rows["query_id"].drop_duplicates().to_numpy()
    place = dict(zip(rng.permutation(queries), range(len(queries)), strict=True))
    order = np.lexsort([rng.random(len(rows)), rows["query_id"].map(place).to_numpy()])
    return rows.iloc[order].reset_index(drop=True)
