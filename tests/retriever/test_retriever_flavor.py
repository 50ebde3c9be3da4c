"""The registered retriever: found again, served over HTTP, refused where it cannot answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tiny_models
from checkout import ROOT
from model_server import post, served
from relevance_distillery import model_registry
from relevance_distillery.errors import UserError
from relevance_distillery.retriever import flavor
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex

NAME = "tiny-retriever"


@pytest.fixture(scope="module")
def store(folder: Path, index_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("registry")
    mlflow.set_tracking_uri(f"sqlite:///{made}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(made / "runs").as_uri())
    mlflow.set_experiment("tiny")
    first = flavor.log_and_register(folder, index_folder, NAME, {"a": "b"}, {"gain": 0.5})
    assert first["version"] == "1"
    return made


def registered(alias: str) -> list[Path]:
    files = ["retriever.json", "index.json"]
    return model_registry.load_registered(NAME, alias, "retriever", "kedro run", files)


@pytest.fixture(scope="module")
def model(folder: Path, index_folder: Path) -> flavor.ServedRetriever:
    made, folders = flavor.ServedRetriever(), (str(folder), str(index_folder))
    artifacts = dict(zip(("retriever", "retriever_index"), folders, strict=True))
    made.load_context(SimpleNamespace(artifacts=artifacts))
    return made


@pytest.fixture(scope="module")
def queries() -> list[str]:
    return tiny_models.tables()[1]["text"].tolist()


def expected(retriever: Retriever, index_folder: Path, queries: list[str], k: int) -> list[str]:
    index = PassageIndex.load(index_folder)
    rows, _ = index.search(retriever.encode_queries(queries), k)
    return index.passage_ids.take(rows.ravel()).tolist()


def test_aliases_tags_and_folders(store: Path, folder: Path, index_folder: Path) -> None:
    assert model_registry.get_alias(NAME, "challenger") == "1"
    assert model_registry.get_alias(NAME, "champion") == "1"
    tags = model_registry.get_version_tags(NAME, "1")
    assert tags["a"] == "b"
    assert tags["passages"] == "240"
    assert tags["retriever"] == Retriever.load(folder).name
    found, index = registered("champion")
    PassageIndex.load(index).require(Retriever.load(found))
    flavor.log_and_register(folder, index_folder, NAME, {}, {})
    assert model_registry.get_alias(NAME, "challenger") == "2"
    assert model_registry.get_alias(NAME, "champion") == "2"
    with pytest.raises(UserError, match=r"no such registered retriever.*versions: 1, 2\b"):
        registered("17")


def test_no_text_of_a_passage_is_in_the_model(store: Path, passages: pd.DataFrame) -> None:
    model = registered("1")[0].parents[1]
    texts = passages["text"].tolist()
    for path in (path for path in model.rglob("*") if path.suffix in (".json", ".yaml", "")):
        if path.is_file():
            content = path.read_text(encoding="utf-8")
            assert not any(text in content for text in texts), path.name
    assert not [p for p in model.rglob("*") if p.suffix in (".pkl", ".bin", ".pt")]


def test_an_index_of_another_retriever_is_not_registered(
    store: Path, index_folder: Path, tmp_path: Path
) -> None:
    other = tiny_models.retriever(tmp_path, max_length=9)
    before = len(model_registry.list_versions(NAME))
    with pytest.raises(UserError, match="was made by the retriever"):
        flavor.log_and_register(other, index_folder, NAME, {}, {})
    assert len(model_registry.list_versions(NAME)) == before


def test_over_http_every_request_gets_its_own_passages_and_a_bad_one_400(
    store: Path, retriever: Retriever, index_folder: Path, queries: list[str]
) -> None:
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db",
        "PYTHONPATH": str(ROOT / "src"),
    }
    bad: list[tuple[str, dict[str, Any]]] = [
        ("row 2 has an empty query", {"dataframe_records": [{"query": "w1"}, {"query": " "}]}),
        ("k=0: give a whole number", {"dataframe_records": [{"query": "w1"}], "params": {"k": 0}}),
        ("", {"dataframe_records": [{"query": "w1"}], "params": {"k": "many"}}),
        ("", {"dataframe_records": [{"text": "w1"}]}),
    ]

    def ask(address: str, number: int) -> tuple[int, dict[str, Any]]:
        body: dict[str, Any] = {"dataframe_records": [{"query": queries[number]}]}
        if number % 3 == 0:
            body["params"] = {"k": 1 + number}
        if number % 5 == 0:
            body = bad[number // 5 % len(bad)][1]
        try:
            return 200, post(address, body)
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    with served(f"models:/{NAME}/1", store, environment) as address, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(address, number), range(40)))
    for number, (status, answer) in enumerate(answers):
        if number % 5 == 0:
            assert status == 400
            assert bad[number // 5 % len(bad)][0] in answer["message"]
            continue
        k = 1 + number if number % 3 == 0 else 10
        found = pd.DataFrame(answer["predictions"])
        assert found["passage_id"].tolist() == expected(
            retriever, index_folder, [queries[number]], k
        )
        assert found["rank"].tolist() == list(range(1, k + 1))
        assert set(found["query"]) == {queries[number]}


def test_more_than_there_is_and_nothing_asked(
    model: flavor.ServedRetriever, queries: list[str], passages: pd.DataFrame
) -> None:
    found = model.predict(None, pd.DataFrame({"query": queries[:2]}), {"k": 10**9})
    assert len(found) == 2 * len(passages)
    by_id = passages.set_index("passage_id")["document_id"]
    assert found["document_id"].tolist() == by_id[found["passage_id"]].tolist()
    assert list(found.columns) == ["query", "rank", "passage_id", "document_id", "score"]
    assert np.diff(found["score"][: len(passages)]).max() <= 0
    assert model.predict(None, pd.DataFrame({"query": queries[:0]})).empty


@pytest.mark.parametrize("query", ["", " \n", None, np.nan])
def test_an_empty_query_is_named(model: flavor.ServedRetriever, query: Any) -> None:
    with pytest.raises(MlflowException, match="row 2 has an empty query"):
        model.predict(None, pd.DataFrame({"query": ["w1", query]}))


def test_what_is_logged_requires_all_that_it_imports(folder: Path, index_folder: Path) -> None:
    """The project's other dependencies are hidden: a server installs what the model names."""
    known, installed = set[str](), {canonicalize_name(name) for name in flavor._REQUIREMENTS}
    while fresh := installed - known:
        known |= fresh
        needed = [Requirement(line) for name in fresh for line in requires(name) or []]
        used = [one for one in needed if not one.marker or one.marker.evaluate({"extra": ""})]
        installed |= {canonicalize_name(one.name) for one in used}
    project = "relevance-distillery"
    ours = {canonicalize_name(Requirement(one).name) for one in requires(project) or []} - {project}
    hidden = [
        module
        for module, names in packages_distributions().items()
        if (found := {canonicalize_name(name) for name in names}) <= ours - installed and found
    ]
    assert "bm25s" in hidden
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden!r}))\n"
        "import pandas as pd\nfrom types import SimpleNamespace\n"
        "from relevance_distillery.retriever import flavor\n"
        f"model, folders = flavor.ServedRetriever(), {(str(folder), str(index_folder))!r}\n"
        "names = 'retriever', 'retriever_index'\n"
        "model.load_context(SimpleNamespace(artifacts=dict(zip(names, folders))))\n"
        "model.predict(None, pd.DataFrame({'query': ['w1']}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
