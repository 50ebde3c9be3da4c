"""Which pairs people grade, and how probable it was that each one was drawn.

A random or stratified sample says something about all pairs, each drawn pair weighing 1 / its
inclusion probability (Horvitz and Thompson, 1952). So does one that draws uncertain pairs more
often, as long as every pair has a chance: few grades then fall where judges may err, which is where
people are needed (as in LARA; Takehi et al., 2024), and weights undo the preference. Pairs that are
picked for their uncertainty alone say nothing about the rest: they carry no probability.
"""

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

KEY = ["query_id", "passage_id"]

Design = Literal["random", "stratified", "uncertain", "active"]
Unit = Literal["pair", "query"]
Allocation = Literal["equal", "proportional", "square_root"]

SAMPLE_COLUMNS = (
    *("row_id", "sample_id", "query_id", "passage_id", "document_id", "query", "style"),
    *("text_digest", "design", "unit", "inclusion_probability"),
)
"""The table of everything that was ever handed out for grading."""

BY_UNCERTAINTY = ("uncertain", "active")
"""Designs that need to know how uncertain judges are."""

_EVEN_SHARE = 0.2
"""Of the uncertain sample, drawn whatever judges say: pairs of which they are sure keep a chance,
and weights stay bounded (defensive mixture; Hesterberg, 1995)."""

_HALVINGS = 100


@dataclass(frozen=True)
class Plan:
    """How a sample is drawn.

    Attributes:
        design: `random`, `stratified`, `uncertain` (the more likely, the more uncertain) or
            `active` (the most uncertain ones).
        unit: Single pairs, or queries with all their pairs.
        size: How many units.
        strata: Columns of the frame whose values make the strata.
        allocation: How the sample is divided over strata: `equal`, `proportional` to their
            sizes, or to the `square_root` of their sizes (power allocation; Bankier, 1988).
        seed: Of every draw and of the order.
        most_per_query: Pairs of one query in an uncertain sample.
    """

    design: Design
    unit: Unit
    size: int
    strata: tuple[str, ...]
    allocation: Allocation
    seed: int
    most_per_query: int = 5


def sampling_frame(
    candidates: pd.DataFrame, queries: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """Every pair that was mined, once, with the grade of the first judge in `labels`.

    Returns:
        Columns query_id, passage_id, style, grade (missing without a label: people's grades
        of pairs that the judge could not grade count, too, and make a stratum of their own).
    """
    frame = candidates[KEY].drop_duplicates().merge(queries[["query_id", "style"]], on="query_id")
    first = labels[labels["judge"] == labels["judge"].iloc[0]] if len(labels) else labels
    frame = frame.merge(first[[*KEY, "grade"]], on=KEY, how="left")
    frame["grade"] = frame["grade"].astype("Int64")
    return frame


def uncertainties(labels: pd.DataFrame, scale: GradeScale, measure: str) -> pd.DataFrame:
    """Uncertainty about every labelled pair, from all judges that graded it.

    Each judge gives a distribution over the grades: its probabilities where there are any,
    else all of it on its grade. The measures are

    - `entropy` of the mean distribution: high where one judge is unsure and where sure judges
      contradict each other (consensus entropy; McCallum and Nigam, 1998);
    - `confidence`: 1 minus the highest mean probability (least confidence; Lewis and Gale, 1994);
    - `disagreement`: mean distance of two judges' grades, in grades, over all couples.

    Returns:
        Columns query_id, passage_id, uncertainty; 0 where judges are certain and agree.

    Raises:
        UserError: Uncertainty cannot be measured: a single judge without probabilities, or
            `disagreement` with a single judge.
    """
    judges = labels["judge"].nunique()
    has_probabilities = labels["probabilities"].notna().any()
    if judges < 2 and (measure == "disagreement" or not has_probabilities):
        lack = "probabilities" if measure != "disagreement" else "a second judge to differ from"
        raise UserError(
            f"design=active, uncertain: the labels are of one judge without {lack}; label with a "
            "judge that gives probabilities, or name further judges with hand_grading.doubters"
        )
    pair = labels.groupby(KEY, sort=False).ngroup().to_numpy()
    places = scale.positions(labels["grade"].to_numpy())
    if measure == "disagreement":
        found = pd.Series(places).groupby(pair).agg(_mean_distance).to_numpy()
    else:
        given = np.eye(scale.size)[places]
        for row, own in enumerate(labels["probabilities"]):
            if isinstance(own, list | tuple | np.ndarray) and len(own) == scale.size:
                given[row] = own
        mean = pd.DataFrame(given).groupby(pair).mean().to_numpy()
        if measure == "confidence":
            found = 1.0 - mean.max(axis=1)
        else:
            found = -(mean * np.log(np.where(mean > 0, mean, 1.0))).sum(axis=1)
    return labels[KEY].drop_duplicates(ignore_index=True).assign(uncertainty=found.round(9))


def _mean_distance(places: pd.Series) -> float:
    """Mean distance of two of some grades, 0 for a single one."""
    couples = len(places) * (len(places) - 1)
    return float(np.abs(np.subtract.outer(*[places.to_numpy()] * 2)).sum() / max(couples, 1))


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
    """Draw pairs from the `sampling_frame` and join what a grader reads.

    The designs `BY_UNCERTAINTY` need `labels` of all judges whose uncertainty counts (`measure` is
    one of `uncertainties`); a pair without a label is as uncertain as the mean. The active one does
    not pick what was handed out `earlier` (columns `SAMPLE_COLUMNS`).

    Returns:
        The sample, columns `SAMPLE_COLUMNS` and stratum, in the order of the sheet; and what
        graders read, columns row_id, query, title, heading, text, path, author, modified.

    Raises:
        UserError: As `uncertainties`, for these designs, and `draw`.
    """
    if plan.design in BY_UNCERTAINTY:
        how = "inner" if plan.design == "active" else "left"
        frame = frame.merge(uncertainties(labels, scale, measure), on=KEY, how=how)
        frame["uncertainty"] = frame["uncertainty"].fillna(frame["uncertainty"].mean())
    if plan.design == "active" and len(earlier):
        seen = pd.MultiIndex.from_frame(earlier[KEY])
        frame = frame[~pd.MultiIndex.from_frame(frame[KEY]).isin(seen)]
    drawn = draw(frame, plan)
    pairs_drawn = "\n".join(map("\t".join, drawn[KEY].sort_values(KEY).to_numpy()))
    sample = hex_digest(f"{plan}\n{pairs_drawn}", 4)
    pairs = build_pairs(drawn, queries, passages)
    drawn = drawn.assign(
        sample_id=sample,
        # Begins with letters, so that no spreadsheet takes it for a number.
        row_id=[
            "row-" + hex_digest("\x1f".join((sample, *map(str, pair))))
            for pair in drawn[KEY].itertuples(index=False)
        ],
        document_id=pairs["document_id"].to_numpy(),
        query=pairs["query"].to_numpy(),
        text_digest=[
            graded_text_digest(*texts)
            for texts in pairs[["title", "heading", "text"]].itertuples(index=False)
        ],
    )
    read = pairs[["query", "title", "heading", "text", "path", "author", "modified"]]
    read.insert(0, "row_id", drawn["row_id"].to_numpy())
    return drawn[[*SAMPLE_COLUMNS, "stratum"]], read


def draw(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Draw a sample from a table with one row a pair.

    Its columns are query_id, passage_id, those of `plan.strata` (of a query the highest value
    counts), and uncertainty for the designs `BY_UNCERTAINTY` (of a query the mean).

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
    rng = np.random.default_rng(plan.seed)
    key, units = KEY, frame
    if plan.unit == "query":
        key = KEY[:1]
        measures = dict.fromkeys(plan.strata, "max")
        if "uncertainty" in frame:
            measures["uncertainty"] = "mean"
        units = frame[key].drop_duplicates()
        if measures:
            units = frame.groupby("query_id", sort=False).agg(measures).reset_index()
    units = units.sort_values(key, ignore_index=True)
    stratum = np.full(len(units), "all")
    if plan.design == "stratified":
        parts = [units[name].astype(object).fillna("none") for name in plan.strata]
        stratum = np.array([" / ".join(map(str, row)) for row in zip(*parts, strict=True)])
    if plan.design == "active":
        doubt = units["uncertainty"].to_numpy(dtype=np.float64)
        chosen = np.sort(np.argsort(-doubt, kind="stable")[: plan.size])
        chance = np.full(len(chosen), np.nan)
    elif plan.design == "uncertain":
        chosen, chance = _by_doubt(units, plan, rng)
    else:
        chosen, chance = _random(stratum, plan, rng)
    drawn = units.loc[chosen, key].assign(stratum=stratum[chosen], inclusion_probability=chance)
    rows = frame.merge(drawn, on=key, how="inner").assign(design=plan.design, unit=plan.unit)
    # Queries in random order, and the pairs of each: read once, graded without any hint.
    rows = rows.sort_values(KEY, ignore_index=True)
    queries = rows["query_id"].drop_duplicates().to_numpy()
    place = dict(zip(rng.permutation(queries), range(len(queries)), strict=True))
    order = np.lexsort([rng.random(len(rows)), rows["query_id"].map(place).to_numpy()])
    return rows.iloc[order].reset_index(drop=True)


def allocate(sizes: dict[str, int], total: int, allocation: Allocation) -> dict[str, int]:
    """How many units of each stratum are drawn.

    No stratum is left out: one that cannot be drawn would bias every estimate. None gets more
    than it has (`sizes`, units by stratum, all above 0); what it cannot take goes to the others.

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


def _by_doubt(
    units: pd.DataFrame, plan: Plan, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows drawn by their uncertainty, and each one's inclusion probability.

    Systematically (Madow, 1949) along queries in random order: exactly `plan.size` rows where there
    are enough, and of no query more than it may have.
    """
    doubt = units["uncertainty"].to_numpy(dtype=np.float64)
    even = np.full(len(units), 1 / len(units))
    share = doubt / doubt.sum() if doubt.sum() > 0 else even
    query = np.unique(units["query_id"].to_numpy(dtype=str), return_inverse=True)[1]
    weights = (1 - _EVEN_SHARE) * share + _EVEN_SHARE * even
    chances = inclusion_probabilities(weights, query, plan.size, plan.most_per_query)
    order = np.lexsort([rng.random(len(units)), rng.permutation(query.max() + 1)[query]])
    # Sums of floats that should be whole numbers are made so, or a row might come too much.
    sums = np.round(np.cumsum([0.0, *chances[order]]), 9)
    taken = np.diff(np.floor(sums - rng.random())) > 0
    rows = np.sort(order[taken])
    return rows, chances[rows]


def inclusion_probabilities(
    weights: NDArray[np.float64], query: NDArray[np.int64], size: int, most: int
) -> NDArray[np.float64]:
    """In proportion to weights, up to 1, with a sum of `size` in all and of `most` in each query.

    Weights are above 0, queries numbered from 0, both of shape (rows,). The sum is less than `size`
    where queries have no more to give.
    """

    def given(factors: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.minimum(1.0, factors[query] * weights)

    # Each query's own factor at which it gives all that it may.
    low, high = np.zeros(query.max() + 1), np.full(query.max() + 1, 1 / weights.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        more = np.bincount(query, given(middle)) < most
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    highest = high
    lowest, one = 0.0, float(highest.max())
    if given(highest).sum() <= size:
        return given(highest)
    for _ in range(_HALVINGS):
        middle = (lowest + one) / 2
        if given(np.minimum(highest, middle)).sum() < size:
            lowest = middle
        else:
            one = middle
    return given(np.minimum(highest, one))
