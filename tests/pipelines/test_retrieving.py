"""`kedro run --pipeline=train_retriever`, from grades to a retriever that searches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

import tiny_models
from checkout import Project
from relevance_distillery import model_registry
from relevance_distillery.io.trec import read_run
from relevance_distillery.retriever.encoder import Retriever

SYSTEMS = {
    "bm25", "untrained", "fusion", "retriever_fusion", "one_stage", "one_channel",
    "no_token_similar", "curriculum", "listwise", "retriever",
}  # fmt: skip
METRICS = {
    "nDCG@10", "AP(rel=2)", "R(rel=2)@100", "P(rel=2)@10", "RR(rel=2)@10", "condensed_nDCG@10",
    "judged@10", "embarrassing@10", "embarrassing_floor",
}  # fmt: skip
SMALL = (
    "retrieving.training.epochs=1,retrieving.training.max_length=24,retrieving.dense.max_length=24,"
    "retrieving.training.learning_rate=0.005,retrieving.training.tuned_layers=1,"
    "retrieving.buckets.share_of_corpus=0.5,retrieving.resamples=100,retrieving.permutations=100"
)


def make_set(folder: Path, seed: int, queries: int = 8, judge: bool = True) -> Path:
    """A BEIR folder; half of the graded passages are found by words."""
    labels, asked, passages = tiny_models.tables(queries, 6, seed)
    (folder / "qrels").mkdir(parents=True)
    write_lines(folder / "corpus.jsonl", passages["passage_id"], passages["text"])
    write_lines(folder / "queries.jsonl", asked["query_id"], asked["text"])
    if judge:
        table = labels[["query_id", "passage_id", "grade"]]
        table.columns = pd.Index(["query-id", "corpus-id", "score"])
        table.to_csv(folder / "qrels" / "human.tsv", sep="\t", index=False)
    return folder


def write_lines(path: Path, names: pd.Series, texts: pd.Series) -> None:
    rows = [{"_id": name, "text": text} for name, text in zip(names, texts, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.encoder(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders a and b to learn from, c and d to measure on, and bad ones."""
    folder = tmp_path_factory.mktemp("sets")
    for seed, name in enumerate("abc", start=1):
        make_set(folder / name, seed)
    make_set(folder / "d", 7, queries=6)
    make_set(folder / "few", 4, queries=5)
    make_set(folder / "no_grades", 5, judge=False)
    make_set(folder / "off_scale", 6)
    file = folder / "off_scale" / "qrels" / "human.tsv"
    file.write_text(file.read_text() + "q1\tq1p1x\t7\nq2\tq3p0\t9\n")
    return folder


def params(base: Path, **more: object) -> str:
    given = [f"{name}={value}" for name, value in more.items()]
    return "--params=" + ",".join([f"base_model={base}", SMALL, *given])


def test_people_s_grades_of_two_sets_to_a_retriever_that_searches(
    project: Project, sets: Path, base: Path, tmp_path: Path
) -> None:
    given = params(
        base,
        train_set=f"{sets / 'a'};{sets / 'b'}",
        benchmark=f"{sets / 'c'};{sets / 'd'}",
        judge="human",
    )
    said = project.kedro("run", "--env=recorded", "--pipeline=train_retriever", given).stdout
    assert "96 graded pairs of 16 queries to learn from" in said
    found: dict[str, Any] = json.loads(
        project.newest("08_reporting/recorded/retrieval.json").read_text()
    )
    assert set(found["systems"]) == SYSTEMS
    for row in found["systems"].values():
        assert set(row) >= METRICS
        assert row["nDCG@10"]["low"] <= row["nDCG@10"]["estimate"] <= row["nDCG@10"]["high"]
    assert found["benchmark"]["name"] == "c"
    assert (found["benchmark"]["pairs"], found["benchmark"]["queries"]) == (48, 8)
    assert found["benchmark"]["human"]
    assert set(found["differences"]) == SYSTEMS - {"untrained"}
    assert set(found["curriculum_minus"]) == SYSTEMS - {"curriculum"}
    assert {"estimate", "low", "high", "p", "relative"} <= set(
        found["differences"]["curriculum"]["nDCG@10"]
    )
    assert set(found["bands"]) == {"head", "torso", "tail"}
    assert found["registered"]["system"] == "listwise"
    same = [found["systems"][name]["nDCG@10"]["estimate"] for name in ("listwise", "retriever")]
    assert same[0] == same[1]
    counts = {name: facts["pairs"] for name, facts in found["buckets"].items()}
    assert sum(counts.values()) >= 96
    assert set(found["training"]) == SYSTEMS - {"bm25", "fusion", "retriever", "retriever_fusion"}
    assert found["exclusions"]["pairs_after"] == 96
    (other,) = found["other_benchmarks"]
    assert (other["benchmark"]["name"], other["benchmark"]["queries"]) == ("d", 6)
    assert set(other["systems"]) == SYSTEMS
    page = project.newest("08_reporting/recorded/retrieval.html").read_text()
    assert "curriculum" in page
    assert "The same on d: 36 pairs of 6 queries" in page
    pairs = pd.read_parquet(project.newest("05_model_input/recorded/retriever_pairs.parquet"))
    assert set(pairs["graded_by"]) <= {"people", "assumed", "nobody"}
    assert (pairs["graded_by"] == "people").sum() == 96
    assert {"rank_bm25", "rank_dense"} <= set(pairs.columns)
    assert {name.partition("/")[0] for name in pairs["query_id"]} == {"a", "b"}

    mlflow.set_tracking_uri(f"sqlite:///{project.path}/mlflow.db")
    name = "relevance-retriever-recorded"
    assert model_registry.get_alias(name, "champion") == "1"
    tags = model_registry.get_version_tags(name, "1")
    assert (tags["recipe"], tags["benchmark"], tags["labeler"]) == ("listwise", "c", "none")
    folder = model_registry.load_registered(
        name, "champion", "retriever", "kedro run", ["retriever.json"]
    )[0]
    assert Retriever.load(folder).facts["training"] == found["training"]["listwise"]

    # What is searched with it goes into evaluate.
    run = tmp_path / "runs" / "mine.run"
    labels, asked, _ = tiny_models.tables(8, 6, 1)
    write_lines(tmp_path / "queries.jsonl", asked["query_id"], asked["text"])
    given = f"--params=queries={tmp_path / 'queries.jsonl'},run={run},depth=10"
    project.kedro("run", "--env=recorded", "--pipeline=search", given)
    assert (read_run(run).groupby("query_id").size() == 10).all()
    graded = labels.assign(document_id="a/" + labels["passage_id"])
    assert set(read_run(run)["document_id"]) & set(graded["document_id"])
    known = graded.set_index(["query_id", "document_id"])["grade"].to_dict()
    documents = {*read_run(run)["document_id"], *graded["document_id"]}
    pairs = [(query, document) for query in asked["query_id"] for document in documents]
    lines = [f"{query} 0 {document} {known.get((query, document), 0)}" for query, document in pairs]
    (tmp_path / "human.qrels").write_text("\n".join(lines))
    given = f"--params=runs={run.parent},judge=none,human_judgments={tmp_path / 'human.qrels'}"
    given += f",judgment_queries={tmp_path / 'queries.jsonl'}"
    project.kedro("run", "--pipeline=evaluate", given)
    systems = json.loads(project.newest("08_reporting/evaluation.json").read_text())["systems"]
    assert systems["mine"]["measures"]["nDCG@10"]["people"]["estimate"] > 0


def store(data: Path, queries: int) -> None:
    """The tables of a finished run, which has lost a passage since."""
    labels, asked, passages = tiny_models.tables(queries, 4)
    for name, table in (
        ("02_intermediate/passages", passages[1:]),
        ("03_primary/queries", asked.assign(frequency=1)),
        ("05_model_input/labels", labels.drop(columns="probabilities")),
    ):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(data / f"{name}.parquet")


def test_few_queries_and_no_benchmark_are_refused_before_training(
    project: Project, base: Path, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    store(project.path / "data", 20)
    given = params(base, documents=tmp_path / "docs", grade_unjudged="false")
    said = project.kedro("run", "--pipeline=train_retriever", given, check=False).stdout
    assert "no benchmark, and 20 queries are too few" in said
    assert "give benchmark=DIR, or mine and label at least 150 queries" in said
    assert "Traceback" not in said


def test_stored_labels_with_a_labeler_for_the_rest(
    project: Project, base: Path, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    documents = f"documents={tmp_path / 'docs'}"

    def run(*more: str, check: bool = True) -> str:
        given = ",".join([params(base), documents, *more])
        return project.kedro("run", "--pipeline=train_retriever", given, check=check).stdout

    said = run(check=False)
    assert "there are no labels yet; run `kedro run` first" in said
    assert "Traceback" not in said

    store(project.path / "data", 160)
    few = "retrieving.training.recipes=[listwise],retrieving.buckets.per_query=8"
    said = run(few, "grade_unjudged=true", check=False)
    assert "no such" in said or "champion" in said
    assert "Traceback" not in said
    tiny_models.champion(project.path, "relevance-labeler")
    said = run(few, "grade_unjudged=true")
    assert "1 grades of unknown queries or passages are left out" in said
    found = json.loads(project.newest("08_reporting/retrieval.json").read_text())
    assert found["channels"]["labeler"]["version"] == "1"
    assert found["benchmark"]["kind"] == "held_out"
    assert not found["benchmark"]["human"]
    assert found["benchmark"]["queries"] == 32
    assert found["systems"]["retriever"]["nDCG@10"]["estimate"] > 0
    pairs = pd.read_parquet(project.newest("05_model_input/retriever_pairs.parquet"))
    assert set(pairs["graded_by"]) == {"judge", "labeler"}
    tags = model_registry.get_version_tags("relevance-retriever", "1")
    assert tags["labeler"].startswith("champion ")


@pytest.mark.parametrize(
    ("train", "benchmark", "judge", "wanted"),
    [
        ("a;b", "a;b", "human", "every graded query is one of the benchmark's or nearly so"),
        ("a;b", "c", "someone", "has no judge 'someone' (judges/someone.tsv is missing)"),
        ("a;no_grades", "c", "human", "no_grades has no judge 'human'"),
        ("few", "c", "human", "5 queries have a relevant passage, at least 10 are needed"),
        ("off_scale", "c", "human", "human.tsv"),
        ("a;b", "c", "", "name its judge"),
        ("", "c", "human", "train_set"),
    ],
)
def test_bad_input_is_one_line(
    project: Project, sets: Path, base: Path, train: str, benchmark: str, judge: str, wanted: str
) -> None:
    places = {
        name: ";".join(str(sets / one) for one in given.split(";")) if given else ""
        for name, given in (("train_set", train), ("benchmark", benchmark))
    }
    given = params(base, **{k: v for k, v in {**places, "judge": judge}.items() if v})
    done = project.kedro(
        "run", "--env=recorded", "--pipeline=train_retriever", given, check=False
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert wanted in " ".join(done.stdout.split())
    assert not (project.path / "data/08_reporting/recorded/retrieval.json").exists()
