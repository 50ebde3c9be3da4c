"""Retrievers and query encoders in MLflow: passages of their index for a query, or its vector."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from relevance_distillery import model_registry
from relevance_distillery.encoders.micro_batching import MicroBatcher
from relevance_distillery.retriever.encoder import open_encoder
from relevance_distillery.retriever.index import PassageIndex

CHAMPION = "champion"
_REQUIREMENTS = (
    "mlflow", "torch", "transformers", "safetensors", "tokenizers", "pandas", "numpy", "pydantic",
    "PyStemmer", "tqdm", "pyarrow",
)  # fmt: skip
_PIECE = 256
"""Queries of one request in a pass."""
_K = 10
_INDEX = "retriever_index"
_QUERY = ColSpec(DataType.string, "query")
_QUERIES = Schema([_QUERY])
_VECTORS = Schema([_QUERY, ColSpec(Array(DataType.double), "vector")])
_PASSAGES = Schema(
    [
        _QUERY,
        ColSpec(DataType.long, "rank"),
        ColSpec(DataType.string, "passage_id"),
        ColSpec(DataType.string, "document_id"),
        ColSpec(DataType.double, "score"),
    ]
)
_PARAMETERS = ParamSchema([ParamSpec("k", DataType.long, _K)])
_EXAMPLE = pd.DataFrame({"query": ["how do I book a desk"]})
"""Made up: no query of the user's goes into the registry."""

Found = tuple[np.ndarray, np.ndarray]


class ServedRetriever(PythonModel):
    """Finds passages for queries, or without an index gives their vectors.

    It is what `mlflow models serve` answers with. The server calls it from several threads: what
    waits is encoded and searched together.
    """

    def load_context(self, context: Any) -> None:
        """Open the folders that were logged with the model: an encoder's, perhaps an index."""
        folders = {name: Path(folder) for name, folder in context.artifacts.items()}
        self.index = PassageIndex.load(folders.pop(_INDEX)) if _INDEX in folders else None
        (folder,) = folders.values()
        self.encoder = open_encoder(folder)
        answer: Any = self._embed
        if self.index is not None:
            self.index.require(self.encoder)
            answer = partial(self._search, self.index)
        self._answers = MicroBatcher(answer, _PIECE)

    def predict(  # pyrefly: ignore[bad-override]
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The `k` nearest passages of every query, by the parameter `k`, or its vector.

        Returns:
            A row a passage, queries in their order: query, rank (from 1), passage_id, document_id,
            score (cosine); texts of passages are not in the model. Without an index a row a query:
            query, vector.

        Raises:
            MlflowException: A query is empty, or `k` is below 1; status 400.
        """
        k = (params or {}).get("k", _K)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            said = f"k={k}: give a whole number from 1"
            raise MlflowException.invalid_parameter_value(said)
        queries = _checked(model_input)
        if self.index is None:
            return pd.DataFrame({"query": queries, "vector": self._answers(queries)})
        found: list[Found] = self._answers([(query, k) for query in queries])
        size = min(k, len(self.index))
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
        return pd.DataFrame(
            {
                "query": np.repeat(np.array(queries, dtype=object), size),
                "rank": np.tile(np.arange(1, size + 1), len(queries)),
                "passage_id": self.index.passage_ids.take(rows),
                "document_id": self.index.document_ids.take(rows),
                "score": np.concatenate([np.empty(0), *(scores for _, scores in found)]),
            }
        )

    def _embed(self, queries: list[str]) -> list[list[float]]:
        return self.encoder.encode_queries(queries).tolist()

    def _search(self, index: PassageIndex, asked: list[tuple[str, int]]) -> list[Found]:
        vectors = self.encoder.encode_queries([query for query, _ in asked])
        every = zip(asked, *index.search(vectors, max(k for _, k in asked)), strict=True)
        return [(rows[:k], scores[:k]) for (_, k), rows, scores in every]


def _checked(model_input: pd.DataFrame) -> list[str]:
    queries = model_input["query"].tolist()
    for row, query in enumerate(queries, start=1):
        if not (isinstance(query, str) and query.strip()):
            said = f"row {row} has an empty query; give it a text or leave it out"
            raise MlflowException.invalid_parameter_value(said)
    return queries


def log_and_register(
    folder: Path,
    index_folder: Path | None,
    registered_name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
) -> dict[str, str]:
    """Log and register what reads queries as the champion, see `model_registry.log_and_register`.

    With an index of passages the model finds these, without one it gives vectors. UserError where a
    folder is damaged, or another retriever made the index.
    """
    encoder = open_encoder(folder)
    artifacts = {encoder.kind.name.replace(" ", "_"): folder}
    about = {"retriever": encoder.name}
    signature, example = ModelSignature(_QUERIES, _VECTORS), _EXAMPLE
    if index_folder is not None:
        index = PassageIndex.load(index_folder)
        index.require(encoder)
        artifacts[_INDEX] = index_folder
        about["passages"] = str(len(index))
        signature, example = ModelSignature(_QUERIES, _PASSAGES, _PARAMETERS), (_EXAMPLE, {"k": _K})
    requirements = [*_REQUIREMENTS, *(["onnxruntime"] if encoder.facts.get("int8") else [])]
    registered = model_registry.log_and_register(
        __file__,
        artifacts,
        registered_name,
        {**about, **tags},
        metrics,
        requirements,
        signature=signature,
        input_example=example,
    )
    model_registry.set_alias(registered_name, CHAMPION, registered["version"])
    return registered


set_model(ServedRetriever())
