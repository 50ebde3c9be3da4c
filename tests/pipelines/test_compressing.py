"""`kedro run --pipeline=compress_retriever`, from a retriever to a query encoder that is served."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

import tiny_models
from checkout import ROOT, Project
from relevance_distillery import model_registry
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.io.trec import read_run
from relevance_distillery.retriever import flavor
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.query_encoder import QueryEncoder

RUNGS = ["aligned", "static"]
HOW = {"epochs": 0.2, "batch_size": 32, "held_back": 32, "evaluations": 1}
SMALL: dict[str, Any] = {
    "ladder": {
        "rungs": RUNGS,
        "alignment": HOW,
        "static": HOW,
        "words": 50,
        "refinement": {"max_steps": 2},
        "pruning": {"schedule": [0.5, 0.5], "layers": 0.5},
    },
    "strings": {"most": 600, "spans": 2},
    "max_length": 24,
    "timed": 20,
    "depth": 50,
    "resamples": 100,
    "permutations": 100,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.english_encoder(tmp_path_factory.mktemp("models") / "tiny-bert")


def run(project: Project, check: bool = True, rungs: list[str] = RUNGS, **given: object) -> str:
    """Runs with settings of seconds in `conf/local`; `given` are typed."""
    settings = SMALL | {"ladder": SMALL["ladder"] | {"rungs": rungs}}
    local = project.path / "conf" / "local" / "compressing" / "parameters.yml"
    local.parent.mkdir(parents=True, exist_ok=True)
    local.write_text(json.dumps({"compressing": settings}))
    said = ",".join(f"{name}={value}" for name, value in given.items())
    command = ["run", "--pipeline=compress_retriever", *([f"--params={said}"] if said else [])]
    return project.kedro(*command, check=check).stdout


def report(project: Project) -> dict[str, Any]:
    return json.loads(project.newest("08_reporting/retrieval.json").read_text())


def test_the_bundled_sample_to_a_query_encoder_in_the_registry(
    project: Project, model: Path
) -> None:
    said = run(project, reference=model, min_kept=0.01)
    assert "served is" in said
    found = report(project)
    every = {"reference", "reference_int8", "aligned", "aligned_int8", "static"}
    assert set(found["systems"]) == set(found["latency"]) == every | {"compressed"}
    assert set(found["recovered"]) == every - {"reference"} | {"compressed"}
    for row in found["recovered"].values():
        assert set(row) >= {"nDCG@10", "P@10", "R@100", "condensed_nDCG@10", "top_10_in_common"}
    for row in found["latency"].values():
        assert 0 < row["median_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["queries_per_second"] > 0
    rung = found["compression"]["rung"]
    assert found["recovered"]["compressed"] == found["recovered"][rung]
    assert found["compression"]["rungs"]["static"]["kind"] == "static"
    assert "compressed" in project.newest("08_reporting/retrieval.html").read_text()

    mlflow.set_tracking_uri(f"sqlite:///{project.path}/mlflow.db")
    name = "relevance-query-encoder"
    tags = model_registry.get_version_tags(name, model_registry.get_alias(name, "champion") or "")
    assert tags["rung"] == rung
    assert tags["search"] == f"{name}-search 1"
    assert tags["reference"] == found["compression"]["reference"]
    assert float(tags["kept"]) == found["recovered"]["compressed"]["nDCG@10"]["estimate"]
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    vector = loaded.predict(pd.DataFrame({"query": ["parental leave"]}))["vector"][0]
    stored = QueryEncoder.load(project.newest("06_models/query_encoder"))
    expected = stored.encode_queries(["parental leave"])[0]
    np.testing.assert_allclose(vector, expected, atol=1e-6)
    searching = mlflow.pyfunc.load_model(f"models:/{name}-search@champion")
    assert len(searching.predict(pd.DataFrame({"query": ["parental leave"]}), {"k": 3})) == 3

    # It answers files of queries from its reference's index, with no retriever registered.
    queries, answered = project.path / "queries.csv", project.path / "compressed.run"
    queries.write_text("query_id,text\nq1,parental leave\nq2,travel policy\n")
    asked = f"queries={queries},run={answered},query_encoder=champion,unit=passage,depth=3"
    project.kedro("run", "--pipeline=search", f"--params={asked}")
    found_by_run = read_run(answered)
    assert set(found_by_run["tag"]) == {stored.name}
    served = searching.predict(
        pd.DataFrame({"query": ["parental leave", "travel policy"]}), {"k": 3}
    )
    assert sorted(found_by_run["document_id"]) == sorted(served["passage_id"])

    # Another limit takes another rung, and nothing is trained again.
    before = {
        path: path.stat().st_mtime_ns
        for path in (project.path / "data/06_models/compression/ladder").rglob("model.safetensors")
    }
    said = run(project, check=False, reference=model, max_latency_ms=1e-9)
    assert "no rung has max_latency_ms=1e-09" in said.splitlines()[-1]
    assert "keeps" in said.splitlines()[-1]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert report(project) == found


def store(data: Path) -> None:
    """The tables of a finished run."""
    labels, asked, passages = tiny_models.tables(60, 6)
    for name, table in (
        ("02_intermediate/passages", passages),
        ("03_primary/queries", asked),
        ("05_model_input/labels", labels),
    ):
        path = data / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        if "queries" in name or "labels" in name:
            path = path / "2026-01-01T00.00.00.000Z" / path.name
            path.parent.mkdir(parents=True)
        table.to_parquet(path)


def test_a_registered_retriever_is_refined_on_labels_and_its_index_stays_as_it_is(
    project: Project, tmp_path: Path
) -> None:
    store(project.path / "data")
    folder, index = tiny_models.retriever(tmp_path), tmp_path / "retriever_index"
    PassageIndex.build(Retriever.load(folder), tiny_models.tables(60, 6)[2], index)
    mlflow.set_tracking_uri(f"sqlite:///{project.path}/mlflow.db")
    mlflow.set_experiment("tiny")
    flavor.log_and_register(folder, index, "relevance-retriever", {}, {})
    files = ["retriever.json", "index.json"]
    asked = ("relevance-retriever", "champion", "retriever", "kedro run", files)
    _, frozen = model_registry.load_registered(*asked)
    before = folder_digest(frozen)
    # Documents of one's own without people's grades: the judge's of some queries take their place.
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.txt").write_text("w1 w2 w3")
    rungs = ["refined_only", "pruned", "static_refined"]
    given = {"documents": own, "min_kept": 0.01, "compressing.int8": "false"}
    said = run(project, rungs=rungs, **given)
    assert "WARNING" not in said.replace("intervals are not to be relied on", "")
    found = report(project)
    assert set(found["systems"]) == {"reference", "compressed", *rungs}
    assert not found["benchmark"]["human"]
    stages = found["compression"]["rungs"]["refined_only"]["training"]["stages"]
    assert [stage["stage"] for stage in stages] == ["cut", "refine"]
    assert folder_digest(frozen) == before
    name = "relevance-query-encoder-search"
    _, served = model_registry.load_registered(
        name, "champion", "query encoder", "kedro run", ["query_encoder.json", "index.json"]
    )
    assert folder_digest(served) == before


def test_a_benchmark_of_its_own_and_a_prompt(project: Project, tmp_path: Path, model: Path) -> None:
    prompted = shutil.copytree(model, tmp_path / "prompted")
    (prompted / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "search for: ", "document": ""}})
    )
    labels, asked, passages = tiny_models.tables(30, 4)
    folder = tmp_path / "own-set"
    (folder / "qrels").mkdir(parents=True)
    for name, ids, texts in (
        ("corpus", passages["passage_id"], passages["text"]),
        ("queries", asked["query_id"], asked["text"]),
    ):
        rows = pd.DataFrame({"_id": ids, "text": texts})
        rows.to_json(folder / f"{name}.jsonl", orient="records", lines=True)
    table = labels[["query_id", "passage_id", "grade"]]
    table.columns = pd.Index(["query-id", "corpus-id", "score"])
    table.to_csv(folder / "qrels" / "human.tsv", sep="\t", index=False)
    given = {"compressing.query_prompt": "query", "compressing.int8": "false", "min_kept": 0.01}
    run(project, rungs=["static"], reference=prompted, benchmark=folder, **given)
    found = report(project)
    assert (found["benchmark"]["name"], found["benchmark"]["human"]) == ("own-set", True)
    assert found["benchmark"]["queries"] == 30
    rungs = found["compression"]["rungs"]
    assert rungs["reference"]["prompt"] == "search for: "
    assert "prompt" not in rungs["static"]
    # Systems that a run measured before on the same benchmark stay beside them.
    file = project.newest("08_reporting/retrieval.json")
    found["systems"]["bm25"] = found["systems"]["reference"]
    found["queries"]["without_judged_in_top_10"]["bm25"] = 0
    file.write_text(json.dumps(found))
    run(project, rungs=["static"], reference=prompted, benchmark=folder, **given)
    again = report(project)
    assert set(again["systems"]) == {"bm25", "reference", "static", "compressed"}
    assert "bm25" in project.newest("08_reporting/retrieval.html").read_text()


def test_what_cannot_be_compressed_is_said_in_one_line(
    project: Project, model: Path, tmp_path: Path
) -> None:
    for given, line in (
        ({}, "no such registered retriever"),
        ({"reference": tmp_path}, "has no config.json"),
        ({"reference": model, "compressing.query_prompt": "query"}, "has no such prompt"),
        ({"reference": model, "compressing.strings.most": 20}, "20 strings to align on"),
        ({"reference": model, "compressing.ladder.pruning.half": 0.1}, "half"),
        ({"reference": model, "min_kept": 0}, "greater than 0"),
        (
            {"reference": model, "compressing.workspace": "pyproject.toml/x"},
            "a file where a folder",
        ),
    ):
        last = run(project, check=False, **given).splitlines()[-1]
        assert line in last, last
    assert not (project.path / "data/06_models/query_encoder").exists()
    assert not (project.path / "data/08_reporting/retrieval.json").exists()


def test_naming_the_pipeline_loads_neither_torch_nor_mlflow() -> None:
    code = (
        "import sys\n"
        "from relevance_distillery.pipeline_registry import register_pipelines\n"
        "register_pipelines()['compress_retriever']\n"
        "assert not {'torch', 'mlflow', 'transformers', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
