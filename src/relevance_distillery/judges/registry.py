"""Judges by name: what each must prepare before a run, and how one is made from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.embedded import EmbeddedJudge, EmbeddedSettings
from relevance_distillery.judges.grade_files import RecordedGrades
from relevance_distillery.judges.recorded import RecordedJudge

JUDGES = ("embedded", "recorded")
"""The judges that `judge=NAME` accepts."""


def check_judge(name: str) -> None:
    """Refuse an unknown judge.

    Raises:
        UserError: No judge has this name; the message lists those that exist.
    """
    if name not in JUDGES:
        raise UserError(f"There is no judge {name!r}: use one of {', '.join(JUDGES)}.")


def prepare_judge(
    name: str,
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    recorded: RecordedGrades,
    scale: GradeScale,
    embedded: EmbeddedSettings,
    *,
    language: str,
    seed: int,
) -> dict[str, Any]:
    """Whatever a judge needs to have before it grades, as plain JSON values.

    Args:
        name: One of `JUDGES`.
        passages: Schema `Passages`.
        queries: Schema `Queries`.
        recorded: Grades of the recorded judge, empty for the others.
        scale: The grades to give.
        embedded: Settings of the embedded judge.
        language: For stemming.
        seed: Of whatever is drawn at random.

    Raises:
        UserError: Unknown name, or the judge cannot work on this.
    """
    check_judge(name)
    if name == "recorded":
        return RecordedJudge(recorded, scale).to_state()
    judge = EmbeddedJudge.fit(passages, queries, scale, embedded, language=language, seed=seed)
    return judge.to_state()


def make_judge(name: str | None, state: Mapping[str, Any], scale: GradeScale) -> Judge:
    """A judge that is ready to grade.

    Args:
        name: One of `JUDGES`, or None for whichever judge the state belongs to.
        state: What `prepare_judge` returned (the `judge_state` dataset).
        scale: The grades to give; must be the scale that the state was prepared for.

    Raises:
        UserError: Unknown name, or a state that belongs to another judge or scale.
    """
    name = name or str(state.get("judge"))
    check_judge(name)
    if state.get("judge") != name:
        raise UserError(
            f"judge={name} was not prepared, the stored judge is {state.get('judge')!r}: "
            f'run `kedro run --pipeline=label --params="judge={name}"` first.'
        )
    if state.get("scale_hash") != scale.digest:
        raise UserError(
            f"judge={name} was prepared for another grade scale: "
            "run `kedro run --pipeline=label` again."
        )
    if name == "recorded":
        return RecordedJudge.from_state(state, scale)
    return EmbeddedJudge.from_state(state, scale)
