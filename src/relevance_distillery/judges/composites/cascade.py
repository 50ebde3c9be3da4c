"""The cascade as a judge: cheap judges first, the expensive one at low confidence.

The annotation cascade of arXiv 2606.25871: a pair leaves at the first judge whose calibrated
confidence passes its threshold, and what remains goes to a majority vote.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import json_digest
from relevance_distillery.io.files import newest_version
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites.answers import Answers, Floats, Mask, Places, majority
from relevance_distillery.judges.composites.calibration import Calibrator, calibrator_from_state
from relevance_distillery.judges.composites.panel import (
    Panel,
    Session,
    prepare_inner,
    restore_inner,
)
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State

FORMAT = 1
NO_EXIT = -1  # in `Decisions.exits`: no judge gave a grade
NEVER = math.inf  # a threshold that no pair passes
EDGE = 1e-9  # confidence counts as equal to a threshold when it is this little below
Decision = Literal["own", "posterior"]


@dataclass(frozen=True)
class Identity:
    """Whose answers a stage was calibrated on; `judge` is the name by which it was asked for."""

    judge: str
    name: str
    model: str
    prompt_hash: str

    @classmethod
    def of(cls, asked: str, judge: Judge) -> Self:
        """Of a judge that is ready to grade."""
        return cls(asked, judge.name, judge.model, judge.prompt_hash)


@dataclass(frozen=True)
class Stage:
    """One judge of a cascade; a pair leaves from the confidence `threshold` on, infinite for never.

    By `decision` it takes the judge's `own` grade, or the most probable one by the calibrator
    (`posterior`).
    """

    identity: Identity
    calibrator: Calibrator
    threshold: float
    decision: Decision


@dataclass(frozen=True)
class Decisions:
    """What became of some pairs.

    Attributes:
        exits: Number of the stage at which each pair left; the number of stages for a vote;
            `NO_EXIT` where no judge gave a grade.
        places: The grade's place on the scale, -1 for none.
        posterior: Calibrated probabilities at the exit, shape (pairs, grades); nan where none.
    """

    exits: Places
    places: Places
    posterior: Floats

    def asked(self, stages: int) -> Mask:
        """Which judges saw which pairs, shape (stages, pairs)."""
        last = np.where(self.exits == NO_EXIT, stages, self.exits)
        return np.asarray(np.arange(stages)[:, None] <= last[None, :])


@dataclass(frozen=True)
class CascadeFit:
    """Everything about a cascade but its judges; `size` is how many grades the scale has."""

    stages: tuple[Stage, ...]
    size: int
    scale_hash: str

    def decide(
        self, pairs: int, ask: Callable[[int, Mask], tuple[Answers, Mask | None]]
    ) -> Decisions:
        """Send so many pairs through the cascade.

        `ask` is given a stage's number and a mask of the pairs that reach it, and returns its
        answers, for all pairs, and a mask of those that have to wait for it and get no grade.
        """
        exits = np.full(pairs, NO_EXIT, dtype=np.int64)
        places = np.full(pairs, -1, dtype=np.int64)
        posterior = np.full((pairs, self.size), np.nan)
        inside = np.ones(pairs, dtype=bool)
        answers: list[Answers] = []
        for number, stage in enumerate(self.stages):
            answer, waiting = ask(number, inside)
            if waiting is not None:
                inside &= ~waiting
            answers.append(answer)
            chances = stage.calibrator.posterior(answers)
            known = inside & np.isfinite(chances).all(axis=1)
            posterior[known] = chances[known]
            graded, confidence = grade_and_confidence(chances, stage.decision, answer)
            leaves = inside & (confidence >= stage.threshold - EDGE)
            exits[leaves], places[leaves] = number, graded[leaves]
            inside &= ~leaves
        voted = majority(answers, self.size)
        counted = inside & (voted >= 0)
        exits[counted], places[counted] = len(self.stages), voted[counted]
        return Decisions(exits, places, posterior)

    def replay(self, answers: Sequence[Answers]) -> Decisions:
        """Send pairs through the cascade whose answers by all judges are known."""
        return self.decide(len(answers[0]), lambda stage, inside: (answers[stage], None))

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with judges, calibrators or thresholds."""
        return json_digest(self.to_state(), 8)

    def with_thresholds(self, thresholds: Sequence[float], decisions: Sequence[Decision]) -> Self:
        """The same judges and calibrators with other thresholds and decisions."""
        stages = tuple(
            replace(stage, threshold=threshold, decision=decision)
            for stage, threshold, decision in zip(self.stages, thresholds, decisions, strict=True)
        )
        return replace(self, stages=stages)

    def to_state(self) -> dict[str, Any]:
        """Plain JSON values; `null` for a threshold that no pair passes."""
        return {
            "format": FORMAT,
            "scale_hash": self.scale_hash,
            "size": self.size,
            "stages": [
                {
                    **asdict(stage.identity),
                    "threshold": None if math.isinf(stage.threshold) else stage.threshold,
                    "decision": stage.decision,
                    "calibrator": stage.calibrator.to_state(),
                }
                for stage in self.stages
            ],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The cascade that wrote `state`; UserError where that is of another format."""
        if state.get("format") != FORMAT:
            raise UserError(
                f"the stored cascade has format {state.get('format')!r} and this release knows "
                f"{FORMAT}: run `kedro run --pipeline=cascade` again"
            )
        stages = tuple(
            Stage(
                Identity(row["judge"], row["name"], row["model"], row["prompt_hash"]),
                calibrator_from_state(row["calibrator"]),
                NEVER if row["threshold"] is None else row["threshold"],
                row["decision"],
            )
            for row in state["stages"]
        )
        return cls(stages, state["size"], state["scale_hash"])


def grade_and_confidence(
    posterior: Floats, decision: Decision, answer: Answers
) -> tuple[Places, Floats]:
    """The grade that a pair would leave with, and the probability of that grade.

    `posterior` is from the judge's calibrator, shape (pairs, grades); nan where not known.

    Returns:
        Places, shape (pairs,), -1 where the judge gave none; confidence, shape (pairs,), -1
        where there is none.
    """
    known = np.isfinite(posterior).all(axis=1) & answer.given
    filled = np.where(known[:, None], posterior, 0.0)
    best = filled.argmax(axis=1)
    # An answer without probabilities, by a judge that gives them, has no confidence.
    places = np.where(known & (decision == "posterior"), best, answer.places)
    confidence = np.where(known, filled[np.arange(len(filled)), np.maximum(places, 0)], -1.0)
    return places, confidence


def read_fitted(location: str | None) -> CascadeFit:
    """The cascade that the pipeline `cascade` wrote; of a versioned file the newest.

    UserError where there is none, or it cannot be read.
    """
    path = newest_version(Path(str(location or "")).expanduser())
    if not location or not path.is_file():
        raise UserError(
            f"judge=cascade: no fitted cascade at {location}: run `kedro run --pipeline=cascade` "
            'first, or name one with --params="cascade=FILE"'
        )
    try:
        return CascadeFit.from_state(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"judge=cascade: {path} is no fitted cascade ({type(error).__name__}): "
            "run `kedro run --pipeline=cascade` again"
        ) from error


class CascadeJudge(Panel):
    """Asks its judges in turn.

    A pair leaves at the first judge whose calibrated confidence passes the threshold. Where a
    judge fails, the next one is asked; where it could not be asked at all, its budget being
    spent or its batch pending, the pair fails with that reason and waits: a more expensive judge
    would not help.
    """

    name = "cascade"

    def __init__(
        self, fit: CascadeFit, judges: Sequence[RegisteredJudge], scale: GradeScale
    ) -> None:
        """UserError where the cascade was fitted on another scale, or on other judges."""
        if fit.scale_hash != scale.digest:
            raise UserError(
                "the cascade was fitted for another grade scale: "
                "run `kedro run --pipeline=cascade` again"
            )
        for stage, judge in zip(fit.stages, judges, strict=True):
            # A calibrator was fitted to one judge's answers and fits no other's.
            if Identity.of(stage.identity.judge, judge) != stage.identity:
                raise UserError(
                    f"the cascade was fitted on another {stage.identity.name} than the one at "
                    "hand (its model, prompt or settings changed): "
                    "run `kedro run --pipeline=cascade` again"
                )
        super().__init__(judges, scale)
        self.fit = fit
        self.model = " > ".join(self.names)
        self.prompt_hash = fit.digest

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Read the fitted cascade and prepare its judges."""
        fit = read_fitted(sources.settings.cascade.fitted)
        names = [stage.identity.judge for stage in fit.stages]
        return cls(fit, prepare_inner(names, cls.name, sources), sources.scale)

    def to_state(self) -> State:
        """The fit, and the states of the judges."""
        return {
            "judge": self.name,
            "model": " > ".join(stage.identity.name for stage in self.fit.stages),
            "scale_hash": self.fit.scale_hash,
            "fit": self.fit.to_state(),
            "stages": [judge.to_state() for judge in self.judges],
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The cascade that wrote `state`."""
        judges = restore_inner(state["stages"], sources)
        return cls(CascadeFit.from_state(state["fit"]), judges, sources.scale)

    def decide(self, session: Session) -> tuple[Places, Floats, dict[str, Any]]:
        """Ask the judges in turn; probabilities are the calibrated ones at a pair's exit."""
        asked = []

        def ask(stage: int, inside: Mask) -> tuple[Answers, Mask]:
            asked.append(int(inside.sum()))
            return session.ask(stage, inside), session.waiting

        decided = self.fit.decide(len(session.waiting), ask)
        stages: list[dict[str, Any]] = [
            {
                "judge": part.name,
                "asked": asked[number],
                "left": int((decided.exits == number).sum()),
                "failed": len(part.failures),
                "cost_usd": float(part.labels["cost_usd"].sum()),
            }
            for number, part in enumerate(session.parts)
        ]
        vote = int((decided.exits == len(session.parts)).sum())
        stages.append({"judge": "vote", "asked": vote, "left": vote, "failed": 0, "cost_usd": 0.0})
        return decided.places, decided.posterior, {"stages": stages}
