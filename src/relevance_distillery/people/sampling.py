"""Which pairs people grade, and how probable it was that each one was drawn.

A random or stratified sample says something about all pairs, each drawn pair weighing 1 / its
inclusion probability (Horvitz and Thompson, 1952). Pairs picked where judges are uncertain
teach more but say nothing about the rest: they carry no probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.collections.judgments import graded_text_digest
from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.people.uncertainty import KEY, uncertainties

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
        design: `random`, `stratified`, or `active` (the most uncertain ones).
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


def sampling_frame(
    candidates: pd.DataFrame, queries: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """Every pair that was mined, once.

    Args:
        candidates: Columns query_id, passage_id.
        queries: Columns query_id, style.
        labels: Columns query_id, passage_id, judge, grade; may hold several judges, of which
            the first makes the strata.

    Returns:
        Columns query_id, passage_id, style, grade (missing without a label: people's grades
        of pairs that the judge could not grade count, too, and make a stratum of their own).
    """
    frame = candidates[KEY].drop_duplicates().merge(queries[["query_id", "style"]], on="query_id")
    first = labels[labels["judge"] == labels["judge"].iloc[0]] if len(labels) else labels
    frame = frame.merge(first[[*KEY, "grade"]], on=KEY, how="left")
    frame["grade"] = frame["grade"].astype("Int64")
    return frame


def draw_sample(
    frame: pd.DataFrame,
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    earlier: pd.DataFrame,
    plan: Plan,
    measure: str,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw pairs and join what a grader reads.

    Args:
        frame: From `sampling_frame`.
        labels: Of all judges whose uncertainty counts; needed for the active design only.
        queries: Schema `Queries`.
        passages: Schema `Passages`.
        earlier: Rows handed out before, columns `SAMPLE_COLUMNS`; what an earlier sample
            holds is not picked actively again.
        plan: How to draw.
        measure: The measure of uncertainty, see `people.uncertainty.uncertainties`.
        scale: The grades.

    Returns:
        The sample, columns `SAMPLE_COLUMNS` and stratum, in the order of the sheet; and what
        graders read, columns row_id, query, title, heading, text, path, author, modified.

    Raises:
        UserError: Nothing to draw from, fewer places than strata, or nothing measures
            uncertainty.
    """
    if plan.design == "active":
        frame = frame.merge(uncertainties(labels, scale, measure), on=KEY)
        if len(earlier):
            seen = set(zip(earlier["query_id"], earlier["passage_id"], strict=True))
            rows = zip(frame["query_id"], frame["passage_id"], strict=True)
            frame = frame[[row not in seen for row in rows]]
    drawn = draw(frame, plan)
    sample = sample_id(drawn, plan)
    pairs = build_pairs(drawn, queries, passages)
    drawn = drawn.assign(
        sample_id=sample,
        row_id=[
            row_id(sample, query_id, passage_id)
            for query_id, passage_id in zip(drawn["query_id"], drawn["passage_id"], strict=True)
        ],
        document_id=pairs["document_id"].to_numpy(),
        query=pairs["query"].to_numpy(),
        text_digest=[
            graded_text_digest(title, heading, text)
            for title, heading, text in zip(
                pairs["title"], pairs["heading"], pairs["text"], strict=True
            )
        ],
    )
    read = pairs[["query", "title", "heading", "text", "path", "author", "modified"]]
    read.insert(0, "row_id", drawn["row_id"].to_numpy())
    return drawn[[*SAMPLE_COLUMNS, "stratum"]], read


def draw(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Draw a sample.

    Args:
        frame: One row a pair: query_id, passage_id, the columns of `plan.strata` (of a query
            the highest value counts), and uncertainty for the active design (of a query the mean).
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
        chosen = _most_uncertain(units, plan.size)
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
    if "uncertainty" in frame:
        rows["uncertainty"] = groups["uncertainty"].mean()
    if not rows:
        return pd.DataFrame({"query_id": list(groups.groups)})
    return pd.DataFrame(rows).reset_index()


def _strata(units: pd.DataFrame, plan: Plan) -> NDArray[np.str_]:
    if plan.design != "stratified":
        return np.full(len(units), "all")
    parts = [units[name].astype(object).where(units[name].notna(), "none") for name in plan.strata]
    return np.array([" / ".join(map(str, values)) for values in zip(*parts, strict=True)])


def _most_uncertain(units: pd.DataFrame, size: int) -> NDArray[np.int64]:
    order = np.argsort(-units["uncertainty"].to_numpy(dtype=np.float64), kind="stable")
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
