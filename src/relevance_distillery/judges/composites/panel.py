"""What cascade and consensus share: judges that are made of judges, asked through the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import JUDGES, Judge, Verdict, inner_judge
from relevance_distillery.judges.composites.answers import (
    InnerLabeling,
    difficulty,
    joint_failures,
    joint_hash,
    joint_labels,
    judge_labels,
)
from relevance_distillery.judges.labeling import Labeling, run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import (
    JudgeSources,
    RegisteredJudge,
    State,
    prepare_judge,
    restore_judge,
)
from relevance_distillery.llm.prices import Budget
from relevance_distillery.schemas import Difficulty, JudgeLabels, empty


@dataclass(frozen=True)
class CompositeLabeling(Labeling):
    """What became of pairs, with what every judge said about them.

    Attributes:
        judge_labels: Schema `JudgeLabels`: the answers of all judges side by side.
        difficulty: Schema `Difficulty`: how far the judges disagree.
        facts: For the labeling report, plain JSON values.
    """

    judge_labels: pd.DataFrame
    difficulty: pd.DataFrame
    facts: dict[str, Any]


def side_by_side(result: Labeling) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """What a labeling knows of several judges.

    Returns:
        Answers of all judges (schema `JudgeLabels`), their disagreement (schema `Difficulty`),
        both without rows for a judge that is not made of others, and facts for the report.
    """
    if isinstance(result, CompositeLabeling):
        return result.judge_labels, result.difficulty, result.facts
    return empty(JudgeLabels), empty(Difficulty), {}


class Panel(RegisteredJudge):
    """A judge that is made of others; `label` is what the two kinds differ in.

    `model` are the judges' names, `prompt_hash` changes with anything that makes its grades, and
    `budget` is None: each judge has its own, or all share one.
    """

    name = ""
    model = ""
    prompt_hash = ""

    def __init__(self, judges: Sequence[Judge], scale: GradeScale) -> None:
        """Take judges that are ready to grade."""
        self.scale = scale
        self.judges = tuple(judges)
        self.names = distinct_names(judges)

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """One key a pair, over the keys of all judges."""
        inner = [judge.request_hashes(pairs) for judge in self.judges]
        return [joint_hash([self.prompt_hash, *row]) for row in zip(*inner, strict=True)]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Not for a panel, whose judges answer into the ledger each under its own key.

        Raises:
            NotImplementedError: Always; `run_labeling` calls `label`.
        """
        raise NotImplementedError(f"a {self.name} labels through the ledger: use run_labeling")


def prepare_inner(names: Sequence[str], outer: str, sources: JudgeSources) -> list[RegisteredJudge]:
    """The judges that a panel is made of; without a budget they share one with the LLM's cap."""
    inner = [inner_judge(name, outer) for name in names]
    has_grades = sources.recorded is not None and sources.recorded.locations is not None
    for name, judge in zip(names, inner, strict=True):
        # Said before the first of them is prepared, which may take long.
        if judge.kind == "recorded" and not has_grades:
            raise UserError(
                f"judge={outer}: {name} is none of {', '.join(JUDGES)}; a recorded judge of that "
                'name needs its grades, --params="grades=FOLDER"'
            )
    cap = sources.settings.llm.max_cost_usd
    if sources.budget is None and cap is not None:
        sources = replace(sources, budget=Budget(cap))
    return [prepare_judge(str(judge), sources) for judge in inner]


def inner_states(judges: Sequence[Judge]) -> list[State]:
    """The states of the judges that a panel is made of."""
    return [cast(RegisteredJudge, judge).to_state() for judge in judges]


def restore_inner(
    states: Sequence[State], scale: GradeScale, budget: Budget | None, ledger: Ledger | None
) -> list[RegisteredJudge]:
    """The judges of `inner_states`; without a budget they share one with the lowest cap."""
    caps = [(state.get("settings") or {}).get("max_cost_usd") for state in states]
    known = [float(cap) for cap in caps if cap is not None]
    shared = budget or (Budget(min(known)) if known else None)
    return [restore_judge(None, state, scale, budget=shared, ledger=ledger) for state in states]


def distinct_names(judges: Sequence[Judge]) -> list[str]:
    """The judges' names, with their models where two of them have the same name."""
    names = [judge.name for judge in judges]
    if len(set(names)) == len(names):
        return names
    return [f"{judge.name}:{judge.model}" for judge in judges]


class Session:
    """One labeling of pairs by a panel.

    Attributes:
        parts: What each judge answered, in the order of asking.
        waiting: Pairs that a judge could not be asked about, shape (pairs,).
    """

    def __init__(
        self, panel: Panel, pairs: Pairs, ledger: Ledger, *, retry_failures: bool, max_attempts: int
    ) -> None:
        """Count what earlier runs paid.

        All judges' former costs are counted before the first is asked: with one cap for all, an
        early judge would otherwise spend again what a later one has spent.
        """
        self._panel, self._pairs, self._ledger = panel, pairs, ledger
        self._options: dict[str, Any] = {
            "retry_failures": retry_failures,
            "max_attempts": max_attempts,
        }
        self._start = time.monotonic()
        self._requests, self._fresh, self._cost_usd = 0, 0, 0.0
        self.parts: list[InnerLabeling] = []
        self.waiting = np.zeros(len(pairs), dtype=bool)
        for judge in panel.judges:
            if judge.budget is not None:
                hashes = (
                    key
                    for shard in pairs.shards()
                    for key in dict.fromkeys(judge.request_hashes(shard))
                )
                judge.budget.charge(ledger.spent_before(hashes))

    def ask(self, number: int, wanted: np.ndarray | None = None) -> InnerLabeling:
        """Have a judge label all pairs, or those that are `wanted`, shape (pairs,)."""
        panel = self._panel
        pairs = self._pairs if wanted is None else _Subset(self._pairs, wanted)
        result = run_labeling(pairs, panel.judges[number], self._ledger, **self._options)
        self._requests += result.requests
        self._fresh += result.pairs - result.from_ledger
        self._cost_usd += result.cost_usd
        part = InnerLabeling.of(
            panel.names[number], result.labels, result.failures, self._pairs.keys, panel.scale
        )
        self.parts.append(part)
        self.waiting[part.waits] = True
        return part

    def result(
        self, places: np.ndarray, probabilities: np.ndarray, facts: dict[str, Any]
    ) -> CompositeLabeling:
        """The panel's labels.

        Args:
            places: On the scale, shape (pairs,); below 0 for a failure.
            probabilities: Shape (pairs, grades).
            facts: For the labeling report.
        """
        keys, panel = self._pairs.keys, self._panel
        return CompositeLabeling(
            labels=joint_labels(keys, self.parts, places, probabilities, panel),
            failures=joint_failures(keys, self.parts, places < 0, panel),
            pairs=len(keys),
            from_ledger=max(0, len(keys) - self._fresh),
            requests=self._requests,
            seconds=time.monotonic() - self._start,
            cost_usd=self._cost_usd,
            judge_labels=judge_labels(self.parts),
            difficulty=difficulty(keys, self.parts, panel.scale),
            facts=facts,
        )


class _Subset(Pairs):
    """Some of the pairs of another table, joined when they are read."""

    def __init__(self, pairs: Pairs, chosen: np.ndarray) -> None:
        self._all = pairs
        self._places = np.flatnonzero(chosen)
        self.keys = pairs.keys.iloc[self._places].reset_index(drop=True)

    def _join(self, places: np.ndarray) -> pd.DataFrame:
        table = self._all._join(self._places[places])
        table.index = pd.Index(places)
        return table
