"""What each part of the training recipe is worth, and how far a student gets beside its teacher.

    BENCHMARKS=/folder/of/the/sets python benchmarks/student.py validate [--only NAME ...]
    BENCHMARKS=/folder/of/the/sets python benchmarks/student.py across [--only NAME ...]
    BENCHMARKS=/folder/of/the/sets python benchmarks/student.py test [--seeds N]
    python benchmarks/student.py page

`validate` and `across` never look at people's grades: for the first, a judge's grades of TREC DL
2019 and of 2020 are dealt into three folds of queries, a student learns two and is compared with
the judge on the third; for the second it learns one collection and is compared with the judge on
the other. `test` teaches as the second and compares with people. Every training is kept under
build/benchmarks/student/ and not repeated; `page` writes docs/results/student.md
from that, and with more tables build/benchmarks/reports/student.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from calibrations import keep_scores
from graded_sets import GradedSet, folds_of, read_set, without
from lexical_features import baseline_scores
from pages import BENCHMARKS, PAGES, ROOT
from plain_fine_tuning import plain_fine_tuning

from relevance_distillery.evaluation.graders import ScoreGrades
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.embedding.anchors import median_position
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.settings import TrainingSettings

WORK = ROOT / "build" / "benchmarks" / "student"

TEACHER = "umbrela-gpt-4o"
LADDER = (
    "umbrela-llama3.2",
    "fourprompts-llama3-8b",
    "fourprompts-llama70b",
    "sumdecomposed-llama3-8b",
    "umbrela-gpt-4",
    "umbrela-gpt-4o",
)
SETS = ("trec-dl19", "trec-dl20")
OUTER_FOLDS = 3
GRADED_A_QUERY = 60

FULL: dict[str, Any] = {"recipe": "full", "precision": "bf16", "stuffed_share": 0.0}
RECIPE: dict[str, Any] = {
    "recipe": "full",
    "max_train_pairs": 600,
    "max_head_pairs": 7500,
    "max_evaluation_pairs": 100,
    "max_calibration_pairs": 1200,
    "max_null_pairs": 0,
    "batch_size": 12,
    "folds": 3,
    "precision": "bf16",
    "stuffed_share": 0.0,
}
PLAIN = {
    **RECIPE,
    "architecture": "cross_encoder",
    "dropout": True,
    "epochs": 2.0,
    "folds": 1,
    "learning_rate": 8e-5,
    "max_train_pairs": None,
    "ranking_weight": 0.0,
}
DESCRIBED = {
    **RECIPE,
    "folds": 1,
    "max_train_pairs": None,
    "head_start": "similarity",
    "head_hidden": 16,
    "levels": 1,
    "ranking_weight": 0.0,
    "learning_rate": 3e-5,
}
SMALL_HEAD = {**RECIPE, "max_head_pairs": 900}
VARIANTS: dict[str, dict[str, Any]] = {
    "recipe": RECIPE,
    "plain fine-tuning, calibrated": PLAIN,
    "tuned late interaction": {**DESCRIBED, "class_balance": 0.0},
    "tuned late interaction, calibrated": DESCRIBED,
    "frozen encoder": {**RECIPE, "epochs": 0.001},
    "head from 2,000 pairs": {**RECIPE, "max_head_pairs": 3000},
    "head from 600 pairs": SMALL_HEAD,
    "head from 600 pairs, twice the learning rate": {**SMALL_HEAD, "learning_rate": 1e-4},
    "head from 600 pairs, frozen encoder": {**SMALL_HEAD, "epochs": 0.001},
    "head from 600 pairs, frozen encoder, last layer": {
        **SMALL_HEAD,
        "epochs": 0.001,
        "levels": 1,
    },
    "without ranking loss": {**RECIPE, "ranking_weight": 0.0},
    "with dropout": {**RECIPE, "dropout": True},
    "one model, one split": {**RECIPE, "folds": 1, "max_train_pairs": 1800},
    "start from similarity": {**RECIPE, "head_start": "similarity"},
    "cross-encoder beside": {**RECIPE, "architecture": "combined"},
    "ranking weight 10": {**RECIPE, "ranking_weight": 10.0},
    "small network in the head": {**RECIPE, "head_hidden": 16},
    "every pair": FULL,
}

OWN_CUTS = "tuned late interaction"
"""Grades by the cut points that its loss has learned, and weighs all grades alike."""
PEERS = (
    OWN_CUTS,
    "tuned late interaction, calibrated",
    "plain fine-tuning",
    "plain fine-tuning, calibrated",
)
"""As they come, and with the student's calibration."""
ABLATION = tuple(name for name in VARIANTS if name not in (*PEERS, "recipe", "every pair"))
"""What `across` runs: `test` runs the others, and keeps the teacher's grades beside people's."""


def student(
    learn: GradedSet, asked: pd.DataFrame, settings: dict[str, Any], own_cuts: bool = False
) -> pd.DataFrame:
    """Grades of a student: columns grade, expected, score; a row for each of `asked`.

    The seed of the settings deals the queries too: one model is calibrated on 15 % of them.
    With `own_cuts` it is not calibrated: a grade is reached where P(grade >= it) is a half.
    """
    place = WORK / "training" / _name(learn.name, learn.judge, settings, len(learn.pairs))
    started = time.monotonic()
    data = learn.data(settings["seed"])
    folder, _ = distill(data, TrainingSettings(**settings), DEFAULT_SCALE, place)
    trained = time.monotonic()
    labeler = Labeler.load(folder)
    raw, scores = labeler.raw(asked)
    if own_cuts:
        labeler.facts = labeler.facts.model_copy(update={"calibration": None})
    graded = labeler.decide(raw, scores, asked.index)
    if own_cuts:
        graded["grade"] = DEFAULT_SCALE.values[median_position(raw)]
    shutil.rmtree(place, ignore_errors=True)
    return pd.DataFrame(
        {
            "grade": graded["grade"],
            "expected": graded["expected_grade"],
            "score": graded["score"],
            "probabilities": graded["probabilities"],
            "training_seconds": trained - started,
            "grading_seconds": time.monotonic() - trained,
        }
    )


def baselines(learn: GradedSet, asked: pd.DataFrame) -> pd.DataFrame:
    """Scores and grades of what needs no fine-tuning, by name; cut points from the teacher's."""
    found = {}
    known = learn.texts()
    for name, (here, there) in baseline_scores(known, asked, known["teacher"]).items():
        grades = ScoreGrades(here, known["teacher"].to_numpy(), DEFAULT_SCALE)
        found[f"{name} grade"], found[f"{name} score"] = grades(there), there
    return pd.DataFrame(found, index=asked.index)


def validate(name: str, number: int, variant: str) -> None:
    """One variant on one fold of one set, against the teacher's grades alone."""
    target = WORK / "validation" / f"{_slug(variant)}.{name}.{number}.parquet"
    whole = read_set(BENCHMARKS / name, TEACHER)
    folds = folds_of(whole.pairs, OUTER_FOLDS, 0)
    learn = whole.only(set.union(*(fold for k, fold in enumerate(folds) if k != number)))
    asked = _some(whole.only(folds[number]).texts(), GRADED_A_QUERY)
    _keep(target, asked, "teacher", lambda: _said(variant, learn, asked))


def calibrate(name: str, number: int) -> None:
    """Held-out scores of the recipe, for comparing calibrations; see `validate`."""
    target = WORK / "validation" / f"{name}.{number}.npz"
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = read_set(BENCHMARKS / name, TEACHER)
    other = read_set(BENCHMARKS / _other(name), TEACHER).texts()
    # Some queries are in both collections.
    known = set(whole.texts()["query"].str.casefold())
    other = other[~other["query"].str.casefold().isin(known)]
    folds = folds_of(whole.pairs, OUTER_FOLDS, 0)
    learn = whole.only(set.union(*(fold for k, fold in enumerate(folds) if k != number)))
    asked = {
        "same collection": _some(whole.only(folds[number]).texts(), GRADED_A_QUERY),
        "other collection": _some(other, GRADED_A_QUERY // 2),
    }
    keep_scores(learn, asked, TrainingSettings(**RECIPE), target)
    print(target.name, flush=True)


def across(name: str, variant: str) -> None:
    """One variant taught on one set, against the same teacher's grades of the other."""
    target = WORK / "across" / f"{_slug(variant)}.{name}.parquet"
    other = read_set(BENCHMARKS / _other(name), TEACHER)
    learn = without(read_set(BENCHMARKS / name, TEACHER), other)
    asked = other.texts()
    _keep(target, asked, "teacher", lambda: _said(variant, learn, asked))


def test(train: str, judge: str, variant: str, seed: int) -> None:
    """A student of one collection against people's grades of the other."""
    against = _other(train)
    again = f".{seed}" if seed else ""
    target = WORK / "test" / f"{_slug(variant)}.{judge}.{train}.{against}{again}.parquet"
    asked = read_set(BENCHMARKS / against, None)
    learn = without(read_set(BENCHMARKS / train, judge), asked)
    wanted = asked.texts()
    for name in LADDER:
        said = read_set(BENCHMARKS / against, name).pairs.rename(columns={"teacher": name})
        keys = ["query_id", "passage_id"]
        wanted = wanted.merge(said[[*keys, name]], on=keys, how="left")

    _keep(target, wanted, "human", lambda: _said(variant, learn, wanted, seed))


def _other(name: str) -> str:
    return SETS[1 - SETS.index(name)]


def _said(variant: str, learn: GradedSet, asked: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    if variant == "baselines":
        return baselines(learn, asked)
    if variant == "plain fine-tuning":
        return plain_fine_tuning(learn.texts(), asked, seed)
    return student(learn, asked, {**VARIANTS[variant], "seed": seed}, variant == OWN_CUTS)


def _keep(
    target: Path, asked: pd.DataFrame, reference: str, say: Callable[[], pd.DataFrame]
) -> None:
    """Ids, the reference and what `say` says of the pairs, as a file; nothing where it exists."""
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    judges = [name for name in LADDER if name in asked]
    told = asked[["query_id", "passage_id", *judges, reference]].rename(
        columns={reference: "reference"}
    )
    partial = target.with_suffix(".tmp")
    pd.concat([told, say()], axis=1).to_parquet(partial)
    partial.rename(target)
    print(target.name, flush=True)


def _some(pairs: pd.DataFrame, each: int) -> pd.DataFrame:
    """At most so many random pairs of each query."""
    shuffled = pairs.sample(frac=1.0, random_state=0)
    return shuffled.groupby("query_id").head(each).reset_index(drop=True)


def _name(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _slug(name: str) -> str:
    return name.replace(" ", "_").replace(",", "")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("validate", "across", "test", "page"))
    parser.add_argument(
        "--only", nargs="*", default=None, help="variants, or of test other teachers"
    )
    parser.add_argument("--set", default=None, help="validate on, or teach on, this set alone")
    parser.add_argument(
        "--seeds", type=int, default=1, help="test so many trainings of each that GPT-4o teaches"
    )
    arguments = parser.parse_args()
    sets = [name for name in SETS if arguments.set in (None, name)]
    if arguments.what == "page":
        from student_page import write_pages

        report = ROOT / "build" / "benchmarks" / "reports" / "student.md"
        write_pages(WORK, PAGES / "student.md", report)
    elif arguments.what == "validate":
        for variant in arguments.only or ("baselines", "recipe", *PEERS, *ABLATION):
            for name in sets:
                for number in range(OUTER_FOLDS):
                    validate(name, number, variant)
        for name in sets if not arguments.only else ():
            for number in range(OUTER_FOLDS):
                calibrate(name, number)
    elif arguments.what == "across":
        for variant in arguments.only or ABLATION:
            for name in sets:
                across(name, variant)
    else:
        plan = [(TEACHER, name) for name in ("recipe", "every pair", "baselines", *PEERS)]
        plan += [(judge, "recipe") for judge in LADDER if judge != TEACHER]
        for train in sets:
            for judge, variant in plan:
                name = variant if judge == TEACHER else judge
                if not arguments.only or name in arguments.only:
                    seeds = arguments.seeds if judge == TEACHER and name != "baselines" else 1
                    for seed in range(seeds):
                        test(train, judge, variant, seed)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(__doc__)
    main()
