"""Whether the intervals are honest: their coverage and the error rates of the tests, simulated.

    python benchmarks/interval_coverage.py [--processes 2] [--trials 1000] [--page FILE]

Thousands of benchmarks are drawn from populations whose truth is known (`simulated`); counted is
how often a 95 % interval holds the truth, how often the gate of the registry errs, how often the
swap test sees a difference that is not there, and what prediction-powered intervals do with few
human queries. Writes docs/results/coverage.md. Seeded; the figures do not depend on how many
processes share the work.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pages import LEFT_OUT, PAGES, ROOT, machine, write
from simulated import (
    World,
    drawn,
    exchangeable,
    figures,
    of_queries,
    relevant_of_ten,
    scored,
    truth,
)

from relevance_distillery.evaluation.agreement.estimates import compare, paired_differences
from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.evaluation.agreement.ranking import ScoreCorrelation
from relevance_distillery.evaluation.statistics.bootstrap import interval, intervals
from relevance_distillery.evaluation.statistics.prediction_powered import powered_mean
from relevance_distillery.evaluation.statistics.randomization import swap_test

QUERIES = (10, 20, 50, 100, 200)
HUMAN = (10, 20, 50)
MACHINE = 500
RESAMPLES = 500
MARGIN = 0.03
BLOCK = 50
"""Trials of one task, with a seed of their own."""

USUAL = World()
HARD = World(noise=(1.0, 1.15), leaning=0.5, pairs=60, uneven=0.8, queries=8_000, seed=1)
EQUAL = World(noise=(0.7, 0.7), queries=10_000, seed=2)
WORSE = World(noise=(0.675, 0.605), queries=20_000, seed=3)
REPORT = ROOT / "build" / "benchmarks" / "reports" / "coverage.md"
WORLDS = {"usual": USUAL, "hard": HARD}

POPULATIONS: dict[str, Any] = {}
"""Made before the processes part, so that each has them without a copy."""


def prepare() -> None:
    """Makes the populations."""
    for name, world in WORLDS.items():
        POPULATIONS[name] = figures(world)
    POPULATIONS["equal"] = exchangeable(figures(EQUAL))
    POPULATIONS["worse"] = figures(WORSE)
    POPULATIONS["shares"] = relevant_of_ten(USUAL)
    pairs = scored(USUAL)
    right = ScoreCorrelation(pairs)(np.ones((1, pairs.queries)))[0]
    POPULATIONS["scores"] = (pairs, float(right))


def coverage(name: str, queries: int, seed: int) -> dict[str, list[int]]:
    """By figure how often the interval held the truth, and how often there was one."""
    first, second = POPULATIONS[name]
    rng = np.random.default_rng(seed)
    found: dict[str, list[int]] = {}
    for _ in range(BLOCK):
        chosen = rng.integers(first[PRIMARY].queries, size=queries)
        one, two = drawn(first, chosen), drawn(second, chosen)
        asked = {f"judge {metric}": figure for metric, figure in one.items()} | {
            f"difference {metric}": figure
            for metric, figure in paired_differences(one, two).items()
        }
        for figure, limits in intervals(asked, RESAMPLES, int(rng.integers(2**31))).items():
            counts = found.setdefault(figure, [0, 0])
            if np.isfinite(limits.low):
                counts[0] += limits.low <= _truth(name, figure) <= limits.high
                counts[1] += 1
    return found


def _truth(name: str, figure: str) -> float:
    first, second = POPULATIONS[name]
    kind, metric = figure.split(" ", 1)
    own = truth(first[metric])
    return own if kind == "judge" else own - truth(second[metric])


def scores(queries: int, seed: int) -> dict[str, list[int]]:
    """Coverage of the rank correlation of a judge that gives scores."""
    pairs, right = POPULATIONS["scores"]
    rng = np.random.default_rng(seed)
    held = there = 0
    for _ in range(BLOCK):
        chosen = rng.integers(pairs.queries, size=queries)
        found = interval(
            ScoreCorrelation(of_queries(pairs, chosen)), RESAMPLES, int(rng.integers(2**31))
        )
        held += found.low <= right <= found.high
        there += np.isfinite(found.low)
    return {"spearman": [held, there]}


def gate(name: str, queries: int, seed: int) -> dict[str, list[int]]:
    """How often the gate promotes: candidates worse by exactly the margin, or equally good."""
    first, second = POPULATIONS[name]
    margin = MARGIN if name == "equal" else truth(second[PRIMARY]) - truth(first[PRIMARY])
    rng = np.random.default_rng(seed)
    promoted = superior = 0
    for _ in range(BLOCK):
        chosen = rng.integers(first[PRIMARY].queries, size=queries)
        sides = [drawn({PRIMARY: side[PRIMARY]}, chosen) for side in (first, second)]
        found = compare(sides[0], sides[1], RESAMPLES, 1, int(rng.integers(2**31)), margin)
        promoted += found[PRIMARY].conclusion in ("superior", "non-inferior")
        superior += found[PRIMARY].conclusion == "superior"
    return {"promoted": [promoted, BLOCK], "superior": [superior, BLOCK]}


def swapping(queries: int, seed: int) -> dict[str, list[int]]:
    """How often the swap test finds p <= .05 between judges that are equally good."""
    first, second = POPULATIONS["equal"]
    rng = np.random.default_rng(seed)
    found = {}
    for metric in (PRIMARY, "accuracy", "ndcg"):
        rejected = 0
        for _ in range(BLOCK):
            chosen = rng.integers(first[metric].queries, size=queries)
            sides = [drawn({metric: side[metric]}, chosen)[metric] for side in (first, second)]
            rejected += swap_test(sides[0], sides[1], 999, int(rng.integers(2**31))) <= 0.05
        found[metric] = [rejected, BLOCK]
    return found


def powered(judge: str, human: int, seed: int) -> dict[str, list[float]]:
    """Coverage and width of the mean's intervals from few human queries, by method."""
    people, good, _ = POPULATIONS["shares"]
    rng = np.random.default_rng(seed)
    # A bad machine says of each query what it should have said of another.
    said = good if judge == "good" else np.random.default_rng(9).permutation(good)
    right = float(people.mean())
    found: dict[str, list[float]] = {}
    for _ in range(BLOCK):
        chosen = rng.integers(people.size, size=human + MACHINE)
        own, other = chosen[:human], chosen[human:]
        values = (people[own], said[own], said[other])
        default = powered_mean(*values)
        paper = powered_mean(*values, quantiles="normal")
        for method, limits in (
            ("classical", default.classical),
            ("paper", paper.interval),
            ("default", default.interval),
        ):
            counts = found.setdefault(method, [0, 0, 0])
            if np.isfinite(limits.low):
                counts[0] += limits.low <= right <= limits.high
                counts[1] += limits.high - limits.low
                counts[2] += 1
    return found


def run(task: tuple[Callable[..., dict[str, list[float]]], tuple[Any, ...]]) -> Any:
    """One task in one of the processes."""
    function, arguments = task
    return function(*arguments)


def simulate(trials: int, processes: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Counts by kind of simulation and its arguments, added up over the trials."""
    kinds: list[tuple[Callable[..., Any], tuple[Any, ...], int]] = []
    for queries in QUERIES:
        kinds += [(coverage, ("usual", queries), trials)]
        kinds += [(gate, (name, queries), 2 * trials) for name in ("equal", "worse")]
        kinds += [(swapping, (queries,), trials)]
        if queries >= 50:
            kinds += [(coverage, ("hard", queries), trials)]
    kinds += [(powered, (judge, human), 4 * trials) for judge in ("good", "bad") for human in HUMAN]
    kinds += [(scores, (queries,), trials) for queries in QUERIES]
    tasks, keys = [], []
    for place, (function, arguments, number) in enumerate(kinds):
        for block in range(max(1, number // BLOCK)):
            seed = 100_000 * (place + 1) + block
            tasks.append((function, (*arguments, seed)))
            keys.append((function.__name__, *arguments))
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for key, part in zip(keys, pool.imap(run, tasks, chunksize=1), strict=True):
            whole = found.setdefault(key, {})
            for name, counts in part.items():
                whole[name] = np.add(whole.get(name, np.zeros(len(counts))), counts)
    return found


def share(part: float, whole: float) -> str:
    """A percentage."""
    return f"{100 * part / whole:.1f}" if whole else "none"


def page(
    found: dict[tuple[Any, ...], dict[str, Any]],
    trials: int,
    processes: int,
    minutes: float,
    full: bool = False,
) -> str:
    """The results as Markdown; the differences of two judges in the full report."""
    first, second = POPULATIONS["usual"]
    date = datetime.date.today().isoformat()
    sizes = " | ".join(map(str, QUERIES))
    lines = [
        "# Whether the intervals are honest",
        "",
        "How often a 95 % interval holds the truth, and how often the tests err, counted on "
        "simulated benchmarks. What they are: [intervals and tests]"
        "(../explanation/intervals.md).",
        "",
        f"Machine: {machine()}. Date: {date}. {minutes:.0f} minutes. {trials} benchmarks a figure "
        f"(so a percentage is uncertain by ±{196 * (0.95 * 0.05 / trials) ** 0.5:.1f}), "
        f"{RESAMPLES} resamples each:",
        "",
        "```bash",
        f"python benchmarks/interval_coverage.py --trials {trials} --processes {processes}",
        "```",
        "",
        "Populations (`benchmarks/simulated.py`): queries differ in how many documents were "
        "judged and are relevant, how hard they are and how generous judges are; two thirds of the "
        "pairs have grade 0; judges share part of their errors. *Usual*: "
        f"about {first[PRIMARY].sums.sum() / first[PRIMARY].queries:.0f} pairs a query, judges "
        f"with quadratic κ {truth(first[PRIMARY]):.2f} and {truth(second[PRIMARY]):.2f}. *Hard*: "
        f"about {_pairs('hard'):.0f} pairs a query, very unequally many, quadratic κ "
        f"{truth(POPULATIONS['hard'][0][PRIMARY]):.2f} and "
        f"{truth(POPULATIONS['hard'][1][PRIMARY]):.2f}.",
        "",
        "## Coverage of 95 % intervals, %",
        "",
        f"By queries. {_range(found)} The same command writes those of the difference of two "
        f"judges to `{REPORT.relative_to(ROOT)}`.",
    ]
    kinds = {"judge": "One judge"}
    if full:
        kinds["difference"] = "Difference of two judges"
    for kind, title in kinds.items():
        lines += [
            "",
            f"### {title}",
            "",
            f"| metric | {sizes} | hard, 50 | 100 | 200 |",
            "|---|" + "---|" * (len(QUERIES) + 3),
        ]
        for metric in METRICS:
            if not full and metric in LEFT_OUT:
                continue
            cells = [found["coverage", "usual", queries] for queries in QUERIES]
            cells += [found["coverage", "hard", queries] for queries in QUERIES if queries >= 50]
            counts = [cell[f"{kind} {metric}"] for cell in cells]
            row = " | ".join(share(*count) for count in counts)
            lines.append(f"| {METRICS[metric].title} | {row} |")
        if full and kind == "judge":
            row = " | ".join(share(*found["scores", queries]["spearman"]) for queries in QUERIES)
            lines.append(f"| Spearman's ρ of scores | {row} | | | |")
    lines += _tests(found, sizes) + _powered(found)
    return "\n".join([*lines, ""])


def _range(found: dict[tuple[Any, ...], dict[str, Any]]) -> str:
    shares = [
        100 * held / there
        for key, counts in found.items()
        if key[0] in ("coverage", "scores") and key[-1] >= 50
        for held, there in counts.values()
    ]
    return (
        f"From 50 queries on, the {len(shares)} percentages lie between {min(shares):.1f} and "
        f"{max(shares):.1f}."
    )


def _pairs(name: str) -> float:
    side = POPULATIONS[name][0][PRIMARY]
    return float(side.sums.sum() / side.queries)


def _tests(found: dict[tuple[Any, ...], dict[str, Any]], sizes: str) -> list[str]:
    worse = POPULATIONS["worse"]
    margin = truth(worse[1][PRIMARY]) - truth(worse[0][PRIMARY])

    def row(title: str, key: Callable[[int], tuple[Any, ...]], name: str) -> str:
        cells = (found[key(queries)][name] for queries in QUERIES)
        return f"| {title} | " + " | ".join(share(*cell) for cell in cells) + " |"

    return [
        "",
        "## Error rates of the gate and of the swap test, %",
        "",
        "How often the gate (quadratic κ) promotes a candidate that is worse by exactly the margin "
        f"({margin:.3f}), nominally 2.5 %, or equally good (margin {MARGIN}; its power), and "
        "equally good judges are told apart, nominally 2.5 % (superior) and 5 % (swap test, "
        "p ≤ .05).",
        "",
        f"| | {sizes} |",
        "|---|" + "---|" * len(QUERIES),
        row("promoted although worse by the margin", lambda q: ("gate", "worse", q), "promoted"),
        row("promoted when equally good", lambda q: ("gate", "equal", q), "promoted"),
        row("called superior when equally good", lambda q: ("gate", "equal", q), "superior"),
        *(
            row(f"swap test, {METRICS[metric].title}", lambda q: ("swapping", q), metric)
            for metric in (PRIMARY, "accuracy", "ndcg")
        ),
    ]


def _powered(found: dict[tuple[Any, ...], dict[str, Any]]) -> list[str]:
    people, good, _ = POPULATIONS["shares"]
    lines = [
        "",
        "## Prediction-powered intervals",
        "",
        "A mean over queries (share of relevant documents among ten) from few queries with "
        f"people's and machine's grades and {MACHINE} with the machine's alone. Over queries, the "
        f"good machine correlates with people by {np.corrcoef(people, good)[0, 1]:.2f}, the bad "
        "one not at all. Coverage in %, and mean width; *classical*: people's values alone; "
        "*paper*: PPI++ with normal quantiles; *ours*: what `evaluate` uses.",
        "",
        "| machine | human queries | classical | paper | ours | width: classical | paper | ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for judge in ("good", "bad"):
        for human in HUMAN:
            counts = [
                found["powered", judge, human][method]
                for method in ("classical", "paper", "default")
            ]
            cells = [share(count[0], count[2]) for count in counts]
            cells += [f"{count[1] / count[2]:.3f}" for count in counts]
            lines.append(f"| {judge} | {human} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Simulates and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--page", type=Path, default=PAGES / "coverage.md")
    options = parser.parse_args()
    start = time.perf_counter()
    prepare()
    found = simulate(options.trials, options.processes)
    minutes = (time.perf_counter() - start) / 60
    for target, full in ((options.page, False), (REPORT, True)):
        write(target, [page(found, options.trials, options.processes, minutes, full)])


if __name__ == "__main__":
    main()
