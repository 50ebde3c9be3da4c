"""Judges by name: prepared from settings and tables, or restored from a stored state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.kinds import KINDS, JudgeName, parse_judge
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.llm.prices import Budget

State = dict[str, Any]


class RegisteredJudge(Judge, ABC):
    """A judge that can be asked for by name: it prepares, stores and restores itself."""

    budget: Budget | None = None

    @classmethod
    @abstractmethod
    def prepare(
        cls, model: str, sources: JudgeSources, budget: Budget | None, ledger: Ledger | None
    ) -> Self:
        """Make the judge from settings, tables and files.

        Args:
            model: What follows the colon of its name, empty for the kind's default.
            sources: What it may be prepared from.
            budget: What it may spend together with others; its own when None.
            ledger: Where jobs of the Batch API are remembered.

        Raises:
            UserError: The judge cannot work on this.
        """

    @abstractmethod
    def to_state(self) -> State:
        """What `restore` needs, as plain JSON values.

        Returns:
            `judge` (its kind), `model`, `scale_hash` and what the kind needs; never a key or an
            address. `asked` or `name` is what followed the colon of its name.
        """

    @classmethod
    @abstractmethod
    def restore(
        cls,
        state: Mapping[str, Any],
        scale: GradeScale,
        budget: Budget | None,
        ledger: Ledger | None,
    ) -> Self:
        """The judge that wrote `state`.

        Raises:
            UserError: What the state refers to is gone or has changed.
        """


def judge_class(kind: str) -> type[RegisteredJudge]:
    """The class of a kind of judge; imports its module."""
    module, _, name = KINDS[kind].location.partition(":")
    found: type[RegisteredJudge] = getattr(
        import_module(f"relevance_distillery.judges.{module}"), name
    )
    return found


def prepare_judge(
    name: str,
    sources: JudgeSources,
    *,
    budget: Budget | None = None,
    ledger: Ledger | None = None,
) -> RegisteredJudge:
    """A judge that is ready to grade, made from settings, tables and files.

    Args:
        name: `KIND` or `KIND:MODEL`.
        sources: What it may be prepared from.
        budget: What it may spend together with others; its own when None.
        ledger: Where jobs of the Batch API are remembered.

    Raises:
        UserError: Unknown name, or the judge cannot work on this.
    """
    asked = parse_judge(name)
    return judge_class(asked.kind).prepare(asked.model, sources, budget, ledger)


def restore_judge(
    name: str | None,
    state: Mapping[str, Any],
    scale: GradeScale,
    *,
    budget: Budget | None = None,
    ledger: Ledger | None = None,
) -> RegisteredJudge:
    """A judge that is ready to grade, made from its stored state.

    Args:
        name: `KIND` or `KIND:MODEL`, or None for the judge that the state belongs to.
        state: From `to_state` (the `judge_state` dataset).
        scale: The grades to give; must be the scale that the state was prepared for.
        budget: As `prepare_judge`.
        ledger: As `prepare_judge`.

    Raises:
        UserError: Unknown name, or a state that belongs to another judge or scale.
    """
    asked = parse_judge(name or str(state.get("judge")))
    if not is_prepared(asked, state):
        raise UserError(
            f"judge={asked} was not prepared, the stored judge is {state_name(state)!r}: "
            f'run `kedro run --pipeline=label --params="judge={asked}"` first.'
        )
    if state.get("scale_hash") != scale.digest:
        raise UserError(
            f"judge={asked} was prepared for another grade scale: "
            "run `kedro run --pipeline=label` again."
        )
    return judge_class(asked.kind).restore(state, scale, budget, ledger)


def state_name(state: Mapping[str, Any]) -> str:
    """The name of the judge that a state belongs to."""
    model = next((state[key] for key in ("asked", "name") if state.get(key)), "")
    return str(JudgeName(str(state.get("judge")), str(model)))


def is_prepared(asked: JudgeName, state: Mapping[str, Any]) -> bool:
    """Whether a state is of the judge that is asked for; a kind alone takes any model."""
    if asked.kind != state.get("judge"):
        return False
    return not asked.model or str(asked) == state_name(state)
