"""How many pairs may leave early, how fast that is, and what it costs in agreement.

A labeler's exit is fitted anew for each share of leaving pairs that may be wrong. The teacher's
labels of the run's test split show what it costs, and so do people's grades of the run's benchmark
and of other collections. Pairs are read once through all layers: what leaves, and with which score,
follows from their features. Seconds are processor time of `Labeler.grade`, in turn.

    BENCHMARKS=/folder/of/the/sets python benchmarks/early_exit.py [--data FOLDER of a run]
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import statistics
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from graded_sets import read_set
from numpy.typing import NDArray
from pages import BENCHMARKS, PAGES, ROOT, machine, table
from performance import in_turn

from relevance_distillery.evaluation.agreement.ranking import ranking_metrics
from relevance_distillery.evaluation.graders import grade_with_student
from relevance_distillery.io.files import newest_version, read_stored_table
from relevance_distillery.labeler.calibration import quadratic_kappa
from relevance_distillery.labeler.early_exit import EarlyExit, fit_early_exit, known_places
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.learning.labelled_pairs import join_texts
from relevance_distillery.reporting.formats import figure

PAGE, FIGURES = PAGES / "early-exit.md", PAGES / "early-exit.json"
SHOWN = 0.002  # the strictest of those that are shown
ALLOWED = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
TIMED = ("0", f"{SHOWN:g}", "0.02")
TEST, SETS = "test", ("trec-dl19", "trec-dl20", "chorus", "antique", "feedbackqa")
MOST_LOST = 0.005  # of quadratic kappa; a set that loses more is named


class Read:
    """Pairs read through all layers; `label` is what agreement is measured with."""

    def __init__(self, labeler: Labeler, pairs: pd.DataFrame, label: str) -> None:
        self.pairs, self.labeler = pairs, labeler
        self.labels = labeler.scale.positions(pairs[label].to_numpy(dtype=np.int64))
        parts = labeler.features(pairs)
        with torch.inference_mode():
            self.scores = labeler.model.head(None, parts).double().numpy()
        self.features = parts.double().numpy()
        self.depths = int(labeler.model.base.config.num_hidden_layers), labeler.model.levels

    def grades(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Positions on the scale of a calibrated labeler, which needs no raw probabilities."""
        raw = np.zeros((len(scores), self.labeler.scale.size))
        graded = self.labeler.decide(raw, scores, pd.RangeIndex(len(scores)))
        return self.labeler.scale.positions(graded["grade"].to_numpy(dtype=np.int64))

    def fit(self, allowed: float) -> EarlyExit | None:
        """The exit that distilling would choose on these pairs."""
        given = self.features, self.scores, self.pairs["query_id"].astype(str).tolist()
        return fit_early_exit(*given, *self.depths, lambda s: self.grades(s) == 0, allowed)[0]

    def agreement(self, exit_: EarlyExit | None) -> dict[str, float]:
        """Share of pairs that leave, share of these with another grade, quadratic kappa."""
        scores, leaves = self.scores, np.zeros(len(self.scores), dtype=bool)
        if exit_ is not None:
            known = self.features[:, known_places(*self.depths, exit_.layer)]
            early = known @ np.array(exit_.weights) + exit_.bias
            leaves = early < exit_.below
            scores = np.where(leaves, early, scores)
        full, given = self.grades(self.scores), self.grades(scores)
        return {
            "pairs": len(scores),
            "leave": float(leaves.mean()),
            "other_grade": float((given != full).sum() / max(leaves.sum(), 1)),
            "quadratic_kappa": quadratic_kappa(self.labels, given, self.labeler.scale.size),
        }


def on_benchmark(
    labeler: Labeler, exits: Sequence[EarlyExit | None], data: Path
) -> dict[str, list[float]]:
    """Agreement with people on the benchmark of a run, by exit: quadratic kappa and nDCG."""
    facts, folder = labeler.facts, data / "07_model_output"
    pairs = pd.read_parquet(folder / "benchmark_pairs.parquet")
    people = pd.read_parquet(newest_version(folder / "benchmark_grades.parquet"))
    people = people[["query_id", "document_id", "human"]].dropna()
    found: dict[str, list[float]] = {"κ": [], "nDCG": []}
    for exit_ in exits:
        labeler.facts = facts.model_copy(update={"early_exit": exit_})
        graded = grade_with_student(labeler, pairs).merge(people, on=["query_id", "document_id"])
        human, given = (
            graded[name].to_numpy(dtype=np.int64) for name in ("human", "student_grade")
        )
        query, names = pd.factorize(graded["query_id"])
        ranked = ranking_metrics(human, graded["student_expected"], query, len(names), 2)
        positions = labeler.scale.positions
        found["κ"].append(quadratic_kappa(positions(human), positions(given), labeler.scale.size))
        found["nDCG"].append(float(np.nanmean(ranked["ndcg"])))
    labeler.facts = facts
    return found


def as_page(found: dict[str, Any]) -> str:
    """The page: the frontier on the test split, people's grades at the default, speed."""
    frontier = {row["allowed"]: row for row in found["frontier"]}
    rows = [
        [f"{allowed:g}", f"{row[TEST]['leave']:.0%}", figure(row[TEST]["quadratic_kappa"])]
        for allowed, row in frontier.items()
    ]
    lines, lost = [], []
    for name in SETS:
        before, after = (frontier[at][name]["quadratic_kappa"] for at in (0.0, SHOWN))
        share = f"{frontier[SHOWN][name]['leave']:.0%}"
        lines.append(f"`{name}` {figure(before)}, {figure(after)} ({share})")
        lost += [f"`{name}`"] if before - after > MOST_LOST else []
    speeds = [
        f"{statistics.median(np.divide(seconds['0'], seconds[TIMED[1]])):.2f}× on `{name}`"
        for name, seconds in found["seconds"].items()
    ]
    text = [
        f"`early_exit` is the share of leaving pairs that may be wrong. Fitted on {found['fitted']}"
        f" pairs of a run; κ is quadratic, with the teacher on the {frontier[0.0][TEST]['pairs']} "
        "of its test split:",
        f"With people, reported only, at 0 and {SHOWN:g} (leaving): {', '.join(lines)}."
        + (f" **Beyond the {MOST_LOST:g} that we allow: {', '.join(lost)}.**" if lost else ""),
        "On the run's own benchmark, people: "
        + ", ".join(f"{name} {figure(a)}, {figure(b)}" for name, (a, b) in found["own"].items())
        + ". The teacher's labels do not show that loss, so it is off unless asked for.",
        f"At {SHOWN:g} `Labeler.grade` is {', '.join(speeds)} as fast (processor time, median of "
        f"{found['rounds']}).",
    ]
    filled = [textwrap.fill(part, 100, break_on_hyphens=False) + "\n" for part in text]
    head = f"# Leaving early\n\nMachine: {found['machine']}. Date: {found['date']}.\n\n"
    filled.insert(1, table(["`early_exit`", "leave", "κ"], rows))
    return f"{head}```\n{found['command']}\n```\n\n" + "\n".join(filled)


def main() -> None:
    """Reads, fits, measures, times, and writes the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    for option, default in (("--pairs", 2500), ("--rounds", 3)):
        parser.add_argument(option, type=int, default=default)
    parser.add_argument("--dry", action="store_true", help="prints and writes nothing")
    asked = parser.parse_args()
    labeler = Labeler.load(newest_version(asked.data / "06_models" / "labeler"), device="cpu")
    facts = labeler.facts = labeler.facts.model_copy(update={"early_exit": None})
    keys, run = ["query_id", "passage_id"], asked.data / "05_model_input"
    splits = read_stored_table(run / "splits.parquet")[[*keys, "split"]]
    labels = splits.merge(read_stored_table(run / "labels.parquet")[[*keys, "grade"]], on=keys)
    queries = read_stored_table(asked.data / "03_primary" / "queries.parquet")
    passages = read_stored_table(asked.data / "02_intermediate" / "passages.parquet")
    labels = join_texts(labels, queries, passages)
    test = labels["split"] == "test"
    most = min(facts.training["settings"]["max_calibration_pairs"], int((~test).sum()))
    fitted = Read(labeler, labels[~test].sample(most, random_state=0), "grade")
    read = {TEST: Read(labeler, labels[test], "grade")}
    for name in SETS:
        pairs = read_set(BENCHMARKS / name, None).texts()
        pairs = pairs.sample(min(asked.pairs, len(pairs)), random_state=0)
        read[name] = Read(labeler, pairs, "human")
    exits = {allowed: fitted.fit(allowed) if allowed else None for allowed in ALLOWED}

    def timed(pairs: pd.DataFrame, allowed: str) -> float:
        labeler.facts = facts.model_copy(update={"early_exit": exits[float(allowed)]})
        started = time.process_time()
        labeler.grade(pairs)
        return time.process_time() - started

    found = {
        "machine": f"{machine()}, threads: {torch.get_num_threads()}",
        "date": str(datetime.date.today()),
        "command": "BENCHMARKS=… python benchmarks/early_exit.py --data …",
        "fitted": most,
        "rounds": asked.rounds,
        "own": on_benchmark(labeler, [None, exits[SHOWN]], asked.data),
        "frontier": [
            {"allowed": allowed, **{name: one.agreement(exit_) for name, one in read.items()}}
            for allowed, exit_ in exits.items()
        ],
        "seconds": {
            name: in_turn(TIMED, asked.rounds, functools.partial(timed, read[name].pairs))
            for name in (TEST, "trec-dl20")
        },
    }
    print(as_page(found))
    if not asked.dry:
        FIGURES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        PAGE.write_text(as_page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
