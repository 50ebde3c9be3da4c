"""Whoever grades a file: the registered champion, another version, or a judge by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.io.versions import newest_version
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.scoring.grading_job import Grader, JudgeGrader

CHAMPION = "champion"


@dataclass(frozen=True)
class AskedJudge:
    """A judge by name, to be made by whoever has the parameters.

    Attributes:
        name: `KIND` or `KIND:MODEL`.
        state: The newest stored state, of whichever judge; None where none was prepared.
        ledger: What its answers go through.
        scale: The grades to give.
    """

    name: str
    state: dict[str, Any] | None
    ledger: Ledger
    scale: GradeScale

    def as_prepared(self) -> Grader:
        """The judge as `kedro run --pipeline=label` prepared it.

        Raises:
            UserError: It was not prepared, or for another scale.
        """
        from relevance_distillery.judges.registry import restore_judge

        if self.state is None:
            raise UserError(
                f"judge={self.name}: it was not prepared yet; run kedro run --pipeline=label "
                f'--params="judge={self.name}"'
            )
        judge = restore_judge(self.name, self.state, self.scale, ledger=self.ledger)
        return JudgeGrader(judge, self.ledger)


class GraderDataset(AbstractDataset[None, Grader | AskedJudge]):
    """The grader that `judge=NAME` names, by default the registered champion.

    Example:
        ```yaml
        grader:
          type: relevance_distillery.datasets.grader.GraderDataset
          judge: ${runtime_params:judge, champion}
          registered_name: relevance-labeler
          judge_state: data/05_model_input/judge_state.json
          ledger: data/05_model_input/label_ledger.sqlite
        ```
    """

    def __init__(
        self,
        *,
        judge: str = CHAMPION,
        registered_name: str,
        judge_state: str,
        ledger: str,
        scale: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """See the example.

        Args:
            judge: `champion`, `challenger` or another alias, a version number, a labeler's
                folder, or a judge's name (`KIND` or `KIND:MODEL`).
            registered_name: Name of the labeler in the registry.
            judge_state: The versioned file that prepared judges are read from.
            ledger: The label ledger's file, which a judge's answers go through.
            scale: The judge's grade scale; the default scale when None.
            metadata: For plugins, not read here.
        """
        self._judge, self._name = str(judge), registered_name
        self._state, self._ledger = Path(judge_state), Path(ledger)
        self._scale = DEFAULT_SCALE if not scale else GradeScale.model_validate(scale)
        self.metadata = metadata

    def load(self) -> Grader | AskedJudge:
        """The labeler, ready, or the judge that is asked for.

        Raises:
            UserError: No such labeler or judge.
        """
        from relevance_distillery.judges.kinds import JUDGES, parse_judge
        from relevance_distillery.labeler import flavor
        from relevance_distillery.labeler.inference import Labeler

        judge = self._judge
        if (Path(judge).expanduser() / "labeler.json").is_file():
            return Labeler.load(Path(judge).expanduser())
        if judge.partition(":")[0] in JUDGES:
            name = str(parse_judge(judge))
            return AskedJudge(name, self._read_state(), Ledger(self._ledger), self._scale)
        is_alias = flavor.get_alias(self._name, judge) is not None
        if judge.isdigit() or judge == CHAMPION or is_alias:
            return Labeler.load(flavor.load_registered(self._name, judge))
        raise UserError(
            f"judge={judge}: neither a judge ({', '.join(JUDGES)}, or KIND:MODEL) nor an alias or "
            f"version of {self._name} nor a labeler's folder"
        )

    def save(self, data: None) -> None:
        """Graders are registered by `kedro run`, never saved here."""
        raise UserError("the grader is read only")

    def _read_state(self) -> dict[str, Any] | None:
        newest = newest_version(self._state)
        if not newest.is_file():
            return None
        state: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
        return state

    def _exists(self) -> bool:
        # What is missing is said better on loading.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"judge": self._judge, "registered_name": self._name}
