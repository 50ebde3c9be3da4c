"""Judges by name: prepared from settings and tables, or restored from a stored state."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import pandas as pd

from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import KINDS, Judge, JudgeName, parse_judge
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.pair_prompt import (
    PairPrompt,
    read_examples,
    refuse_benchmark,
)
from relevance_distillery.judges.settings import JudgeSettings
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.prompts import Prompt

State = dict[str, Any]


@dataclass(frozen=True)
class JudgeSources:
    """What judges are prepared from; each kind takes the few things that it needs.

    Attributes:
        passages, queries: Schemas `Passages` and `Queries`; None where there are none, as when
            a file of pairs is graded.
        recorded: Grades of the recorded judge that is configured.
        benchmark_queries: Texts of the benchmark's queries, which no few-shot example may ask.
        budget: What the judge may spend together with others; its own when None.
        ledger: Where jobs of the Batch API are remembered.
    """

    scale: GradeScale
    settings: JudgeSettings = field(default_factory=JudgeSettings)
    passages: pd.DataFrame | None = None
    queries: pd.DataFrame | None = None
    recorded: RecordedGrades | None = None
    prompt: Prompt | None = None
    benchmark_queries: Sequence[str] = ()
    budget: Budget | None = None
    ledger: Ledger | None = None

    def pair_prompt(self, *, redact: str | None = None) -> PairPrompt:
        """The grading prompt with scale, examples and redaction; UserError if one is wrong."""
        assert self.prompt is not None, "judges that read instructions need the grading prompt"
        examples = []
        if self.settings.llm.examples:
            examples = read_examples(Path(self.settings.llm.examples).expanduser(), self.scale)
            refuse_benchmark(examples, self.benchmark_queries, self.settings.language)
        return PairPrompt(self.prompt, self.scale, examples, redact)


class RegisteredJudge(Judge, ABC):
    """A judge that can be asked for by name: it prepares, stores and restores itself."""

    budget: Budget | None = None

    @classmethod
    @abstractmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Make the judge from settings, tables and files; UserError if it cannot work on them.

        `model` is what follows the colon of its name, empty for the kind's default.
        """

    @abstractmethod
    def to_state(self) -> State:
        """What `restore` needs, as plain JSON values; never a key or an address.

        `judge` (its kind), `model`, `scale_hash` and what the kind needs; `asked` or `name` is
        what followed the colon of its name.
        """

    @classmethod
    @abstractmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`; of `sources` it takes scale, budget and ledger.

        UserError where what the state refers to is gone or has changed.
        """


def judge_class(kind: str, several_prompts: bool = False) -> type[RegisteredJudge]:
    """The class of a kind of judge; imports its module."""
    found = KINDS[kind]
    location = found.several_prompts if several_prompts else found.location
    module, _, name = location.partition(":")
    return getattr(import_module(f"relevance_distillery.judges.{module}"), name)


def prepare_judge(name: str, sources: JudgeSources) -> RegisteredJudge:
    """The judge `KIND` or `KIND:MODEL`, ready to grade; UserError as of its `prepare`."""
    asked = parse_judge(name)
    several = KINDS[asked.kind].several_prompts and sources.settings.llm.prompts > 1
    return judge_class(asked.kind, bool(several)).prepare(asked.model, sources)


def restore_judge(
    name: str | None,
    state: State,
    scale: GradeScale,
    *,
    budget: Budget | None = None,
    ledger: Ledger | None = None,
) -> RegisteredJudge:
    """A judge that is ready to grade, made from its stored state (the `judge_state` dataset).

    `name` is `KIND` or `KIND:MODEL`, or None for the judge that the state belongs to; budget and
    ledger are as in `JudgeSources`. UserError for an unknown name, or a state that belongs to
    another judge or scale.
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
    sources = JudgeSources(scale, budget=budget, ledger=ledger)
    return judge_class(asked.kind, "prompts" in state).restore(state, sources)


def state_name(state: State) -> str:
    """The name of the judge that a state belongs to."""
    model = state.get("asked") or state.get("name") or ""
    return str(JudgeName(str(state.get("judge")), str(model)))


def is_prepared(asked: JudgeName, state: State) -> bool:
    """Whether a state is of the judge that is asked for; a kind alone takes any model."""
    same_kind = asked.kind == state.get("judge")
    return same_kind and (not asked.model or str(asked) == state_name(state))
