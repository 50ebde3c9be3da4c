"""The labeler in MLflow: logged from code with safetensors beside it, registered, served."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array

from relevance_distillery import model_registry
from relevance_distillery.encoders.micro_batching import MicroBatcher
from relevance_distillery.errors import UserError
from relevance_distillery.labeler.artifact import ARTIFACT_NAME, FACTS_FILE, read_facts
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.text.terms import PASSAGE_FIELDS

_TRAINED = ("base_model", "architecture", "recipe")

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
    """Log and register an artifact folder, see `model_registry.log_and_register`.

    To the version's tags is added how it was trained.
    """
    facts = read_facts(folder)
    trained = {name: str(facts.training[name]) for name in _TRAINED if name in facts.training}
    return model_registry.log_and_register(
        __file__,
        {ARTIFACT_NAME: folder},
        registered_name,
        {**trained, **tags},
        metrics,
        [*_REQUIREMENTS, "openvino"] if facts.int8 else _REQUIREMENTS,
        signature=_signature(),
        # Made up: no document or query of the user's goes into the registry.
        input_example=(_example(), {"batch_size": 32}),
    )


def load_registered(name: str, alias_or_version: str) -> Path:
    """The artifact folder of a registered labeler, on this machine; UserError for none."""
    found = (name, alias_or_version, "labeler", "kedro run", [FACTS_FILE])
    return model_registry.load_registered(*found)[0]


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


set_model(ServedLabeler())
