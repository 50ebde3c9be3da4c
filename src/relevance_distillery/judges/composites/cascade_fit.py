"""A fitted cascade: ordered judges, what each one's answer is worth, when a pair may leave.

The annotation cascade of arXiv 2606.25871: a pair leaves at the first judge whose calibrated
confidence passes its threshold, and what all doubt goes to a majority vote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites.confidence import Answers, Calibrator, Floats, Places
from relevance_distillery.judges.composites.grade_maps import calibrator_from_state

FORMAT = 1
NO_EXIT = -1
"""In `Decisions.exits`: no judge gave a grade."""

NEVER = math.inf
"""A threshold that nobody passes."""

Decision = Literal["own", "posterior"]
_EDGE = 1e-9


@dataclass(frozen=True)
class Identity:
    """Whose answers a stage was calibrated on.

    Attributes:
        judge: The name by which the judge was asked for.
        name, model, prompt_hash: Of the judge itself.
    """

    judge: str
    name: str
    model: str
    prompt_hash: str

    @classmethod
    def of(cls, asked: str, judge: Judge) -> Identity:
        """The identity of a judge that is ready to grade."""
        return cls(asked, judge.name, judge.model, judge.prompt_hash)


@dataclass(frozen=True)
class Stage:
    """One judge of a cascade.

    Attributes:
        identity: Which judge.
        calibrator: What its answers are worth.
        threshold: Confidence from which a pair leaves; infinite where none ever does.
        decision: Whether a pair that leaves takes the judge's `own` grade, or the most probable
            one by the calibrator (`posterior`).
    """

    identity: Identity
    calibrator: Calibrator
    threshold: float
    decision: Decision


@dataclass(frozen=True)
class Reading:
    """A stage's view of some pairs: all of shape (pairs,) but `posterior`.

    Attributes:
        posterior: Probability of every grade, shape (pairs, grades); nan where not known.
        places: The grade that a pair would leave with; -1 where the judge gave none.
        confidence: Probability of that grade; -1 where there is none.
        leaves: Whether the confidence passes the threshold.
    """

    posterior: Floats
    places: Places
    confidence: Floats
    leaves: NDArray[np.bool_]


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

    def asked(self, stages: int) -> NDArray[np.bool_]:
        """Which judges saw which pairs, shape (stages, pairs)."""
        last = np.where(self.exits == NO_EXIT, stages, self.exits)
        return np.arange(stages)[:, None] <= last[None, :]


@dataclass(frozen=True)
class CascadeFit:
    """Everything about a cascade but its judges.

    Attributes:
        stages: The judges in order.
        size: How many grades the scale has.
        scale_hash: Digest of the scale.
    """

    stages: tuple[Stage, ...]
    size: int
    scale_hash: str

    def read(self, stage: int, answers: Sequence[Answers]) -> Reading:
        """What a stage makes of the answers up to its own.

        Args:
            stage: Number of the stage.
            answers: Of the stages 0 to `stage`, for the same pairs.
        """
        own = self.stages[stage]
        return read_stage(own.calibrator, own.decision, own.threshold, answers)

    def vote(self, answers: Sequence[Answers]) -> Places:
        """Majority of all judges; among equals the grade of the latest judge that gave one."""
        return majority(answers, self.size)

    def decide(self, answers: Sequence[Answers]) -> Decisions:
        """Send pairs through the cascade whose answers by all judges are known."""
        pairs = len(answers[0])
        exits = np.full(pairs, NO_EXIT, dtype=np.int64)
        places = np.full(pairs, -1, dtype=np.int64)
        posterior = np.full((pairs, self.size), np.nan)
        inside = np.ones(pairs, dtype=bool)
        for number in range(len(self.stages)):
            reading = self.read(number, answers[: number + 1])
            known = inside & np.isfinite(reading.posterior).all(axis=1)
            posterior[known] = reading.posterior[known]
            leaves = inside & reading.leaves
            exits[leaves], places[leaves] = number, reading.places[leaves]
            inside &= ~leaves
        voted = self.vote(answers)
        counted = inside & (voted >= 0)
        exits[counted], places[counted] = len(self.stages), voted[counted]
        return Decisions(exits, places, posterior)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with judges, calibrators or thresholds."""
        return json_digest(self.to_state(), 8)

    def with_thresholds(
        self, thresholds: Sequence[float], decisions: Sequence[Decision]
    ) -> CascadeFit:
        """The same judges and calibrators with other thresholds and decisions."""
        stages = tuple(
            Stage(stage.identity, stage.calibrator, threshold, decision)
            for stage, threshold, decision in zip(self.stages, thresholds, decisions, strict=True)
        )
        return CascadeFit(stages, self.size, self.scale_hash)

    def to_state(self) -> dict[str, Any]:
        """Plain JSON values; `null` for a threshold that nobody passes."""
        return {
            "format": FORMAT,
            "scale_hash": self.scale_hash,
            "size": self.size,
            "stages": [
                {
                    "judge": stage.identity.judge,
                    "name": stage.identity.name,
                    "model": stage.identity.model,
                    "prompt_hash": stage.identity.prompt_hash,
                    "threshold": None if math.isinf(stage.threshold) else stage.threshold,
                    "decision": stage.decision,
                    "calibrator": stage.calibrator.to_state(),
                }
                for stage in self.stages
            ],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CascadeFit:
        """The cascade that wrote `state`.

        Raises:
            UserError: The state is of another format.
        """
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


def read_stage(
    calibrator: Calibrator, decision: Decision, threshold: float, answers: Sequence[Answers]
) -> Reading:
    """See `CascadeFit.read`."""
    return read_posterior(calibrator.posterior(answers), decision, threshold, answers[-1])


def read_posterior(
    posterior: Floats, decision: Decision, threshold: float, answer: Answers
) -> Reading:
    """From probabilities to a grade, the confidence in it, and whether the pair may leave."""
    known = np.isfinite(posterior).all(axis=1) & answer.given
    filled = np.where(known[:, None], posterior, 0.0)
    best = filled.argmax(axis=1) if decision == "posterior" else np.maximum(answer.places, 0)
    places = np.where(answer.given, best, -1).astype(np.int64)
    # An answer without probabilities, by a judge that gives them, is never sure of itself.
    places = np.where(known | (decision == "own"), places, answer.places)
    confidence = np.where(known, filled[np.arange(len(filled)), np.maximum(places, 0)], -1.0)
    return Reading(posterior, places, confidence, confidence >= threshold - _EDGE)


def majority(answers: Sequence[Answers], size: int) -> Places:
    """The grade that most judges gave; among equals that of the latest judge that gave one.

    Returns:
        Places, shape (pairs,); -1 where no judge gave a grade.
    """
    grades = np.arange(size)
    votes = sum((answer.places[:, None] == grades[None, :]).astype(np.int64) for answer in answers)
    votes = np.asarray(votes)
    leading = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    found = np.full(len(votes), -1, dtype=np.int64)
    for answer in answers:
        place = np.maximum(answer.places, 0)
        counts = answer.given & leading[np.arange(len(votes)), place]
        found = np.where(counts, place, found)
    return found
