"""Several graders by name, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.datasets.grader import AskedJudge, GraderDataset
from relevance_distillery.scoring.grading_job import Grader


@dataclass(frozen=True)
class GraderShelf:
    """Graders that are loaded on demand.

    Attributes:
        find: From a name, as `--params="judge=NAME"` takes it, to a labeler that is ready, or
            to a judge that `pipelines.scoring.nodes.choose_grader` prepares.
    """

    find: Callable[[str], Grader | AskedJudge]


class GraderShelfDataset(AbstractDataset[None, GraderShelf]):
    """Every grader that `score` takes, by name.

    Example:
        ```yaml
        graders:
          type: relevance_distillery.datasets.grader_shelf.GraderShelfDataset
          registered_name: relevance-labeler
          judge_state: data/05_model_input/judge_state.json
          ledger: data/05_model_input/label_ledger.sqlite
        ```

        ```python
        GraderShelfDataset(registered_name="relevance-labeler", …).load().find("champion")
        ```
    """

    def __init__(self, *, metadata: dict[str, Any] | None = None, **options: Any) -> None:
        """Keep what a grader needs.

        Args:
            metadata: For plugins such as Kedro-Viz; not used here.
            options: As `GraderDataset` takes them, but for `judge`.
        """
        self._options = options
        self.metadata = metadata

    def load(self) -> GraderShelf:
        """The shelf; nothing is read yet."""
        return GraderShelf(lambda name: GraderDataset(judge=name, **self._options).load())

    def save(self, data: None) -> None:
        """Never: graders are trained or prepared.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("graders are read only")

    def _exists(self) -> bool:
        # What is missing is said better when a grader is asked for.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"registered_name": self._options.get("registered_name")}
