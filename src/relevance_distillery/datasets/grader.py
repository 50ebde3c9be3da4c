"""Whoever grades a file: the registered champion, another version, or a judge by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.labeler.grading_job import Grader, JudgeGrader

CHAMPION = "champion"


class GraderDataset(AbstractDataset[None, Grader]):
    """The grader that `judge=NAME` names, by default the registered champion.

    Example:
        ```yaml
        grader:
          type: relevance_distillery.datasets.grader.GraderDataset
          judge: ${runtime_params:judge, champion}
          registered_name: relevance-labeler
          judge_state: data/05_model_input/judge_state.json
        ```
    """

    def __init__(
        self,
        *,
        judge: str = CHAMPION,
        registered_name: str,
        judge_state: str,
        scale: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """See the example.

        Args:
            judge: `champion`, `challenger` or another alias, a version number, a labeler's
                folder, or a judge's name.
            registered_name: Name of the labeler in the registry.
            judge_state: The versioned file that prepared judges are read from.
            scale: The judge's grade scale; the default scale when None.
            metadata: For plugins, not read here.
        """
        self._judge, self._name = str(judge), registered_name
        self._state = Path(judge_state)
        self._scale = DEFAULT_SCALE if not scale else GradeScale.model_validate(scale)
        self.metadata = metadata

    def load(self) -> Grader:
        """The grader, ready.

        Raises:
            UserError: No such labeler or judge, or the judge was not prepared yet.
        """
        from relevance_distillery.judges.registry import JUDGES, make_judge
        from relevance_distillery.labeler import flavor
        from relevance_distillery.labeler.inference import Labeler

        judge = self._judge
        if (Path(judge).expanduser() / "labeler.json").is_file():
            return Labeler.load(Path(judge).expanduser())
        if judge in JUDGES:
            return JudgeGrader(make_judge(judge, self._read_state(), self._scale))
        is_alias = flavor.get_alias(self._name, judge) is not None
        if judge.isdigit() or judge == CHAMPION or is_alias:
            return Labeler.load(flavor.load_registered(self._name, judge))
        raise UserError(
            f"judge={judge}: neither a judge ({', '.join(JUDGES)}) nor an alias or version of "
            f"{self._name} nor a labeler's folder"
        )

    def save(self, data: None) -> None:
        """Graders are registered by `kedro run`, never saved here."""
        raise UserError("the grader is read only")

    def _read_state(self) -> dict[str, Any]:
        versions = sorted(self._state.glob(f"*/{self._state.name}"), reverse=True)
        if not versions:
            raise UserError(
                f"judge={self._judge}: it was not prepared yet; run kedro run --pipeline=label"
            )
        state: dict[str, Any] = json.loads(versions[0].read_text(encoding="utf-8"))
        return state

    def _exists(self) -> bool:
        # What is missing is said better on loading.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"judge": self._judge, "registered_name": self._name}
