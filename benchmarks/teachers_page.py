"""docs/results/teachers.md from the predictions that teachers.py kept."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pages import ROOT, machine, table, write
from query_level import QueryLevels, graded_like, own_shares, rows_of, rows_to_ask
from scipy.special import logit
from student_page import (
    METRICS,
    PRIOR_PAIRS,
    TITLES,
    difference_of,
    figures_of,
    statistics_of,
)
from teachers import (
    BEFORE,
    DEFAULT,
    FEWER,
    LARGER,
    RECIPES,
    TEACHERS,
    TIMED,
    TIMED_PAIRS,
    UNTAUGHT,
    UNTRAINED,
    WORK,
    place_of,
)

from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.labeler.artifact import read_facts
from relevance_distillery.labeler.recalibration import Graded, Rules, recalibrate
from relevance_distillery.reporting.formats import figure

EARLIER = "3827229"
"""The commit of the recipe `before`."""
TWICE = "second pass"
POOLED = tuple(name for name in TEACHERS if name.startswith("trec"))
BOTH = "DL 2019 and 2020"
SHORT = ((DEFAULT, BEFORE), (TWICE, DEFAULT))
COMPARED = (
    *SHORT,
    (TWICE, "teacher"),
    (DEFAULT, UNTRAINED),
    (DEFAULT, "teacher"),
    (TWICE, BEFORE),
    (LARGER, DEFAULT),
)
COUNTS = (3, 5, 10)
HUNDRED, QUERIES, EACH, DRAWS = "trec-dl20", 20, 5, 20
SHOWN = ("kappa", "quadratic_kappa", "pairwise_accuracy")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def write_page(page: Path, report: Path) -> None:
    """Write the page from what is there, and the report, which has more rows and columns."""
    found = {
        recipe: {
            tested: pd.read_parquet(place_of(recipe, tested)).assign(
                query_id=lambda told, name=tested: f"{name}/" + told["query_id"]
            )
            for tested in (*TEACHERS, UNTAUGHT)
            if place_of(recipe, tested).is_file()
        }
        for recipe in (UNTRAINED, *RECIPES)
    }
    for target, full in ((page, False), (report, True)):
        parts = [
            "# Students of several teachers\n",
            f"Machine: {machine()}. Date: {datetime.date.today()}. Written by `python "
            "benchmarks/teachers.py page` after `train`; more rows are in "
            f"`{report.relative_to(ROOT)}`. A student learns recorded grades of all sets but the "
            "tested one (GPT-4o's of `trec-dl19`, `trec-dl20`, `antique`; GPT-4's of "
            "`trec-dl23-dev`). At most 100 random pairs of a query are tested, against people. "
            "Intervals: 95 %, over queries.\n",
            *_students(found, full),
            *_learning_curve(found, full),
            *_stuffing(found, full),
            *_loss(found),
            *(_few_grades(found) if full else ()),
            *_hundred_grades(found[DEFAULT]),
        ]
        write(target, parts)


def _students(found: dict[str, dict[str, pd.DataFrame]], full: bool) -> Iterator[str]:
    order = ["teacher", UNTRAINED, BEFORE, DEFAULT, TWICE, *([LARGER] if found[LARGER] else [])]
    larger = ", with the *larger base* all-mpnet-base-v2" if found[LARGER] else ""
    yield (
        "## Collections that were never seen\n\n"
        f"The *default* recipe, the same *before* (at commit `{EARLIER}`), and the default with a "
        f"[*second pass*](../pipelines/scoring.md#a-second-pass){larger}.\n\n"
        f"{' / '.join(order)}:\n"
    )
    metrics = METRICS if full else SHOWN
    titles = [TITLES[METRICS.index(metric)] for metric in metrics]
    rows, apart = [], []
    for name, sets in _tested(full).items():
        whole = {recipe: _joined(told, sets) for recipe, told in found.items()}
        told = {one: some for one, some in whole.items() if some is not None}
        if DEFAULT not in told:
            continue
        figures = {one: statistics_of(some, "grade", "score") for one, some in told.items()}
        if told[DEFAULT]["teacher"].notna().all():
            figures["teacher"] = statistics_of(told[DEFAULT], "teacher", "teacher")
        if UNTAUGHT not in sets:  # its queries have three passages
            figures[TWICE] = statistics_of(told[DEFAULT], "second_pass_grade", "second_pass_score")
        cells = [
            "/".join(_value(figures[one][metric]) if one in figures else "–" for one in order)
            for metric in metrics
        ]
        rows.append([name, *cells])
        short = COMPARED[-1:] if name == BOTH else SHORT
        for one, other in COMPARED if full else short:
            if one in figures and other in figures:
                cells = [difference_of(figures[one], figures[other], each) for each in metrics]
                apart.append([f"{name}: {one} minus {other}", *cells])
    yield table(["tested on", *titles], [*rows, *apart])
    noted = WORK / "seconds.json"
    if noted.is_file():
        seconds = json.loads(noted.read_text(encoding="utf-8"))
        times = np.array(seconds[LARGER]) / np.array(seconds[DEFAULT])
        yield (
            f"The larger base takes {np.median(times):.1f}× ({times.min():.1f} to "
            f"{times.max():.1f}) the time to grade {TIMED_PAIRS} pairs of `{TIMED}` (median and "
            "range of three alternating rounds; 110 and 22 million parameters).\n"
        )


def _learning_curve(found: dict[str, dict[str, pd.DataFrame]], full: bool) -> Iterator[str]:
    yield (
        "## How many queries\n\n"
        f"The {DEFAULT} recipe, taught by so many queries of the other sets; tested on {BOTH}.\n"
    )
    metrics = METRICS if full else SHOWN
    rows = []
    for recipe in (*FEWER, DEFAULT):
        told = _joined(found[recipe], POOLED[:2])
        if told is not None:
            figures = statistics_of(told, "grade", "score")
            name = recipe if recipe in FEWER else "all, some 275"
            rows.append([name, *(_value(figures[metric]) for metric in metrics)])
    titles = [TITLES[METRICS.index(metric)] for metric in metrics]
    yield table(["taught by", *titles], rows)


def _stuffing(found: dict[str, dict[str, pd.DataFrame]], full: bool) -> Iterator[str]:
    yield (
        "## Stuffed query words\n\n"
        "Share of passages, irrelevant to people, teacher and labeler, that it calls relevant once "
        "the query is written in (the `stuffing` of [probing](../pipelines/probing.md)).\n"
    )
    rows = []
    for recipe in [one for one in RECIPES if found[one] and (full or one not in FEWER)]:
        cells = []
        for tested in (*TEACHERS, UNTAUGHT):
            raised: dict[str, float] = {}
            if tested in found[recipe]:
                known = json.loads(place_of(recipe, tested).with_suffix(".json").read_text("utf-8"))
                raised = known["probe"]["overall"]["raised"]
            cells.append(_share(raised, full) if raised else "–")
        rows.append([recipe, *cells])
    yield table(["recipe", *TEACHERS, UNTAUGHT], rows)


def _share(raised: dict[str, float], full: bool) -> str:
    shown = f"{100 * raised['estimate']:.0f} %"
    return f"{shown} ({100 * raised['low']:.0f} to {100 * raised['high']:.0f})" if full else shown


def _loss(found: dict[str, dict[str, pd.DataFrame]]) -> Iterator[str]:
    yield (
        "## Where quadratic κ is lost\n\n"
        f"The scores of the {DEFAULT} recipe, cut by the labeler; at people's shares of grades in "
        "the whole set; at each query's (its *level*), as the teacher and as people see them.\n"
    )
    rows = []
    for tested in TEACHERS:
        told = found[DEFAULT][tested]
        human, query = _numbers(told)
        scores, teacher = told["score"].to_numpy(), told["teacher"].to_numpy(dtype=np.int64)
        given = {
            "labeler": told["grade"].to_numpy(dtype=np.int64),
            "the set's shares": graded_like(scores, human),
            "teacher's shares": own_shares(scores, teacher, query),
            "people's shares": own_shares(scores, human, query),
            "teacher": teacher,
        }
        rows.append([tested, *(_quadratic(told, human, grades) for grades in given.values())])
    yield table(["tested on", *given], rows)


def _few_grades(found: dict[str, dict[str, pd.DataFrame]]) -> Iterator[str]:
    yield (
        "## A few grades of each query\n\n"
        "So many passages of each query are graded, near the place where three tenths score "
        "higher, and move its level (a random intercept; the other sets fit its prior). Quadratic "
        "κ of the other pairs, the three TREC sets together, and minus that of one shift for all "
        "queries.\n"
    )
    links = {tested: Linked.of(found[DEFAULT], tested) for tested in POOLED}
    rows = []
    for count in COUNTS:
        for judge in ("human", "teacher"):
            by_query, whole, unsure = (
                pd.concat(some)
                for some in zip(*(one.asked(judge, count) for one in links.values()), strict=True)
            )
            share = f"{100 * (by_query['told'] >= 0).mean():.1f} %"
            rest = [some[some["told"] < 0] for some in (by_query, whole)]
            own, peer = (statistics_of(some, "given", "given") for some in rest)
            both = [statistics_of(some, "given", "given") for some in (by_query, unsure)]
            name = "people" if judge == "human" else "the teacher"
            cells = [difference_of(own, peer, METRICS[1])]
            cells += [figures_of(own)[0], difference_of(*both, METRICS[1])]
            rows.append([f"{count} by {name}", share, figures_of(own)[1], *cells])
    header = ["grades of a query", "pairs", TITLES[1], "minus one shift"]
    more = [TITLES[0], "all pairs: minus as many grades of the least sure"]
    yield table([*header, *more], rows)


def _hundred_grades(found: dict[str, pd.DataFrame]) -> Iterator[str]:
    """What `--pipeline=recalibrate` makes of five grades for each of 20 queries."""
    if HUNDRED not in found:
        return
    told = found[HUNDRED].assign(reference=found[HUNDRED]["human"])
    facts = read_facts(WORK / "labelers" / place_of(DEFAULT, HUNDRED).stem)
    rules = Rules(facts.scale, facts.cut_points, own_link=facts.calibration)
    drawn = [_recalibrated(told, rules, draw) for draw in range(DRAWS)]
    shifted = sum(bool(one["shifted"].any()) for one in drawn)
    yield (
        "## A hundred grades of people\n\n"
        f"The {DEFAULT} recipe's, [recalibrated](../pipelines/recalibrating.md) by NIST's grades "
        f"of `{HUNDRED}`: {EACH} passages of each of {QUERIES} random queries, drawn by the "
        f"entropy of the labeler's probabilities. {DRAWS} draws added up; {shifted} take shifts. "
        f"{machine()}, {datetime.date.today()}. Quadratic κ of the pairs that are not graded:\n"
    )
    rows = []
    for name, some in (
        (f"the {QUERIES} queries", [one[one["asked"]] for one in drawn]),
        ("all queries", drawn),
    ):
        whole = pd.concat(some, ignore_index=True)
        ways = [statistics_of(whole, way, way) for way in ("grade", "one link", "shifts")]
        apart = [difference_of(ways[2], one, METRICS[1]) for one in ways[:2]]
        rows.append([name, *(_value(one[METRICS[1]]) for one in ways), *apart])
    header = ["pairs of", "labeler", "one link", "and shifts", "minus labeler", "minus one link"]
    yield table(header, rows)


def _recalibrated(told: pd.DataFrame, rules: Rules, draw: int) -> pd.DataFrame:
    """Grades of the pairs that are not graded by people, and whether their queries were asked."""
    rng = np.random.default_rng(draw)
    chances = np.array(told["probabilities"].tolist())
    doubt = -(chances * np.log(np.maximum(chances, 1e-9))).sum(axis=1)
    query = pd.factorize(told["query_id"])[0].astype(np.int64)
    names = rng.permutation(query.max() + 1)[:QUERIES]
    asked = np.concatenate(
        [
            rng.choice(rows, EACH, replace=False, p=doubt[rows] / doubt[rows].sum())
            for rows in (rows_of(query)[name] for name in names)
        ]
    )
    some = told.iloc[asked]
    found = recalibrate(
        Graded(
            scores=some["score"].to_numpy(),
            passages=np.ones(len(some), dtype=np.int64),
            positions=some["human"].to_numpy(dtype=np.int64),
            queries=some["query_id"].to_numpy(dtype=object),
            texts=some["query_id"].to_numpy(dtype=object),
            weights=np.ones(len(some)),
            probabilities=chances[asked],
            given=some["grade"].to_numpy(dtype=np.int64),
        ),
        rules,
        PRIOR_PAIRS,
        0,
    )
    changed, one = Rules(rules.scale, found.cut_points), np.ones(len(told), dtype=np.int64)
    scores, shifts = told["score"].to_numpy(), told["query_id"].map(found.shifts).fillna(0.0)
    given = {
        "one link": changed.grade(found.link, scores, one),
        "shifts": changed.grade(found.link, scores + shifts.to_numpy(), one),
    }
    graded = told.assign(**given, shifted=shifts != 0, asked=np.isin(query, names))
    return graded.drop(graded.index[asked])


@dataclass(frozen=True)
class Linked:
    """Predictions of a set, with a link that the teacher's grades of the other sets fit."""

    told: pd.DataFrame
    scores: Floats
    levels: QueryLevels

    @classmethod
    def of(cls, predictions: dict[str, pd.DataFrame], tested: str) -> Linked:
        """Queries of the tested set do not fit the link."""
        told = predictions[tested]
        others = pd.concat([predictions[name] for name in TEACHERS if name != tested])
        known = set(told["query"].str.casefold())
        others = others[~others["query"].str.casefold().isin(known)]
        scores = _logits(others)
        grades = others["teacher"].to_numpy(dtype=np.int64)
        spread = scores.std()
        levels = QueryLevels.fit(scores / spread, grades, pd.factorize(others["query_id"])[0])
        return cls(told.assign(reference=told["human"]), _logits(told) / spread, levels)

    def asked(self, judge: str, count: int) -> list[pd.DataFrame]:
        """Grades with a shift a query, with one shift, and without any but the least sure told."""
        queries = pd.factorize(self.told["query_id"])[0].astype(np.int64)
        grades = self.told[judge].to_numpy(dtype=np.int64)
        rows = rows_to_ask(self.scores, queries, count)
        told = np.full(len(grades), -1)
        told[rows] = grades[rows]
        confidence = np.array(self.told["probabilities"].tolist()).max(axis=1)
        unsure = self.told["grade"].to_numpy(dtype=np.int64).copy()
        least = np.argsort(confidence, kind="stable")[: len(rows)]
        unsure[least] = grades[least]
        ways = [self.levels.grade(self.scores, one, told) for one in (queries, queries * 0)]
        return [self.told.assign(given=given, told=told) for given in (*ways, unsure)]


def _logits(told: pd.DataFrame) -> Floats:
    """The calibrated score: logits of P(grade > 0)."""
    return logit(np.clip(1 - np.array(told["probabilities"].tolist())[:, 0], 1e-5, 1 - 1e-5))


def _tested(full: bool) -> dict[str, tuple[str, ...]]:
    alone = {name: (name,) for name in (*TEACHERS, UNTAUGHT) if full or name not in POOLED}
    return {BOTH: POOLED[:2], "the three TREC sets": POOLED, **alone}


def _joined(told: dict[str, pd.DataFrame], sets: tuple[str, ...]) -> pd.DataFrame | None:
    if any(name not in told for name in sets):
        return None
    whole = pd.concat([told[name] for name in sets], ignore_index=True)
    return whole.assign(reference=whole["human"])


def _numbers(told: pd.DataFrame) -> tuple[Ints, Ints]:
    human = told["human"].to_numpy(dtype=np.int64)
    return human, pd.factorize(told["query_id"])[0].astype(np.int64)


def _quadratic(told: pd.DataFrame, human: Ints, given: Ints) -> str:
    own = statistics_of(told.assign(reference=human, given=given), "given", "given")
    return _value(own[METRICS[1]])


def _value(own: SumStatistic) -> str:
    return figure(float(own(np.ones((1, own.queries)))[0]))
