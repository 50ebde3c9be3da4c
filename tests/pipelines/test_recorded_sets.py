"""`kedro run --env=recorded` with several sets and teachers, from their files to a labeler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_models
from checkout import Project
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.learning.labelled_pairs import labelled_pairs

SMALL = (
    "distillation.training.max_train_pairs=48,distillation.training.max_head_pairs=48,"
    "distillation.training.max_calibration_pairs=48,distillation.training.max_null_pairs=16,"
    "distillation.training.max_length=64,distillation.training.evaluations_per_epoch=1,"
    "reporting.calibration_pairs=40,reporting.resamples=100,reporting.permutations=100,"
    "reporting.cost.throughput_pairs=16"
)


def make_set(folder: Path, seed: int, queries: int, judges: Mapping[str, float]) -> Path:
    """A BEIR folder with people's grades; each judge's lie so far below them, 0 at the least."""
    labels, asked, passages = tiny_models.tables(queries, 6, seed)
    for part in ("qrels", "judges"):
        (folder / part).mkdir(parents=True)
    for table, columns in ((asked, ["query_id", "text"]), (passages, ["passage_id", "text"])):
        rows = [{"_id": name, "text": text} for name, text in table[columns].to_numpy()]
        file = folder / ("queries.jsonl" if table is asked else "corpus.jsonl")
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    graded = labels[["query_id", "passage_id", "grade"]]
    graded.columns = pd.Index(["query-id", "corpus-id", "score"])
    graded.to_csv(folder / "qrels" / "human.tsv", sep="\t", index=False)
    for name, less in judges.items():
        own = graded.assign(score=(graded["score"] - less).clip(lower=0))
        own.to_csv(folder / "judges" / f"{name}.tsv", sep="\t", index=False)
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets a (its judge gives means), b and one (a single query) to learn from, c to measure on."""
    folder = tmp_path_factory.mktemp("sets")
    make_set(folder / "a", 1, 14, {"means": 0.25})
    make_set(folder / "b", 2, 8, {"whole": 0})
    make_set(folder / "one", 3, 1, {"whole": 0})
    make_set(folder / "c", 4, 8, {"whole": 0})
    # Judges on other scales.
    for name, rows in (("stars", "q0\tq0p0\t5\nq0\tq0p1\t5\n"), ("likes", "q\ta\t1\nq\tb\t0\n")):
        make_set(folder / name, 5, 2, {})
        file = folder / name / "judges" / "whole.tsv"
        file.write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    # c has two passages and a query of a, under other ids.
    corpus, queries = folder / "a" / "corpus.jsonl", folder / "a" / "queries.jsonl"
    for name, file, rows in (("corpus.jsonl", corpus, (0, 6)), ("queries.jsonl", queries, (13,))):
        own = (folder / "c" / name).read_text().splitlines()
        theirs = [json.loads(line) for line in file.read_text().splitlines()]
        for place, row in enumerate(rows):
            own[place] = json.dumps(json.loads(own[place]) | {"text": theirs[row]["text"]})
        (folder / "c" / name).write_text("\n".join(own) + "\n")
    return folder


def test_sets_with_teachers_of_their_own_train_one_labeler(
    project: Project, sets: Path, tmp_path: Path
) -> None:
    base = tiny_models.encoder(tmp_path / "tiny-bert")
    places = ";".join(str(sets / name) for name in ("a", "b", "one"))
    given = (
        f"train_set={places},judge=means;whole;whole,benchmark={sets / 'c'},base_model={base},"
        f"{SMALL}"
    )
    said = project.kedro("run", "--env=recorded", f"--params={given}").stdout
    assert "judge means+whole" in said

    labels = pd.read_parquet(project.newest("05_model_input/recorded/labels.parquet"))
    assert set(labels["judge"]) == {"means+whole"}
    of_a = labels["query_id"].str.startswith("a/")
    given_up = labels["probabilities"].isna()
    assert labels[~of_a]["probabilities"].isna().all()
    # People's 0 is a mean of 0; a 2 became 1.75: a grade of 2 with a quarter of 1.
    twos = labels[of_a & (labels["grade"] == 2)]
    assert [list(row) for row in twos["probabilities"]] == [[0.0, 0.25, 0.75, 0.0]] * len(twos)
    assert (given_up & of_a).sum() == (of_a & (labels["grade"] == 0)).sum()

    data = project.path / "data"
    queries = pd.read_parquet(project.newest("03_primary/recorded/queries.parquet"))
    passages = pd.read_parquet(data / "02_intermediate/recorded/passages.parquet")
    learned = labelled_pairs(labels, queries, passages, DEFAULT_SCALE)
    soft = (learned.targets.max(axis=1) < 1) & (learned.sets == "a")
    assert soft.sum() == (of_a & ~given_up).sum()
    expected = learned.targets @ DEFAULT_SCALE.values
    assert np.allclose(expected[soft], learned.positions[soft] - 0.25)
    assert set(learned.sets) == {"a", "b", "one"}

    # What c knows under other ids is left out, and counted: a query when queries are read, two
    # passages when labels are split.
    mined = json.loads((data / "04_feature/recorded/mining_report.json").read_text())
    assert (mined["queries"], mined["recorded_unknown_queries"]) == (22, 6)
    kept_out = json.loads((data / "05_model_input/recorded/exclusions.json").read_text())
    assert kept_out["reasons"]["judged_text"] == {"pairs": 2, "queries": 2}
    assert not kept_out["same_collection"]

    facts = json.loads(project.newest("08_reporting/recorded/agreement.json").read_text())
    assert facts["judges"]["teacher"]["kappa"]["estimate"] == 1.0
    assert "whole" in project.newest("08_reporting/recorded/report.html").read_text()


@pytest.mark.parametrize(
    ("train", "more", "wanted"),
    [
        ("a;b", "judge=means", "b has no judge 'means' (judges/means.tsv is missing)"),
        ("a;b;one", "judge=means;whole", "names 2 judges for 3 sets"),
        (
            "b;stars",
            "judge=whole",
            "or say what they mean, grade_map.stars.GIVEN=OURS",
        ),
        ("b;stars", "judge=whole,grade_map.b.1=0", "grade_map.b maps 1 and not the grade"),
        ("b;likes", "judge=whole", "has the grades 0 and 1 alone"),
    ],
)
def test_bad_sets_are_one_line(
    project: Project, sets: Path, train: str, more: str, wanted: str
) -> None:
    places = ";".join(str(sets / one) for one in train.split(";"))
    given = f"train_set={places},{more},benchmark={sets / 'c'}"
    done = project.kedro("run", "--env=recorded", f"--params={given}", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert wanted in " ".join(done.stdout.split())
