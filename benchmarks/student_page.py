"""docs/results/student.md and the full report, from the predictions that student.py kept."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from calibrations import read_scores, rules
from numpy.typing import NDArray
from pages import machine, table, write
from sklearn.metrics import cohen_kappa_score

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.estimates import Options, compare
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import statistics
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, intervals
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.calibration import cut_points_like, midpoints
from relevance_distillery.labeler.recalibration import Graded, Rules, recalibrate
from relevance_distillery.reporting.formats import figure

METRICS = ("kappa", "quadratic_kappa", "binary_kappa", "pairwise_accuracy")
TITLES = ("κ", "quadratic κ", "binary κ", "pairwise accuracy")
RANKED = METRICS[-1]
LADDER_METRICS = ("kappa", "quadratic_kappa", RANKED)
DIRECTIONS = ("trec-dl19.trec-dl20", "trec-dl20.trec-dl19")
TEACHER = "umbrela-gpt-4o"
MAIN = f"every_pair.{TEACHER}"
SHORT = "student, 600 pairs a fold"
NAMES = {
    "every pair": "student, every pair",
    "recipe": SHORT,
    "plain fine-tuning calibrated": "plain fine-tuning, calibrated",
    "tuned late interaction calibrated": "tuned late interaction, calibrated",
}
NOT_PARTS = (
    "small network in the head",
    "ranking weight 10",
    "one model one split",
    "with dropout",
    "late interaction",
    "cosine",
    "BM25",
    "boosted trees",
    "plain fine-tuning",
    "plain fine-tuning, calibrated",
    "tuned late interaction",
    "tuned late interaction, calibrated",
)
WEAK_JUDGES = ("umbrela-llama3.2", "fourprompts-llama3-8b")
EVERY_PAIR = (
    ("teacher: GPT-4o", "teacher_grade", "teacher_grade"),
    ("late interaction", "base_grade", "base_similarity"),
    ("cosine", "base_grade", "base_cosine"),
    ("BM25", "base_grade", "bm25"),
)
DRAWS = 20
PRIOR_PAIRS = 30.0

Statistics = dict[str, SumStatistic]


def write_pages(work: Path, page: Path, report: Path) -> None:
    """Write the page from what is in `work`, and the report, which has each direction apart."""
    for target, full in ((page, False), (report, True)):
        parts = [
            "# The student and its recipe\n",
            f"Machine: {machine()}. Date: {datetime.date.today()}. Written by `python "
            "benchmarks/student.py page` from the runs of `student.py validate`, `across` and "
            "`test --seeds N`, with each direction apart, validation within a collection, "
            "recalibration, equal shares of grades and calibration rules in "
            f"`{report.relative_to(work.parents[2])}`. "
            "Intervals are 95 %, over queries. κ is of grades, pairwise accuracy of scores.\n",
            *_test(work / "test", full),
            *(_every_pair(work.parent) if full else ()),
            *(_travelling(work / "test") if full else ()),
            "## What each part is worth\n",
            *_across(work, full),
            *(_validation(work / "validation") if full else ()),
            *(_calibrations(work / "validation") if full else ()),
        ]
        write(target, parts)


def _validation(folder: Path) -> Iterator[str]:
    yield (
        "### Within a collection\n\n"
        "Validation alone: GPT-4o's recorded grades of TREC DL 2019 and 2020, three folds of "
        "queries each; a student learns from two folds and is compared with GPT-4o on 60 pairs of "
        "each query of the third, all folds of both collections together (97 queries). People's "
        "grades are not opened. One change at a time from the first row.\n"
    )
    found = _variants(folder)
    # The latest recipe that was validated.
    first = next((name for name in ("recipe", "head from 2000 pairs") if name in found), None)
    if first is None:
        return
    rows = []
    recipe = statistics_of(found[first], "grade", "score")
    for name, told in found.items():
        if name == "baselines":
            continue
        own = statistics_of(told, "grade", "score")
        apart = difference_of(own, recipe, "quadratic_kappa") if name != first else "–"
        seconds = told.groupby("file")["training_seconds"].first().mean()
        rows.append([name, *figures_of(own), apart, f"{seconds:.0f}"])
    header = ["variant", *TITLES, "quadratic κ minus the first's", "seconds to train"]
    rows.sort(key=lambda row: (row[0] == first, row[2]), reverse=True)
    yield table(header, rows)
    if "baselines" in found:
        yield "Without fine-tuning, cut points fitted on the same training labels:\n"
        rows = []
        for name in _baseline_names(found["baselines"]):
            own = statistics_of(found["baselines"], f"{name} grade", f"{name} score")
            rows.append(
                [
                    name,
                    *figures_of(own),
                    *(difference_of(recipe, own, metric) for metric in METRICS[1::2]),
                ]
            )
        header = ["ranker", *TITLES, "recipe minus it: quadratic κ", "pairwise accuracy"]
        yield table(header, rows)


def _across(work: Path, full: bool) -> Iterator[str]:
    """Variants taught on one collection, against their teacher's grades of the other."""
    found: dict[str, dict[str, list[pd.DataFrame]]] = {}
    for direction in DIRECTIONS:
        taught = direction.split(".")[0]
        tested = {
            path: TEACHER for path in (work / "test").glob(f"*.{TEACHER}.{direction}*.parquet")
        }
        validated = {path: "reference" for path in (work / "across").glob(f"*.{taught}.parquet")}
        for path, teacher in sorted((tested | validated).items()):
            for name, told, grade, score in _rankers(path):
                said = told[told[teacher].notna()]
                own = said.assign(
                    reference=said[teacher].astype(np.int64), given=said[grade], by=said[score]
                )
                found.setdefault(name, {}).setdefault(direction, []).append(own)
    ways = {
        name: [_of_all(runs, "given", "by") for runs in both.values()]
        for name, both in found.items()
        if len(both) > 1
    }
    if SHORT not in ways:
        return
    yield (
        "Taught by GPT-4o on one collection, compared with GPT-4o on every pair of the other: mean "
        "of both directions.\n"
    )
    rows = []
    for name, both in ways.items():
        means = [np.mean([_value(way[metric]) for way in both]) for metric in METRICS]
        apart = ["–"] * len(both)
        if name != SHORT:
            pairs = zip(both, ways[SHORT], strict=True)
            apart = [difference_of(way, recipe, METRICS[1]) for way, recipe in pairs]
        rows.append([name, *(figure(float(mean)) for mean in means), *apart])
    rows.sort(key=lambda row: (row[0] == SHORT, row[2]), reverse=True)
    rows = [row for row in rows if full or row[0] not in NOT_PARTS]
    # Quadratic κ minus that of the first in each direction.
    header = ["variant", *TITLES, *map(_arrow, DIRECTIONS)]
    if not full:
        # The report has each direction and binary κ.
        header, *rows = ([*row[:3], row[4]] for row in (header, *rows))
    yield table(header, rows)


def _test(folder: Path, full: bool) -> Iterator[str]:
    yield (
        "## Against people\n\n"
        "Taught on one TREC collection by a recorded judge, tested on NIST's grades of all pairs "
        "of the other (queries and passages of both do not teach). *Student, every pair*: the "
        "defaults of `recipe=full`, without stuffed copies. *Plain fine-tuning*: Hugging Face's "
        "Trainer, a cross-encoder with a class a grade, two epochs, the most probable class. "
        "*Tuned late interaction*: last layer, a small network in the head, cumulative logits, no "
        "ranking loss, one epoch, the cut points of its loss. *Calibrated*: this project's "
        "trainer, rare grades weighing more, the student's calibration on 15 % of the queries. "
        "*Boosted trees* read the student's features of the untrained encoder, BM25 and lengths.\n"
    )
    ways = [_labelers(folder, direction) for direction in DIRECTIONS]
    if not all(ways):
        return
    trained = ", ".join(f"{name} {len(runs)}" for name, runs in ways[0].items() if len(runs) > 1)
    if trained:
        yield (
            f"Trainings with different seeds and splits: {trained}; one of the others. Tables of "
            "several are added up.\n"
        )
    yield (
        "### Both directions together\n\nEvery query, asked of the student that did not learn it.\n"
    )
    together = {
        name: [
            pd.concat(
                [one.assign(query_id=f"{k}/" + one["query_id"]) for k, one in enumerate(both)]
            )
            for both in zip(*(way[name] for way in ways), strict=False)
        ]
        for name in ways[0]
    }
    yield from _compared(together, full)
    yield (
        "Then the ladder: each judge as the teacher of 600 pairs a fold, teacher → its student, "
        "against people. Last, quadratic κ when a hundred grades of people, ten for each of ten "
        f"queries, recalibrate both (mean of {DRAWS} draws, on the other queries).\n"
    )
    for direction, labelers in zip(DIRECTIONS, ways, strict=True):
        first, second = (f"DL 20{name[-2:]}" for name in direction.split("."))
        yield f"### Taught on {first}, tested on {second}\n"
        if full:
            yield from _compared(labelers, full)
        yield from _ladder(folder, direction, full)


def _labelers(folder: Path, direction: str) -> dict[str, list[pd.DataFrame]]:
    """The student and then all others, each training: query_id, reference, given, by and cut.

    `by` orders the pairs; `cut` grades them by it, each grade as often as people gave it, and is
    absent for judges, who have grades alone.
    """
    main = folder / f"{MAIN}.{direction}.parquet"
    if not main.is_file():
        return {}
    told = pd.read_parquet(main)
    labelers: dict[str, list[pd.DataFrame]] = {NAMES["every pair"]: []}
    judges = {"teacher: GPT-4o": TEACHER} | {f"judge: {name}": name for name in WEAK_JUDGES}
    for name, judge in judges.items():
        given = told[["query_id", "reference"]].assign(given=told[judge], by=told[judge])
        labelers[name] = [given]
    for path in sorted(folder.glob(f"*.{TEACHER}.{direction}*.parquet")):
        for name, one, grade, score in _rankers(path):
            own = one[["query_id", "reference"]].assign(given=one[grade], by=one[score])
            people = DEFAULT_SCALE.positions(one["reference"].to_numpy(dtype=np.int64))
            scores = one[score].to_numpy(dtype=np.float64)
            cuts = cut_points_like(people, scores, DEFAULT_SCALE)
            own["cut"] = DEFAULT_SCALE.values[np.searchsorted(cuts, scores, "right")]
            labelers.setdefault(name, []).append(own)
    return labelers


def _compared(labelers: dict[str, list[pd.DataFrame]], full: bool) -> Iterator[str]:
    """Tables of the first of the labelers beside the others."""
    found = {name: _of_all(runs, "given", "by") for name, runs in labelers.items()}
    rows = [[name, *figures_of(own)] for name, own in found.items()]
    rows[0][0] = f"**{rows[0][0]}**"
    yield table(["labeler", *TITLES], rows)
    yield "The student minus each of them, on the same pairs:\n"
    shown = [place for place, name in enumerate(METRICS) if full or name != "binary_kappa"]
    yield _minus_each(
        "student minus", found, [METRICS[k] for k in shown], [TITLES[k] for k in shown]
    )
    if not full:
        return
    yield (
        "What is left of these differences when the choice of cut points is taken away: every "
        "score is cut so that each grade is as frequent as people gave it (no labeler can know "
        "these shares).\n"
    )
    cut = {name: _of_all(runs, "cut", "by") for name, runs in labelers.items() if "cut" in runs[0]}
    yield _minus_each("student minus, cut alike", cut, METRICS[:3], TITLES[:3])


def _minus_each(
    corner: str, found: dict[str, Statistics], metrics: Sequence[str], titles: Sequence[str]
) -> str:
    """A table of the first labeler minus each of the others."""
    (_, first), *others = found.items()
    rows = [
        [name, *(difference_of(first, own, metric) for metric in metrics)] for name, own in others
    ]
    return table([corner, *titles], rows)


def _ladder(folder: Path, direction: str, full: bool) -> Iterator[str]:
    """Each judge beside the student that it taught."""
    rows = []
    for path in sorted(folder.glob(f"recipe.*.{direction}.parquet")):
        judge = path.name.removeprefix("recipe.").removesuffix(f".{direction}.parquet")
        told = pd.read_parquet(path)
        teacher, own = statistics_of(told, judge, judge), statistics_of(told, "grade", "score")
        cells = []
        for metric in LADDER_METRICS:
            before, after = (_value(one[metric]) for one in (teacher, own))
            cells.append(f"{figure(before)}→{figure(after)}")
        helped = [
            np.mean([_recalibrated(one, 10, draw)[1][1] for draw in range(DRAWS)])
            for one in (_as_labeler(told, judge), told)
        ]
        rows.append(
            [
                judge,
                *cells,
                *([difference_of(own, teacher, METRICS[1])] if full else []),
                "→".join(figure(float(one)) for one in helped),
            ]
        )
    rows.sort(key=lambda row: row[2])
    titles = [TITLES[METRICS.index(metric)] for metric in LADDER_METRICS]
    apart = ["quadratic κ apart"] if full else []
    header = ["teacher", *titles, *apart, "with a hundred grades of people"]
    yield table(header, rows)


def _as_labeler(told: pd.DataFrame, judge: str) -> pd.DataFrame:
    """A judge's grades where a student's score, grade and probabilities stand."""
    grades = told[judge].fillna(0).astype(np.int64)
    chances = np.eye(DEFAULT_SCALE.size)[DEFAULT_SCALE.positions(grades.to_numpy())]
    return told.assign(score=grades.astype(float), grade=grades, probabilities=list(chances))


def _rankers(path: Path) -> list[tuple[str, pd.DataFrame, str, str]]:
    """Name, predictions and the columns of grade and score of each labeler in a file."""
    told = pd.read_parquet(path)
    if path.name.startswith("baselines"):
        return [(one, told, f"{one} grade", f"{one} score") for one in _baseline_names(told)]
    name = _variant(path)
    return [(NAMES.get(name, name), told, "grade", "score")]


def _every_pair(runs: Path) -> Iterator[str]:
    """What `kedro run` itself gives, from the runs of `run.py trec-dl`."""
    rows = []
    for number, way in enumerate(DIRECTIONS):
        grades = runs / f"trec-dl-{number}/data/07_model_output/recorded/benchmark_grades.parquet"
        files = sorted(grades.glob("*/benchmark_grades.parquet"))
        if not files:
            return
        told = pd.read_parquet(files[-1]).rename(columns={"human": "reference"})
        student = statistics_of(told, "student_grade", "student_score")
        name = _arrow(way)
        rows.append([name, "**student**", *_values(student), "–", "–"])
        for peer, grade, score in EVERY_PAIR:
            own = statistics_of(told, grade, score)
            values = _values(own)
            apart = [difference_of(student, own, metric) for metric in (METRICS[1], RANKED)]
            if peer in ("cosine", "BM25"):  # They have no grades of their own.
                values[:3], apart[0] = ["–"] * 3, "–"
            rows.append([name, peer, *values, *apart])
    yield (
        "### Every pair, by the default recipe\n\n"
        "`kedro run --env=recorded` ([its commands](trec-dl.md)): `recipe=small`, "
        "600 pairs for each of two folds, tested on all 11,386 and 9,260 pairs.\n"
    )
    header = ["", "labeler", *TITLES, "student minus it: quadratic κ", "pairwise accuracy"]
    yield table(header, rows)


def _values(own: Statistics) -> list[str]:
    return [figure(_value(own[metric])) for metric in METRICS]


def _travelling(folder: Path) -> Iterator[str]:
    """What grades of the new collection repair; nothing is trained again."""
    files = [folder / f"{MAIN}.{way}.parquet" for way in DIRECTIONS]
    if not all(path.is_file() for path in files):
        return
    yield (
        "## How many grades of a new collection repair κ\n\n"
        "GPT-4o's students, [recalibrated](../pipelines/recalibrating.md) on ten grades of people "
        f"for each of so many queries of the other collection; mean of {DRAWS} random draws and, "
        "in brackets, the change, on the queries that were not drawn. Where it does not lower the "
        "cross-fitted log-loss, the labeler stays.\n"
    )
    rows = []
    for queries in (0, 3, 5, 10, 20):
        cells = []
        for path in files:
            told = pd.read_parquet(path)
            draws = 1 if queries == 0 else DRAWS
            found = np.array([_recalibrated(told, queries, draw) for draw in range(draws)])
            for metric in range(3):
                before, after = found[:, :, metric].mean(axis=0)
                gain = f" ({figure(after - before, signed=True)})" if queries else ""
                cells.append(f"{figure(after)}{gain}")
        label = f"{10 * queries} of {queries} queries" if queries else "none"
        rows.append([label, *cells])
    header = [f"{_arrow(way)}: {title}" for way in DIRECTIONS for title in TITLES[:3]]
    yield table(["grades", *header], rows)


def _recalibrated(told: pd.DataFrame, queries: int, draw: int) -> list[list[float]]:
    """κ, quadratic κ and binary κ before and after, on queries that were not drawn."""
    rng = np.random.default_rng(draw)
    drawn = rng.permutation(sorted(told["query_id"].unique()))[:queries]
    taken = told["query_id"].isin(drawn)
    rest = told[~taken]
    after = rest["grade"]
    if queries:
        some = told[taken].groupby("query_id").sample(10, random_state=draw)
        values = DEFAULT_SCALE.values
        graded = Graded(
            scores=some["score"].to_numpy(),
            passages=np.ones(len(some), dtype=np.int64),
            positions=DEFAULT_SCALE.positions(some["reference"].to_numpy(dtype=np.int64)),
            queries=some["query_id"].to_numpy(dtype=object),
            texts=np.full(len(some), "", dtype=object),
            weights=np.ones(len(some)),
            probabilities=np.array(some["probabilities"].tolist()),
            given=DEFAULT_SCALE.positions(some["grade"].to_numpy(dtype=np.int64)),
        )
        rules = Rules(DEFAULT_SCALE, tuple(midpoints(DEFAULT_SCALE).tolist()))
        try:
            found = recalibrate(graded, rules, PRIOR_PAIRS, 0)
        except UserError:  # one grade alone among those that were drawn
            found = None
        # As the pipeline does: without a better log-loss the labeler stays as it is.
        if found is not None and found.helps:
            changed = Rules(DEFAULT_SCALE, found.cut_points)
            one = np.ones(len(rest), dtype=np.int64)
            given = changed.grade(found.link, rest["score"].to_numpy(), one)
            after = pd.Series(values[given], rest.index)
    people = rest["reference"].to_numpy()
    return [_kappas(people, grades.to_numpy()) for grades in (rest["grade"], after)]


def _kappas(people: NDArray[np.int64], given: NDArray[np.int64]) -> list[float]:
    """κ, quadratic κ and binary κ."""
    from_here = DEFAULT_SCALE.relevant_from
    return [
        cohen_kappa_score(people, given),
        cohen_kappa_score(people, given, weights="quadratic"),
        cohen_kappa_score(people >= from_here, given >= from_here),
    ]


def _calibrations(folder: Path) -> Iterator[str]:
    """Rules from score to grade, on the same trainings."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        return
    yield (
        "### Calibration\n\n"
        "Trainings whose head starts from 600 pairs, with other ways from held-out scores to "
        f"grades: means over {len(files)} folds, on the queries that did not teach and on the "
        "other collection (queries of both left out), against GPT-4o's grades.\n"
    )
    names = {"same collection": "", "other collection": "other collection: "}
    found: dict[str, list[list[float]]] = {}
    for path in files:
        scored = read_scores(path)
        for rule, probabilities, cuts in rules(scored["held_out"]):
            row = []
            for place in names:
                pairs = scored[place]
                chances = probabilities(pairs)
                given = np.searchsorted(cuts, np.round(chances @ DEFAULT_SCALE.values, 6), "right")
                told = pd.DataFrame(
                    {"query_id": pairs.queries, "reference": pairs.positions, "given": given}
                )
                own = statistics_of(told, "given", "given")
                row += [_value(own[metric]) for metric in METRICS[:3]]
                of_grade = chances[np.arange(len(given)), pairs.positions]
                row.append(-float(np.log(np.maximum(of_grade, 1e-3)).mean()))
            found.setdefault(rule, []).append(row)
    titles = [*TITLES[:3], "log-loss"]
    header = ["rule", *(before + title for before in names.values() for title in titles)]
    yield table(
        header,
        [[rule, *(figure(x) for x in np.mean(rows, axis=0))] for rule, rows in found.items()],
    )


def _variants(folder: Path) -> dict[str, pd.DataFrame]:
    """Predictions by variant, for variants whose every fold is there."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.parquet")):
        files.setdefault(_variant(path), []).append(path)
    whole = max(map(len, files.values()), default=0)
    return {
        name: pd.concat([pd.read_parquet(path).assign(file=path.name) for path in paths])
        for name, paths in sorted(files.items(), key=lambda item: item[0] != "recipe")
        if len(paths) == whole
    }


def _arrow(direction: str) -> str:
    return direction.replace("trec-dl", "DL").replace(".", " → ")


def _variant(path: Path) -> str:
    return path.name.split(".")[0].replace("_", " ")


def statistics_of(told: pd.DataFrame, grade: str, score: str) -> Statistics:
    """κ of grades, pairwise accuracy of scores; a pair that the judge left out counts as 0."""
    query = pd.factorize(told["query_id"], sort=True)[0].astype(np.int64)
    human = told["reference"].to_numpy(dtype=np.int64)
    queries = int(query.max()) + 1
    grades = GradedPairs(human, told[grade].fillna(0).to_numpy(dtype=float), query, queries)
    scores = GradedPairs(human, told[score].fillna(0).to_numpy(dtype=float), query, queries, False)
    found = {**statistics(grades, DEFAULT_SCALE)}
    found[RANKED] = statistics(scores, DEFAULT_SCALE)[RANKED]
    return {name: found[name] for name in METRICS}  # type: ignore[misc]


def _of_all(runs: Sequence[pd.DataFrame], grade: str, score: str) -> Statistics:
    """The figures of several trainings: what their queries add, together."""
    found = [statistics_of(told, grade, score) for told in runs]
    return {
        name: replace(first, sums=sum(one[name].sums for one in found))
        for name, first in found[0].items()
    }


def _value(statistic: SumStatistic) -> float:
    return float(statistic(np.ones((1, statistic.queries)))[0])


def figures_of(own: Statistics) -> list[str]:
    """Each of `METRICS` with its interval."""
    found = intervals(own, 1000, 0)
    return [
        f"{figure(found[name].estimate)} ({figure(found[name].low)} to {figure(found[name].high)})"
        for name in METRICS
    ]


def difference_of(first: Statistics, second: Statistics, metric: str) -> str:
    """The first minus the second with its interval."""
    apart = compare({metric: first[metric]}, {metric: second[metric]}, Options())[metric].interval
    return (
        f"{figure(apart.estimate, signed=True)} ({figure(apart.low, signed=True)} to "
        f"{figure(apart.high, signed=True)})"
    )


def _baseline_names(told: pd.DataFrame) -> list[str]:
    return [column.removesuffix(" grade") for column in told if column.endswith(" grade")]
