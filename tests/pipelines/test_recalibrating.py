"""Recalibration through Kedro: from people's grades to a registered version that fits them."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.runner import SequentialRunner

import tiny_models
from checkout import Project
from relevance_distillery import model_registry
from relevance_distillery.collections.benchmark import Benchmark, load_benchmark
from relevance_distillery.datasets import FolderDataset, JSONFileDataset
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.text_sources import TextSources
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.artifact import query_digest, read_facts, write_facts
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.pipelines.recalibrating.parameters import RecalibratingParameters
from relevance_distillery.pipelines.recalibrating.pipeline import create_pipeline
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.scoring.graders import GraderShelf
from relevance_distillery.scoring.pairs_file import GivenPairs

ROOT = Path(__file__).parents[2]
NAME = "tiny-travelled"
QUERIES, EACH = 24, 6


@dataclass
class Trained:
    """A champion, and a collection on which its grades are too high."""

    folder: Path
    labeler: Path
    judged: Path
    pairs: pd.DataFrame = field(repr=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("recalibrating")
    made = tiny_models.champion(folder, NAME)
    pairs = new_collection()
    return Trained(folder, made, write_judgments(folder / "judged", made, pairs), pairs)


def new_collection() -> pd.DataFrame:
    """Pairs that training never saw."""
    labels, queries, passages = tiny_models.tables(QUERIES, EACH, seed=7)
    asked = queries.rename(columns={"text": "query"})[["query_id", "query"]]
    pairs = labels[["query_id", "passage_id"]].merge(asked, on="query_id")
    return pairs.merge(passages[["passage_id", "text"]], on="passage_id")


def write_judgments(folder: Path, labeler: Path, pairs: pd.DataFrame) -> Path:
    """A BEIR folder in which people are stricter than the labeler by more than a grade."""
    rng = np.random.default_rng(0)
    expected = Labeler.load(labeler).grade(pairs)["expected_grade"].to_numpy()
    strict = np.clip(np.round((expected - 1.4) * 1.8 + rng.normal(0, 0.3, len(pairs))), 0, 3)
    grades = strict.astype(int)
    grades[0] = 3
    (folder / "qrels").mkdir(parents=True)
    asked = pairs.drop_duplicates("query_id")
    rows = [{"_id": q, "text": t} for q, t in zip(asked["query_id"], asked["query"], strict=True)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = zip(pairs["passage_id"], pairs["text"], strict=True)
    corpus = [{"_id": name, "title": "", "text": text} for name, text in texts]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    judged = zip(pairs["query_id"], pairs["passage_id"], grades, strict=True)
    lines = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in judged)
    (folder / "qrels" / "human.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


class Kept(MemoryDataset):
    """Stays when no further node needs it."""

    def release(self) -> None:
        pass


def run(
    trained: Trained,
    folder: Path,
    judged: Path | None = None,
    benchmark: Benchmark | None = None,
    pairs: Path | None = None,
    texts: TextSources | None = None,
    passages: pd.DataFrame | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The pipeline in process; what it made."""
    mlflow.set_tracking_uri(f"sqlite:///{trained.folder}/mlflow.db")
    mlflow.set_experiment("tiny")
    judgments = benchmark or load_benchmark(judged, DEFAULT_SCALE)
    shelf = GraderShelf(
        registered_name=NAME,
        judge_state=str(folder / "judge_state.json"),
        ledger=str(folder / "ledger.sqlite"),
    )
    labeler = FolderDataset(
        holds="labeler.json",
        made_by="distill",
        filepath=str(folder / "recalibrated_labeler"),
        version=Version(None, "2026-01-01T00.00.00"),
    )
    catalog = DataCatalog(
        {
            "graders": MemoryDataset(shelf),
            "recalibration_judgments": MemoryDataset(judgments, copy_mode="assign"),
            "recalibration_pairs": MemoryDataset(GivenPairs(pairs and str(pairs))),
            "evaluation_texts": MemoryDataset(texts or TextSources()),
            "stored_queries": MemoryDataset(pd.DataFrame()),
            "previous_passages": MemoryDataset(pd.DataFrame() if passages is None else passages),
            "params:synthesis": MemoryDataset(SynthesisParameters(passages={"split": False})),
            "params:recalibrating": MemoryDataset(
                RecalibratingParameters(
                    **{"workspace": str(folder / "work"), "registered_name": NAME, **options}
                )
            ),
            "recalibrated_from": MemoryDataset(copy_mode="assign"),
            "recalibration": JSONFileDataset(filepath=str(folder / "recalibration.json")),
            "recalibrated_labeler": labeler,
            "recalibration_registration": Kept(),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return {
        "facts": catalog.load("recalibration"),
        "labeler": labeler.load(),
        "registered": catalog.load("recalibration_registration"),
    }


def versions() -> list[str]:
    return [entry["version"] for entry in model_registry.list_versions(NAME)]


@pytest.fixture(scope="module")
def made(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    before = folder_digest(trained.labeler)
    made = run(trained, tmp_path_factory.mktemp("made"), trained.judged)
    assert folder_digest(trained.labeler) == before
    return made


def test_the_new_version_grades_otherwise_and_the_old_one_as_before(
    trained: Trained, made: dict[str, Any]
) -> None:
    version = made["registered"]["version"]
    assert model_registry.get_alias(NAME, "challenger") == version != "1"
    assert model_registry.get_alias(NAME, "champion") == "1"
    old = Labeler.load(flavor.load_registered(NAME, "1"))
    new = Labeler.load(flavor.load_registered(NAME, version))
    assert old.facts.calibration != new.facts.calibration
    assert new.digest == made["registered"]["digest"] == folder_digest(made["labeler"])
    first, second = old.grade(trained.pairs), new.grade(trained.pairs)
    # The same weights, so the same order of a query; other grades. What was clear is read too.
    assert old.facts.early_exit is not None
    assert new.facts.early_exit is None
    shifts = [new.facts.query_shifts[query_digest(one)] for one in trained.pairs["query"]]
    stayed = np.isclose(first["score"], second["score"] - shifts, atol=1e-4)
    assert 0.4 < stayed.mean() < 1
    whole = Labeler(old.model, old.tokenizer, new.facts)
    np.testing.assert_allclose(whole.grade(trained.pairs)["score"], second["score"], atol=1e-4)
    assert second["expected_grade"].mean() < first["expected_grade"].mean() - 0.3
    assert (second["grade"] < first["grade"]).mean() > 0.2
    assert first.equals(Labeler.load(trained.labeler).grade(trained.pairs))
    assert new.facts.length_slope == old.facts.length_slope
    assert (made["labeler"] / "profile.json").is_file() == (
        trained.labeler / "profile.json"
    ).is_file()


def write_levels(folder: Path, trained: Trained, qrels: str = "human") -> list[str]:
    """People grade four passages of each of 16 queries, half of them one grade better than others.

    Returns:
        The texts of these queries.
    """
    write_judgments(folder, trained.labeler, trained.pairs)
    pairs = trained.pairs.groupby("query_id", sort=False).head(4)
    pairs = pairs[pairs["query_id"].isin(sorted(set(pairs["query_id"]))[:16])]
    expected = Labeler.load(trained.labeler).grade(pairs)["expected_grade"]
    level = pairs["query_id"].str[1:].astype(int) % 2 * 2 - 1
    grades = np.clip(np.round(expected + level), 0, 3).astype(int)
    (folder / "qrels" / "human.tsv").unlink()
    lines = zip(pairs["query_id"], pairs["passage_id"], grades, strict=True)
    (folder / "qrels" / f"{qrels}.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in lines)
    )
    return pairs["query"].unique().tolist()


def test_peoples_few_grades_shift_exactly_their_queries(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="relevance_distillery")
    asked = write_levels(tmp_path / "judged", trained)
    found = run(trained, tmp_path, tmp_path / "judged")
    about = found["facts"]["query_shifts"]
    assert about["queries"] == about["graded"] == len(asked)
    for name, better in (("log_loss", -1), ("quadratic_kappa", 1)):
        assert better * (about["left_out"][name]["after"] - about["left_out"][name]["before"]) > 0.1
    assert "16 of 16 queries with several grades shifted: 0." in caplog.messages[-1]
    assert "(each grade left out in turn)" in caplog.messages[-1]
    version = found["registered"]["version"]
    tags = model_registry.get_version_tags(NAME, version)
    assert tags["recalibration_shifted_queries"] == "16"

    new = Labeler.load(found["labeler"])
    assert set(new.facts.query_shifts) == {query_digest(one) for one in asked}
    assert not any(one in (found["labeler"] / "labeler.json").read_text() for one in asked)
    unshifted = new.facts.model_copy(update={"query_shifts": {}})
    plain = Labeler(new.model, new.tokenizer, unshifted).grade(trained.pairs)
    graded = new.grade(trained.pairs)
    moved = (graded["score"] - plain["score"]).round(4)
    better = trained.pairs["query_id"].str[1:].astype(int) % 2 == 1
    known = trained.pairs["query"].isin(asked)
    # Passages that nobody graded move with those of their query, and other queries stay.
    assert (moved[known & better] > 0).all()
    assert (moved[known & ~better] < 0).all()
    assert moved[known].groupby(trained.pairs["query"]).nunique().eq(1).all()
    pd.testing.assert_frame_equal(graded[~known], plain[~known])

    # The same query gets the same shift whatever asks, and whatever blanks it has.
    spaced = trained.pairs.assign(query="  " + trained.pairs["query"].str.replace(" ", "  "))
    columns = ["grade", "expected_grade", "score"]
    for one in (pickle.loads(pickle.dumps(new)), new):
        pd.testing.assert_frame_equal(one.grade(spaced)[columns], graded[columns], atol=1e-4)
    served = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}")
    table = trained.pairs[["query", "text"]]
    pd.testing.assert_frame_equal(served.predict(table)[columns], graded[columns], atol=1e-4)

    # New grades come on top of the shifts that the labeler has.
    again = write_judgments(tmp_path / "again", trained.labeler, trained.pairs)
    twice = run(trained, tmp_path / "twice", again, labeler=version)
    before, after = new.facts.query_shifts, Labeler.load(twice["labeler"]).facts.query_shifts
    assert set(before) <= set(after)
    for name, shift in twice["facts"]["shifts"].items():
        assert after[name] == pytest.approx(before.get(name, 0.0) + shift, abs=1e-4)


def test_grades_that_are_not_peoples_shift_no_query(trained: Trained, tmp_path: Path) -> None:
    write_levels(tmp_path / "judged", trained, "authored")
    found = run(trained, tmp_path, tmp_path / "judged", prior_pairs=1)
    assert found["facts"]["query_shifts"] == {"queries": 0, "graded": 0}
    assert Labeler.load(found["labeler"]).facts.query_shifts == {}


def test_an_early_exit_decides_nothing_of_a_recalibration(
    trained: Trained, made: dict[str, Any], tmp_path: Path
) -> None:
    folder = shutil.copytree(trained.labeler, tmp_path / "labeler")
    facts = read_facts(folder)
    assert facts.early_exit is not None
    # Every pair leaves, with the same score.
    nothing = {"weights": (0.0,) * len(facts.early_exit.weights), "bias": 0.0, "below": 1.0}
    exit_ = facts.early_exit.model_copy(update=nothing)
    write_facts(folder, facts.model_copy(update={"early_exit": exit_}))
    assert Labeler.load(folder).grade(trained.pairs)["score"].nunique() == 1
    found = run(trained, tmp_path, trained.judged, labeler=str(folder))
    for name in ("link", "cut_points", "cross_fitted"):
        assert found["facts"][name] == made["facts"][name]


def test_a_served_version_grades_alike(trained: Trained, made: dict[str, Any]) -> None:
    served = mlflow.pyfunc.load_model(f"models:/{NAME}/{made['registered']['version']}").predict(
        trained.pairs[["query", "text"]].head(20)
    )
    ours = Labeler.load(made["labeler"]).grade(trained.pairs.head(20))
    assert (served["grade"] == ours["grade"]).all()


def test_facts_and_tags_say_what_it_was_made_from(trained: Trained, made: dict[str, Any]) -> None:
    facts = made["facts"]
    text = json.dumps(facts, allow_nan=False)
    assert str(trained.folder) not in text
    assert facts["pairs"] == QUERIES * EACH
    assert facts["queries"] == QUERIES
    assert facts["helps"] is True
    compared = facts["cross_fitted"]
    assert compared["quadratic_kappa"]["after"] > compared["quadratic_kappa"]["before"] + 0.04
    assert compared["log_loss"]["after"] < compared["log_loss"]["before"]
    tags = model_registry.get_version_tags(NAME, made["registered"]["version"])
    assert tags["recalibrated_from"] == "1"
    assert tags["recalibrated_by"] == "grades"
    assert tags["recalibrated_on"] == "judged"
    assert tags["recalibration_pairs"] == str(QUERIES * EACH)
    assert tags["recalibration_queries"] == str(QUERIES)
    told = Labeler.load(made["labeler"]).facts.training
    assert told["recalibration"]["pairs"] == QUERIES * EACH
    assert told["base_model"] == "tiny-bert"
    assert not set(trained.pairs["query"]) & set(text.split('"'))


def test_the_last_line_says_what_was_gained(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="relevance_distillery")
    found = run(trained, tmp_path, trained.judged, labeler=str(trained.labeler))
    last = caplog.messages[-1]
    assert f"labeler recalibrated on {QUERIES * EACH} grades of {QUERIES} queries" in last
    assert "quadratic kappa 0." in last
    assert "(cross-fitted over queries)" in last
    assert f"version {found['registered']['version']} of {NAME} is the challenger" in last
    tags = model_registry.get_version_tags(NAME, found["registered"]["version"])
    assert tags["recalibrated_from"] == "labeler"


def test_expected_shares_do_without_grades(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="relevance_distillery")
    empty = pd.DataFrame({"query": ["", "w1"], "text": ["w2", ""]})
    table = pd.concat([trained.pairs[["query", "text"]], empty])
    table.to_csv(tmp_path / "pairs.csv", index=False)
    found = run(trained, tmp_path, pairs=tmp_path / "pairs.csv", prior="0.7;0.1;0.1;0.1")
    assert f"scoring up to {len(table)} of about {len(table)} pairs" in caplog.messages
    facts = found["facts"]
    assert facts["method"] == "prior"
    assert facts["pairs"] == len(trained.pairs)
    graded = Labeler.load(found["labeler"]).grade(trained.pairs)
    means = np.mean(graded["probabilities"].tolist(), axis=0)
    np.testing.assert_allclose(means, [0.7, 0.1, 0.1, 0.1], atol=1e-3)
    assert "pairs without grades" in caplog.messages[-1]
    tags = model_registry.get_version_tags(NAME, found["registered"]["version"])
    assert tags["recalibration_prior"] == "0.7;0.1;0.1;0.1"
    assert "recalibration_queries" not in tags
    few = run(
        trained, tmp_path / "few", pairs=tmp_path / "pairs.csv", prior=[0.7, 0.1, 0.1, 0.1],
        most_pairs=40,
    )  # fmt: skip
    assert 30 < few["facts"]["pairs"] <= 40


def test_nothing_is_registered_where_it_does_not_help(trained: Trained, tmp_path: Path) -> None:
    # People who agree with the labeler leave nothing to gain: a weak prior only adds noise.
    labeler = Labeler.load(trained.labeler)
    graded = labeler.grade(trained.pairs)
    folder = write_judgments(tmp_path / "judged", trained.labeler, trained.pairs)
    rng = np.random.default_rng(3)
    chances = np.array(graded["probabilities"].tolist()).cumsum(axis=1)[:, :-1]
    grades = (rng.random(len(graded))[:, None] > chances).sum(axis=1)
    lines = zip(trained.pairs["query_id"], trained.pairs["passage_id"], grades, strict=True)
    few = [line for line in lines if int(line[0][1:]) < 4]
    (folder / "qrels" / "human.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in few)
    )
    before = versions()
    with pytest.raises(
        UserError, match=r"does not help champion on 24 grades of 4 queries.*no new"
    ):
        run(trained, tmp_path, folder, prior_pairs=0.01)
    assert versions() == before
    facts = json.loads((tmp_path / "recalibration.json").read_text())
    assert facts["helps"] is False
    assert not (tmp_path / "recalibrated_labeler").exists()


def test_documents_of_an_earlier_run_or_of_a_file(trained: Trained, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (trained.judged / "corpus.jsonl").open()]
    table = trained.pairs[["query", "passage_id"]].rename(columns={"passage_id": "document_id"})
    judged = load_benchmark(trained.judged, DEFAULT_SCALE).judgments
    table["grade"] = judged["grade"].to_numpy()
    table.to_csv(tmp_path / "judged.csv", index=False)
    with pytest.raises(
        UserError, match="none of its judged documents is known; give the documents"
    ):
        run(trained, tmp_path, tmp_path / "judged.csv")
    stored = pd.DataFrame([{"passage_id": f"{row['_id']}#0", "document_id": row["_id"],
                            "text": row["text"]} for row in rows])  # fmt: skip
    for column in ("title", "heading", "path", "author", "modified"):
        stored[column] = ""
    by_run = run(trained, tmp_path / "run", tmp_path / "judged.csv", passages=stored)
    corpus = str(trained.judged / "corpus.jsonl")
    by_file = run(
        trained, tmp_path / "file", tmp_path / "judged.csv", texts=TextSources(documents=corpus)
    )
    assert by_run["facts"]["pairs"] == by_file["facts"]["pairs"] == len(table)
    assert by_run["facts"]["cut_points"] == by_file["facts"]["cut_points"]
    stranger = stored.assign(document_id="elsewhere")
    with pytest.raises(UserError, match="none of its 144 judged documents is in the corpus"):
        run(trained, tmp_path / "no", tmp_path / "judged.csv", passages=stranger)


def test_several_benchmarks_keep_their_queries_apart(trained: Trained, tmp_path: Path) -> None:
    folder = write_judgments(tmp_path / "again", trained.labeler, trained.pairs)
    found = run(
        trained, tmp_path, benchmark=load_benchmark(f"{trained.judged};{folder}", DEFAULT_SCALE)
    )
    assert found["facts"]["judgments"] == ["judged", "again"]
    assert found["facts"]["pairs"] == 2 * len(trained.pairs)
    assert found["facts"]["queries"] == 2 * QUERIES


def test_a_recalibrated_labeler_can_be_recalibrated(
    trained: Trained, made: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="relevance_distillery")
    table = trained.pairs[["query", "text"]]
    table.to_parquet(tmp_path / "pairs.parquet")
    version = made["registered"]["version"]
    shares = "0.25;0.25;0.25;0.25"
    found = run(trained, tmp_path, pairs=tmp_path / "pairs.parquet", prior=shares, labeler=version)
    assert found["facts"]["labeler"]["version"] == version
    assert f"version {version} recalibrated on" in caplog.messages[-1]
    graded = Labeler.load(found["labeler"]).grade(trained.pairs)
    np.testing.assert_allclose(np.mean(graded["probabilities"].tolist(), axis=0), 0.25, atol=1e-3)


def test_bad_input_is_one_line(trained: Trained, tmp_path: Path) -> None:
    trained.pairs[["query", "text"]].to_csv(tmp_path / "pairs.csv", index=False)
    pairs, judged = tmp_path / "pairs.csv", trained.judged

    def refused(**given: Any) -> str:
        before = versions()
        with pytest.raises(UserError) as error:
            run(trained, tmp_path, **given)
        assert "\n" not in str(error.value)
        assert versions() == before
        return str(error.value)

    assert "say what the collection is like" in refused()
    assert "say what the collection is like" in refused(pairs=pairs)
    assert "need neither prior nor pairs" in refused(judged=judged, prior="1;0;0;0")
    assert "pairs=FILE,prior" in refused(prior="0.4;0.3;0.2;0.1")
    assert "has 2 shares, and the labeler 4 grades" in refused(pairs=pairs, prior="0.5;0.5")
    assert "these sum to 1.2" in refused(pairs=pairs, prior="0.6;0.2;0.2;0.2")
    assert "no such file" in refused(pairs=tmp_path / "no.csv", prior="0.4;0.3;0.2;0.1")
    unknown = refused(judged=judged, labeler="nobody")
    assert unknown.startswith("labeler=nobody: neither a judge")
    assert "no such registered labeler" in refused(judged=judged, labeler="99")
    assert "is a judge; give a labeler" in refused(judged=judged, labeler="embedded")
    binary = GradeScale(
        grades=(Grade(value=0, name="no"), Grade(value=1, name="yes")), relevant_from=1
    )
    (tmp_path / "binary.csv").write_text("query,document_id,grade\nw1,d1,0\nw2,d1,1\nw3,d1,1\n")
    two = load_benchmark(tmp_path / "binary.csv", binary)
    assert "its grades are [0, 1] and the labeler's [0, 1, 2, 3]" in refused(benchmark=two)


def test_the_command_line_says_what_is_missing(project: Project) -> None:
    done = project.kedro("run", "--pipeline=recalibrate", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert "Error: say what the collection is like" in done.stdout
    (project.path / "judged.csv").write_text("query,document_id,grade\na,b,0\n")
    done = project.kedro(
        "run", "--pipeline=recalibrate", "--params=human_judgments=judged.csv", check=False
    )
    assert "Error: labeler=champion: models:/relevance-labeler@champion: no such" in done.stdout
    (project.path / "judged.csv").write_text("query,document_id,grade\na,b,7\n")
    done = project.kedro(
        "run", "--pipeline=recalibrate", "--params=human_judgments=judged.csv", check=False
    )
    assert "is not on the scale" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_configuration_states_every_parameter() -> None:
    written = yaml.safe_load((ROOT / "conf/base/recalibrating/parameters.yml").read_text())
    values = written["recalibrating"]
    assert set(values) == set(RecalibratingParameters.model_fields)
    for name, known in RecalibratingParameters.model_fields.items():
        assert known.description, name
        if "${" not in str(values[name]):
            assert values[name] == known.default
