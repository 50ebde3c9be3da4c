"""A stage that runs alone remembers its benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

if TYPE_CHECKING:
    from relevance_distillery.datasets.benchmark import BenchmarkDataset


class BenchmarkMemoryHooks:
    """A stage that runs alone uses the benchmark that the stored tables were made for.

    Without this, `kedro run --pipeline=distill` after `kedro run --params="documents=..."`
    would keep the bundled corpus's queries out of training instead of the user's.
    """

    def __init__(self) -> None:
        self._benchmark: BenchmarkDataset | None = None

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Recalls the benchmark where documents are not read and none is named."""
        # Loads pandas and more, which `kedro --help` can do without.
        from relevance_distillery.datasets.benchmark import BenchmarkDataset

        named = {"human_judgments", "benchmark", "documents"} & set(
            run_params.get("runtime_params") or {}
        )
        found = catalog["benchmark"] if "benchmark" in pipeline.inputs() else None
        self._benchmark = found if isinstance(found, BenchmarkDataset) else None
        if self._benchmark is not None and not named and "raw_documents" not in pipeline.inputs():
            self._benchmark.recall()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Remembers the benchmark once the documents that it belongs to are read."""
        if self._benchmark is not None and "documents" in node.outputs:
            self._benchmark.remember()
