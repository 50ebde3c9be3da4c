"""The cascade as a judge: cheap judges first, the dear one for what they doubt."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge, Verdict
from relevance_distillery.judges.composites.cascade_fit import NO_EXIT, CascadeFit, Identity
from relevance_distillery.judges.composites.composite import (
    Answered,
    CompositeLabeling,
    Subset,
    difficulty,
    distinct_names,
    joint_failures,
    joint_hash,
    joint_labels,
    judge_labels,
)
from relevance_distillery.judges.labeling import MAX_ATTEMPTS, run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.pairs import Pairs


class CascadeJudge:
    """Asks its judges in turn; see `cascade_fit`.

    A pair leaves at the first judge whose calibrated confidence passes the threshold. Where a
    judge fails, the next one is asked; where it could not be asked at all, its budget being
    spent or its batch pending, the pair fails with that reason and waits, since a dearer judge
    is no remedy for that.

    Attributes:
        name: `cascade`.
        model: The judges' names, in order.
        prompt_hash: Changes with judges, calibrators, thresholds or the judges' own prompts.
        scale: The grades it gives.
        budget: None: each judge has its own.
        fit: Calibrators and thresholds.
    """

    name = "cascade"
    budget = None

    def __init__(self, fit: CascadeFit, judges: Sequence[Judge], scale: GradeScale) -> None:
        """Take judges that are ready to grade, in the order of the stages.

        Raises:
            UserError: The cascade was fitted on another scale, or on other judges.
        """
        if fit.scale_hash != scale.digest:
            raise UserError(
                "the cascade was fitted for another grade scale: "
                "run `kedro run --pipeline=cascade` again"
            )
        for stage, judge in zip(fit.stages, judges, strict=True):
            _check_same(stage.identity, judge)
        self.fit, self.scale = fit, scale
        self._judges = tuple(judges)
        self._names = distinct_names(judges)
        self.model = " > ".join(self._names)
        self.prompt_hash = fit.digest

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """One key a pair, over the keys of all judges."""
        inner = [judge.request_hashes(pairs) for judge in self._judges]
        return [joint_hash([self.prompt_hash, *row]) for row in zip(*inner, strict=True)]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Not for a cascade, whose judges answer into the ledger each under its own key.

        Raises:
            NotImplementedError: Always; `run_labeling` calls `label`.
        """
        raise NotImplementedError("a cascade labels through the ledger: use run_labeling")

    def label(
        self,
        pairs: Pairs,
        ledger: Ledger,
        *,
        retry_failures: bool = False,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> CompositeLabeling:
        """Label pairs, every judge through the ledger.

        Returns:
            As `run_labeling`. A label's probabilities are the calibrated ones at its exit, its
            tokens, cost and seconds those of all judges that were asked about the pair. Of
            `from_ledger` it is known only that no new answer was needed.
        """
        start = time.monotonic()
        keys, stages = pairs.keys, len(self._judges)
        exits = np.full(len(keys), NO_EXIT, dtype=np.int64)
        places = np.full(len(keys), -1, dtype=np.int64)
        posterior = np.full((len(keys), self.scale.size), np.nan)
        inside = np.ones(len(keys), dtype=bool)
        waiting = np.zeros(len(keys), dtype=bool)
        parts: list[Answered] = []
        asked, requests, fresh, cost = [], 0, 0, 0.0
        for number, judge in enumerate(self._judges):
            asked.append(int(inside.sum()))
            result = run_labeling(
                Subset(pairs, inside),
                judge,
                ledger,
                retry_failures=retry_failures,
                max_attempts=max_attempts,
            )
            requests += result.requests
            fresh += result.pairs - result.from_ledger
            cost += result.cost_usd
            parts.append(
                Answered.of(self._names[number], result.labels, result.failures, keys, self.scale)
            )
            waiting[parts[-1].waits] = True
            inside &= ~waiting
            reading = self.fit.read(number, [part.answers for part in parts])
            known = inside & np.isfinite(reading.posterior).all(axis=1)
            posterior[known] = reading.posterior[known]
            leaves = inside & reading.leaves
            exits[leaves], places[leaves] = number, reading.places[leaves]
            inside &= ~leaves
        voted = self.fit.vote([part.answers for part in parts])
        counted = inside & (voted >= 0)
        exits[counted], places[counted] = stages, voted[counted]
        table = joint_labels(keys, parts, places, posterior, self)
        return CompositeLabeling(
            labels=table,
            failures=joint_failures(keys, parts, places < 0, self),
            pairs=len(keys),
            from_ledger=max(0, len(keys) - fresh),
            requests=requests,
            seconds=time.monotonic() - start,
            cost_usd=cost,
            judge_labels=judge_labels(parts),
            difficulty=difficulty(keys, parts, self.scale),
            facts={"stages": self._facts(exits, asked, parts)},
        )

    def _facts(
        self, exits: np.ndarray, asked: Sequence[int], parts: Sequence[Answered]
    ) -> list[dict[str, Any]]:
        """Pairs asked and left, failures and cost of every stage, and the vote's pairs."""
        rows: list[dict[str, Any]] = [
            {
                "judge": part.name,
                "asked": asked[number],
                "left": int((exits == number).sum()),
                "failed": len(part.failures),
                "cost_usd": float(part.labels["cost_usd"].sum()),
            }
            for number, part in enumerate(parts)
        ]
        vote = int((exits == len(parts)).sum())
        return [
            *rows,
            {"judge": "vote", "asked": vote, "left": vote, "failed": 0, "cost_usd": 0.0},
        ]


def _check_same(identity: Identity, judge: Judge) -> None:
    """A calibrator says what one judge's answers are worth, and nothing about another's."""
    now = (judge.name, judge.model, judge.prompt_hash)
    if now != (identity.name, identity.model, identity.prompt_hash):
        raise UserError(
            f"the cascade was fitted on another {identity.name} than the one at hand (its model, "
            "prompt or settings changed): run `kedro run --pipeline=cascade` again"
        )
