"""People's grades as a catalog entry that remembers where they were."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kedro.io import AbstractDataset, DatasetError

from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.io.files import undamaged, write_text

if TYPE_CHECKING:
    from relevance_distillery.collections.benchmark import Benchmark

logger = logging.getLogger(__name__)


class BenchmarkDataset(AbstractDataset[None, "Benchmark"]):
    """A folder or file of graded pairs; without one, held-out queries take its place."""

    def __init__(
        self,
        *,
        filepath: str | None = None,
        queries: str | None = None,
        scale: dict[str, Any] | None = None,
        columns: dict[str, Any] | None = None,
        grades_only: bool = False,
        contradictions: Literal["refuse", "leave out"] = "leave out",
        memory: str | None = None,
        recall_when_unnamed: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Remember where the grades are.

        Args:
            filepath: The `location` of `collections.benchmark.load_benchmark`.
            queries: Passed on to it, as are columns and contradictions.
            scale: The grade scale, as in the parameters; the default scale when None.
            columns: What a table calls its columns, such as `{"document_id": "sku"}`.
            grades_only: Grades are enough: texts of queries and documents may be absent.
            contradictions: What becomes of pairs with two different grades by the same person.
            memory: A JSON file in which `remember` notes where the grades are, so that a
                stage that runs alone uses the benchmark that the stored tables were made for.
            recall_when_unnamed: Without a `filepath`, read the benchmark of that file.
            metadata: For Kedro-Viz.
        """
        self._place: dict[str, Any] = {
            "filepath": None if filepath is None else str(filepath),
            "queries": queries,
            "columns": {name: str(given) for name, given in (columns or {}).items()},
        }
        self._scale = DEFAULT_SCALE if not scale else GradeScale.model_validate(scale)
        self._options: dict[str, Any] = {
            "texts_needed": not grades_only,
            "contradictions": contradictions,
        }
        self._loaded: Benchmark | None = None
        self._memory = None if memory is None else Path(memory)
        self._recall_when_unnamed = recall_when_unnamed
        self.metadata = metadata

    def remember(self) -> None:
        """Note where the grades are."""
        if self._memory is not None:
            write_text(self._memory, json.dumps(self._place))

    def recall(self) -> None:
        """Take the place that was noted last, where there is a note."""
        if self._memory is None or not self._memory.is_file():
            return
        with undamaged(self._memory, lambda: "run `kedro run --pipeline=synthesize` again"):
            note = json.loads(self._memory.read_text(encoding="utf-8"))
        if note["filepath"] != self._place["filepath"]:
            self._place, self._loaded = note, None
            logger.info("benchmark as in the run that read the documents: %s", note["filepath"])

    def load(self) -> Benchmark:
        """Read the grades, the queries and, where there are any, the documents.

        They are kept for the other nodes of the run. Errors are those of `load_benchmark`.
        """
        from relevance_distillery.collections.benchmark import load_benchmark

        if self._recall_when_unnamed and self._place["filepath"] is None:
            self.recall()
        place = self._place
        if self._loaded is None:
            self._loaded = load_benchmark(
                place["filepath"], self._scale, place["queries"], place["columns"], **self._options
            )
        return self._loaded

    def save(self, data: None) -> None:
        """Refuse: benchmarks are given, never made."""
        raise DatasetError("a benchmark is read only")

    def _release(self) -> None:
        self._loaded = None

    def _exists(self) -> bool:
        # Nothing given is no missing input, and a wrong path deserves the loader's message.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._place["filepath"], "queries": self._place["queries"]}
