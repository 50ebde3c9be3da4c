from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import DatasetError, Version
from kedro.runner import SequentialRunner
from pydantic import ValidationError

import tiny_models
from relevance_distillery import model_registry
from relevance_distillery.collections.benchmark import held_out
from relevance_distillery.datasets import FolderDataset, JSONFileDataset, TableDataset
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.profile import read_profile
from relevance_distillery.pipelines.distillation.parameters import (
    DistillationParameters,
    SplitParameters,
)
from relevance_distillery.pipelines.distillation.pipeline import create_pipeline
from relevance_distillery.schemas import Splits

CONF = Path(__file__).parents[2] / "conf" / "base" / "distillation"


@dataclass
class Run:
    outputs: dict[str, Any]
    dataset: FolderDataset
    workspace: Path


def _parameters(base: Path, workspace: Path) -> DistillationParameters:
    return DistillationParameters(
        workspace=str(workspace),
        registered_name="tiny-distilled",
        splits=SplitParameters(train=0.5, early_stopping=0.2, calibration=0.2, test=0.1),
        training=tiny_models.tiny_settings(base, epochs=1),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("distillation")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "runs").as_uri())
    mlflow.set_experiment("tiny")
    base = tiny_models.encoder(folder / "tiny-bert")
    labels, queries, passages = tiny_models.tables()
    dataset = FolderDataset(
        holds="labeler.json",
        made_by="distill",
        filepath=str(folder / "labeler"),
        version=Version(None, "2026-01-01T00.00.00.000Z"),
    )
    catalog = DataCatalog(
        {
            "labels": MemoryDataset(labels),
            "queries": MemoryDataset(queries),
            "passages": MemoryDataset(passages),
            "benchmark": MemoryDataset(held_out(DEFAULT_SCALE)),
            "params:scale": MemoryDataset(DEFAULT_SCALE),
            "params:distillation": MemoryDataset(_parameters(base, folder / "checkpoints")),
            "labeler": dataset,
            "splits": TableDataset(filepath=str(folder / "splits.parquet")),
            "exclusions": JSONFileDataset(filepath=str(folder / "exclusions.json")),
            "training_facts": JSONFileDataset(filepath=str(folder / "training_facts.json")),
            "registration": JSONFileDataset(filepath=str(folder / "registration.json")),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    names = ("splits", "exclusions", "training_facts", "registration")
    outputs = {name: catalog.load(name) for name in names}
    return Run(outputs, dataset, folder / "checkpoints")


def test_labels_become_a_registered_labeler(run: Run) -> None:
    Splits.validate(run.outputs["splits"])
    assert run.outputs["exclusions"]["pairs_after"] == len(run.outputs["splits"])
    labeler = Labeler.load(run.dataset.load())
    assert read_profile(labeler.folder).taught_by == ("embedded",)
    registration = run.outputs["registration"]
    assert registration["digest"] == labeler.digest
    assert model_registry.get_alias("tiny-distilled", "challenger") == registration["version"]
    registered = Labeler.load(flavor.load_registered("tiny-distilled", "challenger"))
    pairs = tiny_models.tiny_data().early.pairs
    assert registered.grade(pairs).equals(labeler.grade(pairs))


def test_facts_are_json_and_name_no_path(run: Run) -> None:
    text = json.dumps(run.outputs["training_facts"], allow_nan=False)
    assert str(run.workspace.parent) not in text
    assert run.outputs["training_facts"]["base_model"] == "tiny-bert"


def test_the_workspace_is_handed_over(run: Run) -> None:
    assert not [path for path in run.workspace.rglob("*") if path.is_file()]


def test_who_learns_and_who_calibrates(run: Run) -> None:
    splits = run.outputs["splits"]
    facts = run.outputs["training_facts"]
    # Early stopping has too few queries to tell checkpoints apart: they teach.
    teach = splits["split"].isin(("train", "early_stopping"))
    assert facts["train_pairs_available"] == teach.sum()
    assert facts["early_stopping_pairs"] == 0
    assert facts["calibration_pairs"] == (splits["split"] == "calibration").sum()
    # Half of the made-up documents have two passages, so length can be corrected for.
    assert facts["null_pairs"] > 20


def test_a_half_written_labeler_is_never_a_version(tmp_path: Path, run: Run) -> None:
    dataset = FolderDataset(
        holds="labeler.json",
        made_by="distill",
        filepath=str(tmp_path / "labeler"),
        version=Version(None, "v1"),
    )
    assert not dataset.exists()
    torn = tmp_path / "labeler" / "v0" / ".labeler.1.partial"
    torn.mkdir(parents=True)
    (torn / "labeler.json").write_text("{}")
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="any versions"):
        dataset.load()


def test_saving_takes_the_folder_over(tmp_path: Path) -> None:
    source = tmp_path / "work" / "labeler"
    source.mkdir(parents=True)
    (source / "labeler.json").write_text("{}")
    dataset = FolderDataset(
        holds="labeler.json",
        made_by="distill",
        filepath=str(tmp_path / "labeler"),
        version=Version(None, "v1"),
    )
    dataset.save(source)
    assert dataset.load() == tmp_path / "labeler" / "v1" / "labeler"
    assert not source.exists()


def test_a_folder_that_is_no_labeler_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as raised:
        FolderDataset(holds="labeler.json", made_by="distill", filepath=str(tmp_path)).load()
    assert isinstance(raised.value.__cause__, UserError)
    assert "--pipeline=distill" in str(raised.value.__cause__)


def test_parameters_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="epochz is not a known key; known: "):
        DistillationParameters.model_validate({"workspace": "x", "epochz": 3})
    with pytest.raises(ValidationError, match="sum to 1"):
        SplitParameters(train=0.9)


def test_the_configuration_names_known_keys_only() -> None:
    text = (CONF / "parameters.yml").read_text(encoding="utf-8")
    group = yaml.safe_load(text)["distillation"]
    assert set(group) == set(DistillationParameters.model_fields)
    known = set(type(DistillationParameters(workspace="x").training).model_fields)
    assert set(group["training"]) == known


def test_every_parameter_has_its_reason() -> None:
    training = DistillationParameters(workspace="x").training
    for model in (DistillationParameters, SplitParameters, type(training)):
        for name, field in model.model_fields.items():
            if name in ("splits", "training", "lora"):  # groups of their own
                continue
            assert field.description, name


def test_pandas_tables_come_from_parquet_with_arrays(tmp_path: Path) -> None:
    from relevance_distillery.learning.labelled_pairs import labelled_pairs

    labels, queries, passages = tiny_models.tables(queries=12)
    labels.to_parquet(tmp_path / "labels.parquet")
    again = labelled_pairs(
        pd.read_parquet(tmp_path / "labels.parquet"), queries, passages, DEFAULT_SCALE
    )
    direct = labelled_pairs(labels, queries, passages, DEFAULT_SCALE)
    assert (again.targets == direct.targets).all()
