"""People's grades as a catalog entry."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

from kedro.io import AbstractDataset

from relevance_distillery.collections.benchmark import Benchmark, load_benchmark
from relevance_distillery.collections.judge_files import JudgeFiles
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.io.atomic import write_text

logger = logging.getLogger(__name__)


class BenchmarkDataset(AbstractDataset[Benchmark, Benchmark]):
    """A folder or file of graded pairs, or nothing: then held-out queries stand in.

    Example:
        ```yaml
        benchmark:
          type: relevance_distillery.datasets.benchmark.BenchmarkDataset
          filepath: data/01_raw/sample/judgments
        ```

        ```python
        BenchmarkDataset(filepath="judgments.csv").load().judgments
        ```
    """

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
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Remember where the grades are.

        Args:
            filepath: A folder in BEIR's layout, TREC qrels, a table that carries the
                queries' texts, or `ir_datasets:IDENTIFIER`; several separated by `;`, the
                first decides. None for the held-out queries.
            queries: The queries' file where `filepath` holds TREC qrels.
            scale: The grade scale, as in the parameters; the default scale when None.
            columns: What a table calls its columns, such as `{"document_id": "sku"}`.
            grades_only: Grades are enough: texts of queries and documents may be absent.
            contradictions: `refuse` makes two different grades by the same person for one
                pair an error; otherwise such pairs are left out and noted.
            memory: A JSON file in which `remember` notes where the grades are, so that a
                stage that runs alone uses the benchmark that the stored tables were made for.
            metadata: Passed through, for Kedro-Viz.
        """
        self._filepath = None if filepath is None else str(filepath)
        self._queries = queries
        self._scale = DEFAULT_SCALE if not scale else GradeScale.model_validate(scale)
        self._memory = None if memory is None else Path(memory)
        self._columns = {name: str(given) for name, given in (columns or {}).items()}
        self._grades_only = grades_only
        self._contradictions: Literal["refuse", "leave out"] = contradictions
        self.metadata = metadata

    def remember(self) -> None:
        """Note where the grades are."""
        if self._memory is not None:
            note = json.dumps(
                {"filepath": self._filepath, "queries": self._queries, "columns": self._columns}
            )
            write_text(self._memory, note)

    def recall(self) -> None:
        """Take the place that was noted last, where there is a note."""
        if self._memory is None or not self._memory.is_file():
            return
        note = json.loads(self._memory.read_text(encoding="utf-8"))
        if note["filepath"] != self._filepath:
            self._filepath, self._queries = note["filepath"], note["queries"]
            self._columns = note.get("columns") or {}
            logger.info("benchmark as in the run that read the documents: %s", self._filepath)

    def load(self) -> Benchmark:
        """Read the grades, the queries and, where there are any, the documents.

        Raises:
            UserError: As `evaluation.benchmarks.benchmark.load_benchmark`.
        """
        return load_benchmark(
            self._filepath,
            self._scale,
            self._queries,
            self._columns,
            texts_needed=not self._grades_only,
            contradictions=self._contradictions,
        )

    def save(self, data: Benchmark) -> None:
        """Benchmarks are given, never made.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a benchmark is read only")

    def _exists(self) -> bool:
        # Nothing given is no missing input, and a wrong path deserves the loader's message.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath and Path(self._filepath), "queries": self._queries}


class JudgeFilesDataset(AbstractDataset[None, JudgeFiles]):
    """Files of judges' grades, read once the benchmark that they are laid beside is known.

    Example:
        ```yaml
        judge_files:
          type: relevance_distillery.datasets.benchmark.JudgeFilesDataset
          locations: "gpt-4o.tsv;ours.parquet"
        ```

        ```python
        JudgeFilesDataset(locations="gpt-4o.tsv").load().locations
        ```
    """

    def __init__(
        self,
        *,
        locations: str | None = None,
        columns: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Remember where the grades are.

        Args:
            locations: Files, or names of the benchmark's recorded judges, separated by `;`.
                Not called `filepath`, which Kedro would look for in the project.
            columns: What the files call their columns.
            metadata: Passed through, for Kedro-Viz.
        """
        self._locations = locations
        self._columns = {name: str(given) for name, given in (columns or {}).items()}
        self.metadata = metadata

    def load(self) -> JudgeFiles:
        """The files, none of them opened yet."""
        return JudgeFiles.parse(self._locations, self._columns)

    def save(self, data: None) -> None:
        """Grades of judges are given, never made.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("files of grades are read only")

    def _exists(self) -> bool:
        # A wrong path deserves the reader's message.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"locations": self._locations, "columns": self._columns}
