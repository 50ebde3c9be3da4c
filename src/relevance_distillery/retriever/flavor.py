"""The retriever and its index in MLflow: registered together, served as passages for a query."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from relevance_distillery import model_registry
from relevance_distillery.encoders.micro_batching import MicroBatcher
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex

CHAMPION = "champion"
_REQUIREMENTS = (
    "mlflow", "torch", "transformers", "safetensors", "tokenizers", "pandas", "numpy", "pydantic",
    "PyStemmer", "tqdm", "pyarrow",
)  # fmt: skip
_PIECE = 256
"""Queries of one request in a pass."""
_K = 10
_COLUMNS = {
    "query": DataType.string, "rank": DataType.long, "passage_id": DataType.string,
    "document_id": DataType.string, "score": DataType.double,
}  # fmt: skip

QUERIES = Schema([ColSpec(DataType.string, "query")])
EXAMPLE = pd.DataFrame({"query": ["how do I book a desk"]})
"""Made up: no query of the user's goes into the registry."""

Found = tuple[np.ndarray, np.ndarray]


class ServedRetriever(PythonModel):
    """Finds passages for queries; what `mlflow models serve` answers with.

    The server calls it from several threads: what waits is encoded and searched together.
    """

    def load_context(self, context: Any) -> None:
        """Open the folders that were logged with the model."""
        self.open(Retriever.load(Path(context.artifacts["retriever"])), context)

    def open(self, retriever: Any, context: Any) -> None:
        """Search the index that was logged with the model by a retriever, or what is like one."""
        self.retriever = retriever
        self.index = PassageIndex.load(Path(context.artifacts["retriever_index"]))
        self.index.require(retriever)
        self._found = MicroBatcher(self._search, _PIECE)

    def predict(  # pyrefly: ignore[bad-override]
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The `k` nearest passages of every query, by the parameter `k`.

        Returns:
            A row a passage, queries in their order: query, rank (from 1), passage_id, document_id,
            score (cosine). Texts of passages are not in the model.

        Raises:
            MlflowException: A query is empty, or `k` is below 1; status 400.
        """
        k = (params or {}).get("k", _K)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            said = f"k={k}: give a whole number from 1"
            raise MlflowException.invalid_parameter_value(said)
        queries = checked_queries(model_input)
        found: list[Found] = self._found([(query, k) for query in queries])
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

    def _search(self, asked: list[tuple[str, int]]) -> list[Found]:
        vectors = self.retriever.encode_queries([query for query, _ in asked])
        every = zip(asked, *self.index.search(vectors, max(k for _, k in asked)), strict=True)
        return [(rows[:k], scores[:k]) for (_, k), rows, scores in every]


def checked_queries(model_input: pd.DataFrame) -> list[str]:
    """The column query; MlflowException, status 400, where one is empty."""
    queries = model_input["query"].tolist()
    for row, query in enumerate(queries, start=1):
        if not (isinstance(query, str) and query.strip()):
            said = f"row {row} has an empty query; give it a text or leave it out"
            raise MlflowException.invalid_parameter_value(said)
    return queries


def log_and_register(
    folder: Path,
    index_folder: Path,
    registered_name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    champion: bool = False,
    code: str = __file__,
    load: Callable[[Path], Any] = Retriever.load,
) -> dict[str, str]:
    """Log and register a retriever with its index, see `model_registry.log_and_register`.

    It becomes the champion where there is none yet, or when asked. With `code`, a flavor's file,
    another encoder than a retriever answers, which `load` reads. UserError where a folder is
    damaged, or another retriever made the index.
    """
    retriever, index = load(folder), PassageIndex.load(index_folder)
    index.require(retriever)
    about = {"retriever": retriever.name, "passages": str(len(index))}
    return register(
        code,
        {"retriever": folder, "retriever_index": index_folder},
        registered_name,
        {**about, **tags},
        metrics,
        ModelSignature(
            QUERIES,
            Schema([ColSpec(kind, name) for name, kind in _COLUMNS.items()]),
            ParamSchema([ParamSpec("k", DataType.long, _K)]),
        ),
        (EXAMPLE, {"k": _K}),
        champion,
    )


def register(
    code: str,
    artifacts: Mapping[str, Path],
    name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    signature: ModelSignature,
    example: Any,
    champion: bool,
) -> dict[str, str]:
    """As `model_registry.log_and_register`, and make it the champion where there is none."""
    asked = [*_REQUIREMENTS, *(["onnxruntime"] if any(map(_is_int8, artifacts.values())) else [])]
    registered = model_registry.log_and_register(
        code, artifacts, name, tags, metrics, asked, signature=signature, input_example=example
    )
    if champion or model_registry.get_alias(name, CHAMPION) is None:
        model_registry.set_alias(name, CHAMPION, registered["version"])
    return registered


def _is_int8(folder: Path) -> bool:
    return any(folder.glob("*.onnx"))


set_model(ServedRetriever())
