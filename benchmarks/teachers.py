"""Students of several judges and collections together, on a collection that none of them saw.

    BENCHMARKS=/folder/of/the/sets python benchmarks/teachers.py train [--only RECIPE ...]
    BENCHMARKS=/folder/of/the/sets python benchmarks/teachers.py time
    BENCHMARKS=/folder/of/the/sets python benchmarks/teachers.py page

`train` teaches a student the recorded grades of all sets but one, tests it on that one, and keeps
its scores under build/benchmarks/teachers/; what is there is not repeated. Queries and texts of the
tested set do not teach. `time` grades with the larger base and without it in turn; `page` writes
docs/results/teachers.md from all that.

The recipe `before` is the default of an earlier commit, whose src must be on PYTHONPATH; `larger
base` needs a base model's folder in LARGER.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from graded_sets import GradedSet, read_set, together, without
from pages import BENCHMARKS, PAGES, ROOT
from performance import in_turn

from relevance_distillery.evaluation.graders import (
    ScoreGrades,
    UntrainedEncoder,
    grade_in_two_passes,
)
from relevance_distillery.evaluation.robustness import PROBE_COLUMNS, Attacks, probe
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.settings import TrainingSettings

WORK = ROOT / "build" / "benchmarks" / "teachers"
HOSTILE = ROOT / "data" / "01_raw" / "sample" / "hostile.yml"

TEACHERS = {
    "trec-dl19": "umbrela-gpt-4o",
    "trec-dl20": "umbrela-gpt-4o",
    "trec-dl23-dev": "gpt-4",
    "antique": "umbrela-gpt-4o",
}
UNTAUGHT = "feedbackqa"
TESTED = (*TEACHERS, UNTAUGHT)
UNTRAINED = "untrained"
PROBED, FITTED = 150, 2000
TIMED, TIMED_PAIRS = "trec-dl20", 400
MOST_PAIRS = 100
"""Of a query of the tested set, drawn at random."""
DEFAULT, BEFORE, LARGER = "default", "before", "larger base"
FEWER = {f"{count} queries": count for count in (25, 50, 100, 200)}
RECIPES: dict[str, dict[str, Any]] = {
    BEFORE: {},
    DEFAULT: {},
    LARGER: {"base_model": os.environ.get("LARGER", "")},
    **{name: {} for name in FEWER},
}
"""Settings of training."""


def learned_from(tested: str, most: int | None = None) -> GradedSet:
    """What teaches where a set is tested: all others with a judge, or so many of their queries."""
    others = [read_set(BENCHMARKS / name, TEACHERS[name]) for name in TEACHERS if name != tested]
    learn = without(together(others), read_set(BENCHMARKS / tested, None))
    names = np.array(sorted(set(learn.pairs["query_id"])), dtype=object)
    return learn.only(set(np.random.default_rng(0).permutation(names)[:most]))


def asked_of(tested: str) -> pd.DataFrame:
    """Pairs that people graded with their texts, and the teacher's grades where it gave one."""
    asked = read_set(BENCHMARKS / tested, None).texts().drop(columns="teacher")
    if tested in TEACHERS:
        keys = ["query_id", "passage_id"]
        told = read_set(BENCHMARKS / tested, TEACHERS[tested]).pairs
        asked = asked.merge(told[[*keys, "teacher"]], on=keys, how="left")
    else:
        asked["teacher"] = np.nan
    shuffled = asked.sample(frac=1.0, random_state=0)
    return shuffled.groupby("query_id").head(MOST_PAIRS).reset_index(drop=True)


def train(recipe: str, tested: str) -> None:
    """A student, what it says of the tested set, and how stuffed query words move it."""
    target = place_of(recipe, tested)
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    workspace = target.with_suffix("")
    settings = TrainingSettings(**RECIPES[recipe])
    learn = learned_from(tested, FEWER.get(recipe)).data()
    folder, facts = distill(learn, settings, DEFAULT_SCALE, workspace)
    trained = time.monotonic()
    labeler = Labeler.load(folder)
    asked = asked_of(tested)
    graded = grade_in_two_passes(labeler, asked.assign(document_id=asked["passage_id"]))
    graded.columns = graded.columns.str.removeprefix("student_")
    told = asked[["query_id", "query", "passage_id", "human", "teacher"]].merge(
        graded.rename(columns={"document_id": "passage_id"}), validate="one_to_one"
    )
    grading = time.monotonic() - trained
    known = {"training_seconds": trained - started, "grading_seconds": grading, "facts": facts}
    known["probe"] = fooled(labeler, asked)
    target.with_suffix(".json").write_text(json.dumps(known, default=str), encoding="utf-8")
    shutil.copytree(folder, WORK / "labelers" / target.stem, dirs_exist_ok=True)
    shutil.rmtree(workspace, ignore_errors=True)
    told.to_parquet(target)
    print(target.name, f"{trained - started:.0f} + {grading:.0f} s", flush=True)


def untrained(tested: str) -> None:
    """Late interaction of the encoder as it comes, cut by teachers' grades of the other sets."""
    target = place_of(UNTRAINED, tested)
    if target.is_file():
        return
    known = learned_from(tested).texts().sample(FITTED, random_state=0)
    asked = asked_of(tested)
    encoder = UntrainedEncoder("bundled", precision="bf16")
    here, there = (encoder.scores(one)["late_interaction"].to_numpy() for one in (known, asked))
    grades = ScoreGrades(here, known["teacher"].to_numpy(dtype=np.int64), DEFAULT_SCALE)
    told = asked[["query_id", "query", "passage_id", "human", "teacher"]]
    told.assign(score=there, grade=grades(there)).to_parquet(target)
    print(target.name, flush=True)


def fooled(labeler: Labeler, asked: pd.DataFrame) -> dict[str, Any]:
    """How query words that are written into irrelevant passages move it."""
    attacks = yaml.safe_load(HOSTILE.read_text(encoding="utf-8"))["attacks"]
    wanted = Attacks.model_validate(
        {"attacks": [one for one in attacks if one["kind"] == "stuffing"]}
    )
    irrelevant = asked[(asked["human"] == 0) & (asked["teacher"].fillna(0) == 0)]
    shuffled = irrelevant.sample(frac=1.0, random_state=0)
    turn = shuffled.groupby("query_id").cumcount().to_numpy()
    some = shuffled.iloc[np.argsort(turn, kind="stable")].head(PROBED)
    some = some.assign(document_id=some["passage_id"]).reindex(columns=list(PROBE_COLUMNS))
    return probe(labeler, some.fillna("").reset_index(drop=True), wanted, DEFAULT_SCALE)


def time_larger_base() -> None:
    """Seconds of labelers with both bases for the same pairs, in alternating rounds."""
    asked = asked_of(TIMED).head(TIMED_PAIRS)
    found = {
        recipe: Labeler.load(WORK / "labelers" / place_of(recipe, TIMED).stem)
        for recipe in (DEFAULT, LARGER)
    }

    def run(recipe: str, some: pd.DataFrame = asked) -> float:
        started = time.monotonic()
        found[recipe].grade(some)
        return time.monotonic() - started

    for recipe in found:
        run(recipe, asked.head(32))
    seconds = in_turn(list(found), 3, run)
    (WORK / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def place_of(recipe: str, tested: str) -> Path:
    """Where the predictions of a student are."""
    return WORK / f"{recipe.replace(' ', '_')}.{tested}.parquet"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("train", "time", "page"))
    parser.add_argument("--only", nargs="*", default=[UNTRAINED, *RECIPES], help="recipes")
    parser.add_argument("--sets", nargs="*", default=TESTED, help="sets to test")
    arguments = parser.parse_args()
    if arguments.what == "page":
        from teachers_page import write_page

        report = ROOT / "build" / "benchmarks" / "reports" / "teachers.md"
        write_page(PAGES / "teachers.md", report)
        return
    if arguments.what == "time":
        time_larger_base()
        return
    for tested in arguments.sets:
        for recipe in arguments.only:
            untrained(tested) if recipe == UNTRAINED else train(recipe, tested)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(__doc__)
    main()
