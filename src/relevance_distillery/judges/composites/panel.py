"""What cascade and consensus share: judges that are made of judges, asked through the ledger."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import JUDGES, Judge, inner_judge
from relevance_distillery.judges.composites import answers as joint
from relevance_distillery.judges.composites.answers import Answers, Floats, InnerLabeling, Places
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


class Panel(RegisteredJudge):
    """A judge that is made of others, which answer into the ledger each under its own key.

    `model` are the judges' names, `prompt_hash` changes with anything that makes its grades, and
    `budget` is None: each judge has its own, or all share one.
    """

    name = ""
    model = ""
    prompt_hash = ""

    def __init__(self, judges: Sequence[RegisteredJudge], scale: GradeScale) -> None:
        """Take judges that are ready to grade."""
        self.scale = scale
        self.judges = tuple(judges)
        self.names = distinct_names(judges)

    @abstractmethod
    def decide(self, session: Session) -> tuple[Places, Floats, dict[str, Any]]:
        """Ask the judges and make one grade of their answers.

        Returns:
            Places on the scale, shape (pairs,), below 0 for a failure; probabilities, shape
            (pairs, grades); and facts for the labeling report, plain JSON values.
        """

    def label(self, pairs: Pairs, ledger: Ledger, **options: Any) -> Labeling:
        """Label pairs as `run_labeling` with these options does, every judge through the ledger.

        A label's tokens, cost and seconds are those of all judges that were asked about the
        pair. Of `from_ledger` it is known only that no new answer was needed.
        """
        start = time.monotonic()
        session = Session(self, pairs, ledger, options)
        places, probabilities, facts = self.decide(session)
        keys, parts, results = pairs.keys, session.parts, session.results
        fresh = sum(result.pairs - result.from_ledger for result in results)
        return Labeling(
            labels=joint.joint_labels(keys, parts, places, probabilities, self),
            failures=joint.joint_failures(keys, parts, places < 0, self),
            pairs=len(keys),
            from_ledger=max(0, len(keys) - fresh),
            requests=sum(result.requests for result in results),
            seconds=time.monotonic() - start,
            cost_usd=sum(result.cost_usd for result in results),
            judge_labels=joint.judge_labels(parts),
            difficulty=joint.difficulty(keys, parts, self.scale),
            facts=facts,
        )

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """One key a pair, over the keys of all judges."""
        inner = [judge.request_hashes(pairs) for judge in self.judges]
        return [joint.joint_hash([self.prompt_hash, *row]) for row in zip(*inner, strict=True)]


def prepare_inner(names: Sequence[str], outer: str, sources: JudgeSources) -> list[RegisteredJudge]:
    """The judges that a panel is made of; without a budget they share one with the LLM's cap."""
    inner = [inner_judge(name, outer) for name in names]
    has_grades = sources.recorded is not None and sources.recorded.locations is not None
    for name, judge in zip(names, inner, strict=True):
        # Checked before the first of them is prepared, which may take long.
        if judge.kind == "recorded" and not has_grades:
            raise UserError(
                f"judge={outer}: {name} is none of {', '.join(JUDGES)}; a recorded judge of that "
                'name needs its grades, --params="grades=FOLDER"'
            )
    cap = sources.settings.llm.max_cost_usd
    if sources.budget is None and cap is not None:
        sources = replace(sources, budget=Budget(cap))
    return [prepare_judge(str(judge), sources) for judge in inner]


def restore_inner(states: Sequence[State], sources: JudgeSources) -> list[RegisteredJudge]:
    """The judges that wrote `states`; without a budget they share one with the lowest cap."""
    caps = [(state.get("settings") or {}).get("max_cost_usd") for state in states]
    known = [float(cap) for cap in caps if cap is not None]
    budget = sources.budget or (Budget(min(known)) if known else None)
    return [
        restore_judge(None, state, sources.scale, budget=budget, ledger=sources.ledger)
        for state in states
    ]


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
        results: How its labeling went, likewise.
        waiting: Pairs that a judge could not be asked about, shape (pairs,).
    """

    def __init__(self, panel: Panel, pairs: Pairs, ledger: Ledger, options: dict[str, Any]) -> None:
        """Count what earlier runs paid; `options` are those of `run_labeling`.

        All judges' former costs are counted before the first is asked: with one cap for all, an
        early judge would otherwise spend again what a later one has spent.
        """
        self._panel, self._pairs, self._ledger, self._options = panel, pairs, ledger, options
        self.parts: list[InnerLabeling] = []
        self.results: list[Labeling] = []
        self.waiting = np.zeros(len(pairs), dtype=bool)
        for judge in panel.judges:
            if judge.budget is not None:
                shards = (dict.fromkeys(judge.request_hashes(shard)) for shard in pairs.shards())
                judge.budget.charge(ledger.spent_before(chain.from_iterable(shards)))

    def ask(self, number: int, wanted: np.ndarray | None = None) -> Answers:
        """Have a judge label all pairs, or those that are `wanted`, shape (pairs,)."""
        keys, scale = self._pairs.keys, self._panel.scale
        pairs = self._pairs if wanted is None else Subset(self._pairs, wanted)
        result = run_labeling(pairs, self._panel.judges[number], self._ledger, **self._options)
        labels = joint.numbered(result.labels, keys)
        failures = joint.numbered(result.failures, keys)
        answers = Answers.of_labels(labels, len(keys), scale)
        self.parts.append(InnerLabeling(self._panel.names[number], answers, labels, failures))
        self.results.append(result)
        self.waiting[failures.index[failures["status"].isin(joint.NOT_ASKED)]] = True
        return answers


class Subset(Pairs):
    """Some of the pairs of another table, joined when they are read."""

    def __init__(self, pairs: Pairs, chosen: np.ndarray) -> None:
        self._all = pairs
        self._places = np.flatnonzero(chosen)
        self.keys = pairs.keys.iloc[self._places].reset_index(drop=True)

    def _join(self, places: np.ndarray) -> pd.DataFrame:
        table = self._all._join(self._places[places])
        table.index = pd.Index(places)
        return table
