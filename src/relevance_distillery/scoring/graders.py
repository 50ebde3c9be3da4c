"""What grades a file of pairs: a registered labeler, or a judge whose answers are remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.io.files import read_stored_json

if TYPE_CHECKING:
    from relevance_distillery.judges.base import Judge
    from relevance_distillery.judges.ledger.ledger import Ledger
    from relevance_distillery.labeler.inference import Labeler

CHAMPION = "champion"
GRADE_COLUMNS = ("grade", "expected_grade", "confidence", "probabilities")


class Grader(Protocol):
    """A labeler, or a judge as `JudgeGrader`; its digest changes with whatever changes a grade."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    digest: str

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Columns grade, expected_grade, confidence, probabilities (and failure for judges)."""
        ...


class JudgeGrader:
    """A judge as a grader of files.

    Its answers go through the ledger, so that a scoring that was stopped pays for nothing
    twice, and neither does one that grades what was labelled before.
    """

    def __init__(self, judge: Judge, ledger: Ledger) -> None:
        self.judge, self._ledger = judge, ledger
        self._folder: TemporaryDirectory[str] | None = None
        self.name = judge.name
        self.digest = f"{judge.name}/{judge.model}/{judge.prompt_hash}/{judge.scale.digest}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without its ledger, which has one writer: a worker's own is thrown away."""
        return _ledgerless, (self.judge,)

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Grade pairs; see `Grader`. Ids that are missing are taken as empty.

        Raises:
            UserError: The ledger cannot be read or written, or another run uses it.
        """
        from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
        from relevance_distillery.judges.labeling import run_labeling

        asked = pairs.reindex(columns=list(PAIR_COLUMNS), fill_value="")
        # A file may hold a pair twice, or no ids at all: the row tells pairs apart.
        rows_as_ids = [str(row) for row in range(len(asked))]
        asked = asked.assign(is_seed=False, in_seed_document=False, passage_id=rows_as_ids)
        result = run_labeling(asked, self.judge, self._ledger, quiet=True)
        rows: list[tuple[Any, ...]] = [(None, None, None, None, "")] * len(asked)
        for label in result.labels.to_dict("records"):
            row = self._row(int(label["grade"]), label["probabilities"])
            rows[int(label["passage_id"])] = row
        for failed in result.failures.to_dict("records"):
            reason = f"{failed['status']}: {failed['reason']}"
            rows[int(failed["passage_id"])] = (None, None, None, None, reason)
        return pd.DataFrame(rows, index=pairs.index, columns=[*GRADE_COLUMNS, "failure"])

    def _row(self, grade: int, chances: np.ndarray | None) -> tuple[Any, ...]:
        if chances is None:
            return grade, float(grade), None, None, ""
        probabilities = np.round(chances, 6)
        scale = self.judge.scale
        place = int(scale.positions([grade])[0])
        expected = round(float(probabilities @ scale.values), 6)
        return grade, expected, float(probabilities[place]), probabilities.tolist(), ""


def _ledgerless(judge: Judge) -> JudgeGrader:
    from relevance_distillery.judges.ledger.ledger import Ledger

    folder = TemporaryDirectory()
    grader = JudgeGrader(judge, Ledger(Path(folder.name) / "ledger.sqlite"))
    grader._folder = folder  # which is removed with it
    return grader


@dataclass(frozen=True)
class NamedJudge:
    """A judge by name (`KIND` or `KIND:MODEL`), with what is needed to prepare it.

    Attributes:
        state: The newest stored state, of any judge; None where none was prepared.
    """

    name: str
    state: dict[str, Any] | None
    ledger: Ledger
    scale: GradeScale

    def as_prepared(self) -> Grader:
        """The judge as labeling prepared it; UserError where it was not, or for another scale."""
        from relevance_distillery.judges.registry import restore_judge

        if self.state is None:
            raise UserError(
                f"judge={self.name}: it was not prepared yet; run kedro run --pipeline=label "
                f'--params="judge={self.name}"'
            )
        judge = restore_judge(self.name, self.state, self.scale, ledger=self.ledger)
        return JudgeGrader(judge, self.ledger)


@dataclass(frozen=True)
class GraderShelf:
    """Every grader that `score` takes, made when it is asked for.

    Attributes:
        registered_name: Name of the labeler in the registry.
        judge_state: The versioned file that prepared judges are read from.
        ledger: The label ledger's file, which a judge's answers go through.
        scale: The judge's grade scale, as in globals; the default scale when None.
    """

    registered_name: str
    judge_state: str
    ledger: str
    scale: dict[str, Any] | None = None

    def find(self, name: str) -> Grader | NamedJudge:
        """A labeler that is ready, or a judge's name with what is needed to prepare it.

        Args:
            name: `champion`, `challenger` or another alias, a version number, a labeler's
                folder, or a judge's name (`KIND` or `KIND:MODEL`).

        Raises:
            UserError: No such labeler or judge.
        """
        from relevance_distillery.judges.base import JUDGES, parse_judge
        from relevance_distillery.labeler.inference import Labeler

        folder = Path(name).expanduser()
        if (folder / "labeler.json").is_file():
            return Labeler.load(folder)
        if name.partition(":")[0] in JUDGES:
            from relevance_distillery.judges.ledger.ledger import Ledger

            scale = DEFAULT_SCALE if not self.scale else GradeScale.model_validate(self.scale)
            state = read_stored_json(self.judge_state) or None
            return NamedJudge(str(parse_judge(name)), state, Ledger(Path(self.ledger)), scale)
        from relevance_distillery.labeler import flavor
        from relevance_distillery.model_registry import get_alias

        if name.isdigit() or name == CHAMPION or get_alias(self.registered_name, name):
            return Labeler.load(flavor.load_registered(self.registered_name, name))
        raise UserError(
            f"judge={name}: neither a judge ({', '.join(JUDGES)}, or KIND:MODEL) nor an alias or "
            f"version of {self.registered_name} nor a labeler's folder"
        )

    def find_labeler(self, name: str) -> tuple[Labeler, dict[str, str]]:
        """A labeler: `champion` or another alias, a version number or a folder.

        Returns:
            The labeler; and its `name` without the folders that lead to it, its registered
            `version` or "", and its `digest`.

        Raises:
            UserError: No such labeler, or a judge.
        """
        from relevance_distillery.labeler.inference import Labeler
        from relevance_distillery.model_registry import get_alias

        try:
            found = self.find(name)
        except UserError as error:
            # `find` knows graders as judges; this user typed labeler=.
            said = str(error).removeprefix(f"judge={name}: ")
            raise UserError(f"labeler={name}: {said}") from error
        if not isinstance(found, Labeler):
            raise UserError(
                f"labeler={name}: is a judge; give a labeler's alias, version number or folder"
            )
        folder, version = Path(name).expanduser(), ""
        if (folder / "labeler.json").is_file():
            name = folder.resolve().name
        else:
            version = name if name.isdigit() else get_alias(self.registered_name, name) or ""
        return found, {"name": name, "version": version, "digest": found.digest}


def called(source: Mapping[str, str]) -> str:
    """What `GraderShelf.find_labeler` found, as it reads in a sentence."""
    name = source["name"]
    return f"version {name}" if name.isdigit() else name


def find_grader(judge: str = CHAMPION, **shelf: Any) -> Grader | NamedJudge:
    """The grader that `judge=NAME` names; further arguments as of `GraderShelf`."""
    return GraderShelf(**shelf).find(str(judge))
