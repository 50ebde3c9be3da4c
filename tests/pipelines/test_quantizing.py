"""Quantization through Kedro: a labeler becomes a version in int8, if that grades as before."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.runner import SequentialRunner

import tiny_models
from relevance_distillery import model_registry
from relevance_distillery.datasets import FolderDataset, JSONFileDataset
from relevance_distillery.errors import UserError
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.int8_stages import load_int8_stages
from relevance_distillery.pipelines.quantizing import nodes
from relevance_distillery.pipelines.quantizing.parameters import QuantizingParameters
from relevance_distillery.pipelines.quantizing.pipeline import create_pipeline
from relevance_distillery.scoring.graders import GraderShelf

openvino = pytest.importorskip("openvino", reason="the extra fast is not installed")
pytest.importorskip("nncf", reason="the extra fast is not installed")

NAME = "tiny-fast"


@dataclass
class Trained:
    """A champion and the tables that it learned from."""

    folder: Path
    labeler: Path
    labels: pd.DataFrame
    queries: pd.DataFrame
    passages: pd.DataFrame

    @property
    def pairs(self) -> pd.DataFrame:
        asked = self.queries.rename(columns={"text": "query"})[["query_id", "query"]]
        return self.labels.merge(asked, on="query_id").merge(
            self.passages[["passage_id", "text"]], on="passage_id"
        )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("quantizing")
    made = tiny_models.champion(folder, NAME)
    return Trained(folder, made, *tiny_models.tables())


def run(trained: Trained, folder: Path, split: str = "test", **options: Any) -> DataCatalog:
    mlflow.set_tracking_uri(f"sqlite:///{trained.folder}/mlflow.db")
    mlflow.set_experiment("tiny")
    shelf = GraderShelf(
        registered_name=NAME,
        judge_state=str(folder / "judge_state.json"),
        ledger=str(folder / "ledger.sqlite"),
    )
    parameters = {"workspace": str(folder / "work"), "registered_name": NAME, "texts": 40}
    catalog = DataCatalog(
        {
            "graders": MemoryDataset(shelf),
            "labels": MemoryDataset(trained.labels),
            "splits": MemoryDataset(trained.labels.assign(split=split)),
            "queries": MemoryDataset(trained.queries),
            "passages": MemoryDataset(trained.passages),
            "params:quantizing": MemoryDataset(QuantizingParameters(**{**parameters, **options})),
            "quantization": JSONFileDataset(filepath=str(folder / "quantization.json")),
            "quantized_candidate": MemoryDataset(copy_mode="assign"),
            "quantized_labeler": FolderDataset(
                holds="labeler.json",
                made_by="distill",
                filepath=str(folder / "quantized"),
                version=Version(None, "2026-01-01T00.00.00"),
            ),
            "quantization_registration": JSONFileDataset(filepath=str(folder / "registered.json")),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog


def test_a_version_in_int8_grades_as_before(trained: Trained, tmp_path: Path) -> None:
    catalog = run(trained, tmp_path)
    found, registered = (
        catalog.load(name) for name in ("quantization", "quantization_registration")
    )
    assert found["passes"]
    assert found["correlation"] >= 0.99
    assert model_registry.get_alias(NAME, "challenger") == registered["version"] != "1"
    assert model_registry.get_alias(NAME, "champion") == "1"
    before, after = (
        Labeler.load(flavor.load_registered(NAME, version))
        for version in ("1", registered["version"])
    )
    assert after.compiled is not None
    files = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{NAME}@challenger"))
    assert "openvino==" in (files / "requirements.txt").read_text()
    assert after.digest == registered["digest"] != before.digest
    old, new = before.grade(trained.pairs), after.grade(trained.pairs)
    assert np.corrcoef(old["score"], new["score"])[0, 1] > 0.99
    assert not np.allclose(old["score"], new["score"], atol=1e-6)
    again = Labeler.load(catalog.load("quantized_labeler"), batch_size=5)
    shuffled = trained.pairs.sample(frac=1, random_state=0)
    np.testing.assert_allclose(again.grade(shuffled)["score"].sort_index(), new["score"], atol=0.05)


def test_other_grades_make_no_version(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "LEAST_CORRELATION", 1.0)
    versions = len(model_registry.list_versions(NAME))
    with pytest.raises(UserError, match=r"int8 changes the grades of champion: on \d+ held-out"):
        run(trained, tmp_path)
    assert len(model_registry.list_versions(NAME)) == versions
    assert (tmp_path / "quantization.json").is_file()
    assert not (tmp_path / "quantized").exists()


def test_what_cannot_become_int8_is_said(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no labelled pair was held out"):
        run(trained, tmp_path, split="train")
    texts = trained.passages["text"].tolist()[:20]
    fast = nodes.write_int8(trained.labeler, texts, tmp_path / "fast")
    with pytest.raises(UserError, match="in int8 already"):
        nodes.write_int8(fast, texts, tmp_path / "again")
    (fast / "lower.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"lower\.bin is not as it was written"):
        Labeler.load(fast)


def test_threads_read_one_after_the_other(trained: Trained, tmp_path: Path) -> None:
    texts = trained.passages["text"].tolist()
    labeler = Labeler.load(nodes.write_int8(trained.labeler, texts[:20], tmp_path / "fast"))
    labeler.batch_size = 4
    parts = [trained.pairs.iloc[start::4] for start in range(4)]
    alone = [labeler.grade(part)["score"] for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda part: labeler.grade(part)["score"], parts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_stages_of_an_earlier_version_are_refused(trained: Trained, tmp_path: Path) -> None:
    texts = trained.passages["text"].tolist()[:20]
    fast = nodes.write_int8(trained.labeler, texts, tmp_path / "fast")
    graph = openvino.Core().read_model(fast / "lower.xml")
    # Earlier ones did not give the lengths of states.
    fewer = openvino.Model(graph.get_results()[:-3], graph.get_parameters())
    openvino.save_model(fewer, tmp_path / "lower.xml")
    with pytest.raises(UserError, match="earlier version of this software; quantize again"):
        load_int8_stages(tmp_path, 6, "fp32")


def test_handlers_of_others_let_through_what_they_did(trained: Trained, tmp_path: Path) -> None:
    # A handler may serve several loggers: pytest's for caplog is put on this one as well.
    handler = logging.NullHandler()
    logging.getLogger("nncf").addHandler(handler)
    try:
        nodes.write_int8(trained.labeler, trained.passages["text"].tolist()[:20], tmp_path / "fast")
    finally:
        logging.getLogger("nncf").removeHandler(handler)
    assert handler.level == logging.NOTSET


def test_without_openvino_one_line_says_what_to_install(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = nodes.write_int8(
        trained.labeler, trained.passages["text"].tolist()[:20], tmp_path / "fast"
    )
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"needs openvino: pip install 'relevance-distillery\[fast"):
        Labeler.load(fast)
    # In another precision it is read by torch.
    assert Labeler.load(fast, precision="fp32").compiled is None
