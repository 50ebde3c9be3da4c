"""A query encoder in MLflow: one model gives vectors of queries, another the passages for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import ModelSignature, set_model
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from relevance_distillery.encoders.micro_batching import MicroBatcher
from relevance_distillery.query_encoders.encoder import QueryEncoder
from relevance_distillery.retriever import flavor
from relevance_distillery.retriever.flavor import EXAMPLE, QUERIES, ServedRetriever

_ENCODER = "query_encoder"
_PIECE = 256


class ServedQueryEncoder(ServedRetriever):
    """Vectors of queries; where an index was logged with it, passages, as `ServedRetriever`."""

    def load_context(self, context: Any) -> None:
        """Open the folders that were logged with the model."""
        self._embedded: MicroBatcher | None = None
        if _ENCODER not in context.artifacts:
            self.open(QueryEncoder.load(Path(context.artifacts["retriever"])), context)
            return
        self.retriever = QueryEncoder.load(Path(context.artifacts[_ENCODER]))
        self._embedded = MicroBatcher(self._vectors, _PIECE)

    def predict(  # pyrefly: ignore[bad-override]
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row a query with its vector, or what `ServedRetriever.predict` gives.

        Raises:
            MlflowException: A query is empty, or `k` is below 1; status 400.
        """
        if self._embedded is None:
            return super().predict(context, model_input, params)
        queries = flavor.checked_queries(model_input)
        vectors = [vector.tolist() for vector in self._embedded(queries)]
        return pd.DataFrame({"query": queries, "vector": vectors})

    def _vectors(self, queries: list[str]) -> list[Any]:
        return list(self.retriever.encode_queries(queries))


def log_and_register(
    folder: Path,
    index_folder: Path,
    registered_name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
) -> dict[str, str]:
    """Register a query encoder, and with the index a model that retrieves; both are champions.

    The second is called as the first with `-search`. UserError where a folder is damaged, or
    another model made the index.

    Returns:
        Of the first {"name", "version", "run_id", "digest"}, and `search`, the second's version.
    """
    vector: list[Any] = [
        ColSpec(DataType.string, "query"), ColSpec(Array(DataType.double), "vector"),
    ]  # fmt: skip
    name = f"{registered_name}-search"
    searching = flavor.log_and_register(
        folder, index_folder, name, tags, {}, True, __file__, QueryEncoder.load
    )
    registered = flavor.register(
        __file__,
        {_ENCODER: folder},
        registered_name,
        {**tags, "search": f"{name} {searching['version']}"},
        metrics,
        ModelSignature(QUERIES, Schema(vector)),
        EXAMPLE,
        True,
    )
    return {**registered, "search": searching["version"]}


set_model(ServedQueryEncoder())
