"""Runs of search engines, and where the texts are that they speak of."""

from __future__ import annotations

from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.datasets.benchmark import BenchmarkDataset
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.runs import Runs, read_runs
from relevance_distillery.evaluation.systems.texts import TextSources


class RunsDataset(AbstractDataset[None, Runs]):
    """The rankings of several systems: TREC run files, or tables, one a system.

    Example:
        ```yaml
        runs:
          type: relevance_distillery.datasets.runs.RunsDataset
          locations: ${runtime_params:runs, null}
        ```

        ```python
        RunsDataset(locations="runs/").load().systems
        ```
    """

    def __init__(
        self, *, locations: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Remember where the runs are.

        Args:
            locations: A folder of runs, or one run; several separated by `;`. Not called
                `filepath`, which Kedro would look for in the project.
            metadata: Passed through, for Kedro-Viz.
        """
        self._locations = None if locations is None else str(locations)
        self.metadata = metadata

    def load(self) -> Runs:
        """Read all runs.

        Raises:
            UserError: None was given, or as `evaluation.systems.runs.read_runs`.
        """
        if not self._locations:
            raise UserError('no runs were given; pass --params="runs=DIR", a folder of run files')
        return read_runs(self._locations)

    def save(self, data: None) -> None:
        """Never: runs belong to the user.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("runs are read only")

    def _exists(self) -> bool:
        # What is missing is said better on loading.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"locations": self._locations}


class RememberedBenchmarkDataset(BenchmarkDataset):
    """People's grades for an evaluation: those that are named, else those of the last run.

    Example:
        ```yaml
        evaluation_benchmark:
          type: relevance_distillery.datasets.runs.RememberedBenchmarkDataset
          filepath: ${runtime_params:benchmark, null}
          grades_only: true
          memory: data/02_intermediate/benchmark_source.json
        ```

        ```python
        RememberedBenchmarkDataset(filepath="trec-dl19", grades_only=True).load().judgments
        ```
    """

    def load(self) -> Benchmark:
        """Read the grades; none where neither were named and no run remembers any.

        Raises:
            UserError: As `BenchmarkDataset.load`.
        """
        if self._filepath is None:
            self.recall()
        return super().load()


class TextSourcesDataset(AbstractDataset[None, TextSources]):
    """Where queries and documents are, as far as a user named them.

    Example:
        ```yaml
        evaluation_texts:
          type: relevance_distillery.datasets.runs.TextSourcesDataset
          queries: ${runtime_params:queries, null}
          documents: ${runtime_params:documents, null}
          benchmark: ${runtime_params:benchmark, null}
        ```

        ```python
        TextSourcesDataset(queries="topics.tsv").load()
        ```
    """

    def __init__(
        self,
        *,
        queries: str | None = None,
        documents: str | None = None,
        benchmark: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Remember the places; see `TextSources`.

        Args:
            queries: A file with ids and texts.
            documents: A folder or file of documents.
            benchmark: A folder in BEIR's layout.
            metadata: Passed through, for Kedro-Viz.
        """
        places = (queries, documents, benchmark)
        self._places = tuple(None if place is None else str(place) for place in places)
        self.metadata = metadata

    def load(self) -> TextSources:
        """The handle; what is missing is reported when it is read."""
        return TextSources(*self._places)

    def save(self, data: None) -> None:
        """Never: texts belong to the user.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("texts are read only")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"places": self._places}
