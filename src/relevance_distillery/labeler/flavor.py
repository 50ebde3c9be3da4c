"""The labeler in MLflow: logged from code with safetensors beside it, registered, served.

MLflow runs this very file when it loads the model ("models from code"), with the package beside
it, so no class is pickled. Its registry is reached through the tracking address in force.
"""

import os
from collections.abc import Mapping
from copy import copy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array

from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.labeler.artifact import ARTIFACT_NAME, read_facts
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.micro_batching import MicroBatcher
from relevance_distillery.text.terms import PASSAGE_FIELDS

_TRAINED = ("base_model", "architecture", "recipe")

# Six small files need no bar.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

_REQUIREMENTS = (
    "mlflow", "torch", "transformers", "safetensors", "tokenizers", "pandas", "numpy", "scipy",
    "scikit-learn", "pydantic", "PyStemmer",
)  # fmt: skip
_PIECE = 256
"""Pairs of one request in a pass: about a second of two cores."""
_PASSES = 2  # while one makes tokens, the other multiplies


class ServedLabeler(PythonModel):
    """Grades rows of query and passage; what `mlflow models serve` answers with.

    The server calls it from several threads: what waits is graded together.
    """

    labeler: Labeler

    def load_context(self, context: Any) -> None:
        """Read the artifact folder that was logged with the model."""
        self.labeler = Labeler.load(context.artifacts[ARTIFACT_NAME])
        self._graded = MicroBatcher(self._raw, _PIECE, _PASSES)

    def predict(  # pyrefly: ignore[bad-override]
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Grade pairs as `Labeler.grade`; the parameter `batch_size` is how many are read at once.

        The batch size changes no grade; MLflow's context is not used.

        Raises:
            MlflowException: What `Labeler.grade` refuses, or the batch size; status 400.
        """
        labeler = copy(self.labeler)
        try:
            labeler.batch_size = (params or {}).get("batch_size", labeler.batch_size)
            texts = labeler.facts.template.render(model_input)
            pairs = [(*pair, labeler.batch_size) for pair in zip(*texts, strict=True)]
            graded = self._graded(pairs)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        raw = np.array([chances for chances, _ in graded]).reshape(-1, labeler.scale.size)
        return labeler.decide(raw, np.array([score for _, score in graded]), model_input.index)

    def _raw(self, pairs: list[tuple[str, str, int]]) -> list[tuple[np.ndarray, float]]:
        queries, passages, sizes = zip(*pairs, strict=True)
        labeler = copy(self.labeler)
        # A small one is asked for to save memory.
        labeler.batch_size = min(sizes)
        return list(zip(*labeler.raw_texts(queries, passages), strict=True))


def log_and_register(
    folder: Path, registered_name: str, tags: Mapping[str, str], metrics: Mapping[str, float]
) -> dict[str, str]:
    """Log an artifact folder as a model and register it with the alias `challenger`.

    The model goes into the active run, or into one of its own. Two labelers with the same
    files become two versions, since their lineage may differ. To the version's tags are added
    how it was trained and its digest; the metrics are those of the run.

    Returns:
        {"name", "version", "run_id", "digest"}.
    """
    own_run = mlflow.active_run() is None
    try:
        if metrics:
            mlflow.log_metrics(dict(metrics))
        digest, facts = folder_digest(folder), read_facts(folder)
        package = Path(__file__).resolve().parents[1]
        # The example is made up: no document or query of the user's goes into the registry.
        info = mlflow.pyfunc.log_model(
            name="labeler",
            python_model=str(Path(__file__).resolve()),
            artifacts={ARTIFACT_NAME: str(folder)},
            code_paths=[str(package)],
            signature=_signature(),
            input_example=(_example(), {"batch_size": 32}),
            registered_model_name=registered_name,
            pip_requirements=_requirements(facts.int8),
        )
        number = str(info.registered_model_version)
        trained = {name: str(facts.training[name]) for name in _TRAINED if name in facts.training}
        set_version_tags(registered_name, number, {**trained, **tags, "digest": digest})
        set_alias(registered_name, "challenger", number)
        return {
            "name": registered_name,
            "version": number,
            "run_id": str(info.run_id),
            "digest": digest,
        }
    finally:
        if own_run and mlflow.active_run() is not None:
            mlflow.end_run()


def load_registered(name: str, alias_or_version: str) -> Path:
    """The artifact folder of a registered labeler, on this machine.

    Raises:
        UserError: There is no such labeler, or its files are gone.
    """
    separator = "/" if alias_or_version.isdigit() else "@"
    uri = f"models:/{name}{separator}{alias_or_version}"
    try:
        local = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        known = ", ".join(entry["version"] for entry in list_versions(name)) or "none"
        raise UserError(
            f"{uri}: no such registered labeler, or its files are gone (versions: {known}); "
            "run kedro run, or set the alias by hand"
        ) from error
    found = sorted(local.rglob("labeler.json"))
    if not found:
        raise UserError(f"{uri}: holds no labeler.json, so it is no labeler of this project")
    return found[0].parent


def list_versions(name: str) -> list[dict[str, str]]:
    """Versions of a registered labeler, oldest first.

    Returns:
        {"version", "run_id", "created_at" (milliseconds), "aliases" (comma separated)} each;
        empty when nothing of that name is registered.
    """
    client = MlflowClient()
    try:
        # Listing versions leaves their aliases out; the registered model has them.
        aliases = client.get_registered_model(name).aliases
    except MlflowException:
        return []
    versions = sorted(
        client.search_model_versions(f"name = '{name}'"), key=lambda entry: int(entry.version)
    )
    return [
        {
            "version": str(entry.version),
            "run_id": str(entry.run_id or ""),
            "created_at": str(entry.creation_timestamp),
            "aliases": ",".join(
                sorted(alias for alias, at in aliases.items() if str(at) == str(entry.version))
            ),
        }
        for entry in versions
    ]


def get_version_tags(name: str, version: str) -> dict[str, str]:
    """Tags of a version."""
    return dict(MlflowClient().get_model_version(name, version).tags)


def set_version_tags(name: str, version: str, tags: Mapping[str, str]) -> None:
    """Add tags to a version, or change them."""
    client = MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)


def set_alias(name: str, alias: str, version: str) -> None:
    """Point an alias at a version, away from any other."""
    MlflowClient().set_registered_model_alias(name, alias, version)


def get_alias(name: str, alias: str) -> str | None:
    """The version that an alias points at; None without one."""
    try:
        return str(MlflowClient().get_model_version_by_alias(name, alias).version)
    except MlflowException:
        return None


def _signature() -> ModelSignature:
    text = DataType.string
    inputs: list[ColSpec | TensorSpec] = [ColSpec(text, "query"), ColSpec(text, "text")]
    # The text is the last of them.
    inputs += [ColSpec(text, name, required=False) for name in PASSAGE_FIELDS[:-1]]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.long, "grade"),
        ColSpec(DataType.double, "expected_grade"),
        ColSpec(DataType.double, "confidence"),
        ColSpec(Array(DataType.double), "probabilities"),
        ColSpec(DataType.double, "score"),
    ]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("batch_size", DataType.long, 32)]),
    )


def _example() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query": ["how do I book a desk", "how do I book a desk"],
            "text": ["Desks are booked in the office app.", "The canteen opens at eleven."],
            "title": ["Desk booking", "Canteen"],
            "path": ["office/desks.md", "office/canteen.md"],
            "modified": ["2026-01-05", ""],
        }
    )


def _requirements(int8: bool) -> list[str]:
    packages = [*_REQUIREMENTS, "openvino"] if int8 else _REQUIREMENTS
    # A local build tag such as +cpu is on no package index.
    return [f"{package}=={version(package).split('+')[0]}" for package in packages]


set_model(ServedLabeler())
