"""Whether a judge's grades lead to the conclusions about search engines that people's lead to.

    BENCHMARKS=/folder/of/the/sets python benchmarks/systems.py [--labeler SET=FOLDER ...]

Writes docs/results/systems.md, and build/benchmarks/reports/systems.md with AP and every system's
figures too: sixteen systems over the judged documents of each set, evaluated by
`kedro run --pipeline=evaluate` with recorded judges (and a labeler trained elsewhere, where one is
given), and prediction-powered intervals from few human queries against the truth.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pages import BENCHMARKS, PAGES, ROOT, machine, write
from projects import kedro_run, newest, newest_json, prepare
from system_runs import Judged, systems, write_runs

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.collections.system_runs import read_runs
from relevance_distillery.evaluation.statistics.prediction_powered import powered_mean
from relevance_distillery.evaluation.systems.system_measures import (
    as_qrels,
    parse_measures,
    per_query,
)
from relevance_distillery.grading import DEFAULT_SCALE

WORK = ROOT / "build" / "benchmarks" / "systems"
REPORT = ROOT / "build" / "benchmarks" / "reports" / "systems.md"

SETS = ("trec-dl19", "trec-dl20")
MEASURES = ("nDCG@10", "AP(rel=2)")
HUMAN_QUERIES = (10, 20)
MACHINE_QUERIES = 200
REPEATS = 400
SEED = 0


def evaluate(name: str, judges: list[str], labeler: Path | None) -> Path:
    """Makes the runs of a set and evaluates them in a project of its own; the project."""
    project = WORK / name
    prepare(project)
    if not (project / "runs").is_dir():
        judged = Judged(load_benchmark(BENCHMARKS / name, DEFAULT_SCALE))
        write_runs(judged, systems(judged, SEED), project / "runs")
    asked = f"runs=runs,benchmark={BENCHMARKS / name},grades={';'.join(judges)}"
    if labeler is not None:
        asked += f",judge={labeler}"
    kedro_run(project, ["--pipeline=evaluate", f"--params={asked}"])
    return project


def values_of(project: Path, measure: str) -> dict[str, np.ndarray]:
    """By source of grades: a measure, shape (systems, queries)."""
    runs = read_runs(project / "runs")
    grades = pd.read_parquet(newest(project, "evaluation_grades.parquet"))
    queries = runs.ranked["query_id"].drop_duplicates().tolist()
    parsed = parse_measures([measure], DEFAULT_SCALE)
    columns = {"people": "human"}
    columns |= {
        name.removesuffix("_grade"): name for name in grades.columns if name.endswith("_grade")
    }
    return {
        source: per_query(runs, as_qrels(grades, column), parsed, queries)[0]
        for source, column in columns.items()
    }


def coverage(people: np.ndarray, judge: np.ndarray, human: int) -> dict[str, float]:
    """Repeated draws of queries: how often an interval holds the truth, and how wide it is.

    Queries are drawn with replacement, so that the mean over all judged queries is the truth of
    the population that they come from: `human` with people's values, `MACHINE_QUERIES` without.
    """
    rng = np.random.default_rng(SEED)
    truth = people.mean(1)
    found: dict[str, list[float]] = {"both": [], "alone": [], "machine": [], "width": []}
    for _ in range(REPEATS):
        first = rng.integers(people.shape[1], size=human)
        others = rng.integers(people.shape[1], size=MACHINE_QUERIES)
        for system in range(len(people)):
            one = powered_mean(people[system, first], judge[system, first], judge[system, others])
            both, alone = one.interval, one.classical
            if not np.isfinite([both.low, alone.low]).all():
                continue
            trusted = powered_mean(judge[system, others], judge[system, others], [], power=0.0)
            found["both"].append(both.low <= truth[system] <= both.high)
            found["alone"].append(alone.low <= truth[system] <= alone.high)
            machine_alone = trusted.interval
            found["machine"].append(machine_alone.low <= truth[system] <= machine_alone.high)
            found["width"].append((both.high - both.low) / (alone.high - alone.low))
    return {
        "both": float(np.mean(found["both"])),
        "alone": float(np.mean(found["alone"])),
        "machine": float(np.mean(found["machine"])),
        "width": float(np.median(found["width"])),
    }


def section(name: str, project: Path, full: bool) -> list[str]:
    """The tables of one set; every system's figures and the second measure in the full report."""
    found = newest_json(project, "evaluation.json")
    lines = [
        f"## {name}\n",
        f"{found['queries']['all']} queries, {len(found['systems'])} systems, "
        f"{found['pool']['pairs']} pairs among the first {found['pool']['depth']}.\n",
    ]
    for measure in MEASURES if full else MEASURES[:1]:
        found_by = {judge: by[measure] for judge, by in found["judges"].items()}
        drawn = next(iter(found_by.values()))["conclusions"]
        lines += [
            f"### {measure}\n",
            f"Of {drawn['pairs']} differences {drawn['people']} are significant for people.\n",
            "| judge | machine − people | τ | τ_AP | survive | lost | flip | machine alone |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for judge, like in found_by.items():
            drawn = like["conclusions"]
            lines.append(
                f"| {judge} | {like['mean_difference']:+.3f} | {shown(like['kendall_tau'])} "
                f"| {shown(like['ap_correlation'])} "
                f"| {drawn['survive']} ({drawn['survive_share']:.0%}) | {drawn['lost']} "
                f"| {drawn['flip']} | {drawn['machine_alone']} |"
            )
        lines.append("")
    if full:
        lines += _systems(found)
    return lines + _coverage(project, MEASURES[0])


def shown(row: dict[str, Any]) -> str:
    """An interval as text."""
    if row["low"] is None:
        return "–" if row["estimate"] is None else f"{row['estimate']:.3f}"
    return f"{row['estimate']:.3f} ({row['low']:.3f}–{row['high']:.3f})"


def _systems(found: dict[str, Any]) -> list[str]:
    measure = MEASURES[0]
    judges = list(found["judges"])
    lines = [
        f"### Every system, {measure}\n",
        "| system | people | " + " | ".join(judges) + " |",
        "|---" * (len(judges) + 2) + "|",
    ]
    order = [name for group in found["differences"]["ranking"] for name in group]
    for name in order:
        row = found["systems"][name]["measures"][measure]
        cells = " | ".join(f"{row['machine'][judge]['estimate']:.3f}" for judge in judges)
        lines.append(f"| {name} | {shown(row['people'])} | {cells} |")
    return [*lines, ""]


def _coverage(project: Path, measure: str) -> list[str]:
    values = values_of(project, measure)
    people = values.pop("people")
    rows = {
        judge: [coverage(people, machine_values, human) for human in HUMAN_QUERIES]
        for judge, machine_values in values.items()
    }
    # The same queries are drawn for every judge.
    alone = [f"{row['alone']:.1%}" for row in next(iter(rows.values()))]
    sizes = " and ".join(map(str, HUMAN_QUERIES))
    lines = [
        f"### Few human queries, {measure}\n",
        f"With {sizes} human queries. People alone cover {' and '.join(alone)}.\n",
        "| judge | people and machine cover | machine alone | width, of people alone |",
        "|---|---|---|---|",
    ]
    for judge, found in rows.items():
        both, machine_alone = (
            ", ".join(f"{row[key]:.1%}" for row in found) for key in ("both", "machine")
        )
        width = ", ".join(f"{row['width']:.2f}" for row in found)
        lines.append(f"| {judge} | {both} | {machine_alone} | {width} |")
    return [*lines, ""]


def main() -> None:
    """Everything, then the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labeler", action="append", default=[], metavar="SET=FOLDER")
    labelers = dict(part.split("=", 1) for part in parser.parse_args().labeler)
    parts = [
        "# What can be concluded about search engines\n",
        "Data: TREC Deep Learning 2019 and 2020 passage judgments (NIST), MS MARCO texts, "
        "published grades of six judges for the same pairs. Sixteen systems rank the judged "
        "documents of each query (`benchmarks/system_runs.py`): BM25 with several constants, "
        "fields and query cuts, tf-idf, character n-grams, the bundled encoder, mixtures, and "
        "some made worse on purpose. "
        f"Machine: {machine()}. Date: {datetime.date.today()}. Written by "
        "`BENCHMARKS=… python benchmarks/systems.py`.\n",
        "```\nkedro run --pipeline=evaluate "
        '--params="runs=runs,benchmark=$BENCHMARKS/trec-dl19,grades=umbrela-gpt-4o;…"\n```\n',
        "τ and τ_AP compare the order of systems under a judge with people's, with 95 % intervals "
        "over queries. Differences are significant by a paired randomisation test by query, "
        "Holm-corrected for all pairs.\n",
        "*Few human queries*: queries are drawn with replacement from the judged ones, some with "
        f"people's grades, {MACHINE_QUERIES} more with machine grades alone, {REPEATS} times; the "
        "truth is people's mean over all judged queries. Nominal coverage is 95 %; the width is "
        "the median share of that from people's queries alone.\n",
    ]
    projects = {}
    for name in SETS:
        judges = sorted(path.stem for path in (BENCHMARKS / name / "judges").glob("*.tsv"))
        labeler = Path(labelers[name]).resolve() if name in labelers else None
        projects[name] = evaluate(name, judges, labeler)
    for page, full in ((PAGES / "systems.md", False), (REPORT, True)):
        write(page, parts + [line for one in projects.items() for line in section(*one, full)])
        print(page)


if __name__ == "__main__":
    main()
