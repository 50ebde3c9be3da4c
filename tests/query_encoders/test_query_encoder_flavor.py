"""Registered query encoders: one model gives vectors, the other passages, in one lineage."""

from __future__ import annotations

import os
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest

import tiny_models
from checkout import ROOT
from model_server import post, served
from relevance_distillery import model_registry
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.errors import UserError
from relevance_distillery.retriever import flavor
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.query_encoder import QueryEncoder, write_static_encoder

NAME = "tiny-query-encoder"


def _static(folder: Path, fingerprint: str) -> Path:
    _, tokenizer = load_encoder(str(tiny_models.encoder(folder / "base")))
    table = np.random.default_rng(0).standard_normal((len(tokenizer), 32))
    about = {"name": "tiny", "fingerprint": fingerprint}
    facts = {"reference": about, "max_length": 24, "rung": "static"}
    write_static_encoder(folder / "static", tokenizer, table, facts)
    return folder / "static"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a query encoder, the index of its reference, and a registry with both."""
    folder = tmp_path_factory.mktemp("flavor")
    retriever = Retriever.load(tiny_models.retriever(folder / "reference"))
    PassageIndex.build(retriever, tiny_models.tables()[2].head(30), folder / "index")
    _static(folder, retriever.fingerprint)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "runs").as_uri())
    mlflow.set_experiment("tiny")
    for name, index in ((NAME, None), (f"{NAME}-search", folder / "index")):
        tags, metrics = {"rung": "static", "kept": "0.97"}, {"kept": 0.97}
        found = flavor.log_and_register(folder / "static", index, name, tags, metrics)
        assert (found["name"], found["version"]) == (name, "1")
    return folder


def test_the_champion_gives_vectors_and_its_twin_passages(made: Path) -> None:
    for name in (NAME, f"{NAME}-search"):
        assert model_registry.get_alias(name, "champion") == "1"
        tags = model_registry.get_version_tags(name, "1")
        assert (tags["rung"], tags["kept"]) == ("static", "0.97")
    encoder, queries = QueryEncoder.load(made / "static"), ["w1 w2", "w3"]
    rows, _ = PassageIndex.load(made / "index").search(encoder.encode_queries(queries), 4)
    searching = flavor.ServedRetriever()
    folders = {"query_encoder": made / "static", "retriever_index": made / "index"}
    searching.load_context(SimpleNamespace(artifacts=folders))
    found = searching.predict(None, pd.DataFrame({"query": queries}), {"k": 4})
    ids = PassageIndex.load(made / "index").passage_ids.take(rows.ravel())
    assert found["passage_id"].tolist() == ids.tolist()
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}-search@champion")
    assert loaded.predict(pd.DataFrame({"query": queries}), {"k": 4}).equals(found)


def test_vectors_over_http(made: Path) -> None:
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{made}/mlflow.db",
        "PYTHONPATH": str(ROOT / "src"),
    }
    asked = {"dataframe_records": [{"query": "w1 w2"}, {"query": "w3"}]}
    with served(f"models:/{NAME}/1", made, environment) as address:
        answer = post(address, asked)["predictions"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(address, {"dataframe_records": [{"query": " "}]})
    assert [row["query"] for row in answer] == ["w1 w2", "w3"]
    expected = QueryEncoder.load(made / "static").encode_queries(["w1 w2", "w3"])
    np.testing.assert_allclose([row["vector"] for row in answer], expected, atol=1e-6)


def test_an_index_of_another_model_is_not_registered(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the index was made by"):
        flavor.log_and_register(_static(tmp_path, "other"), made / "index", NAME, {}, {})
    assert len(model_registry.list_versions(NAME)) == 1
