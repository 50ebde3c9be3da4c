"""The cascade as a judge: cheap judges first, the dear one for what they doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites.cascade_fit import NO_EXIT, CascadeFit, Identity
from relevance_distillery.judges.composites.composite import (
    Answered,
    CompositeLabeling,
    Subset,
)
from relevance_distillery.judges.composites.panel import Panel, Session
from relevance_distillery.judges.labeling import MAX_ATTEMPTS
from relevance_distillery.judges.ledger.ledger import Ledger


class CascadeJudge(Panel):
    """Asks its judges in turn; see `cascade_fit`.

    A pair leaves at the first judge whose calibrated confidence passes the threshold. Where a
    judge fails, the next one is asked; where it could not be asked at all, its budget being
    spent or its batch pending, the pair fails with that reason and waits, since a dearer judge
    is no remedy for that.

    Attributes:
        model: The judges' names, in order.
        prompt_hash: Changes with judges, calibrators, thresholds or the judges' own prompts.
        fit: Calibrators and thresholds.
    """

    name = "cascade"

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
        super().__init__(judges, scale)
        self.fit = fit
        self.model = " > ".join(self.names)
        self.prompt_hash = fit.digest

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
        count, stages = len(pairs), len(self.judges)
        exits = np.full(count, NO_EXIT, dtype=np.int64)
        places = np.full(count, -1, dtype=np.int64)
        posterior = np.full((count, self.scale.size), np.nan)
        inside = np.ones(count, dtype=bool)
        asked = []
        session = Session(
            self, pairs, ledger, retry_failures=retry_failures, max_attempts=max_attempts
        )
        parts = session.parts
        for number in range(stages):
            asked.append(int(inside.sum()))
            session.ask(number, Subset(pairs, inside))
            inside &= ~session.waiting
            reading = self.fit.read(number, [part.answers for part in parts])
            known = inside & np.isfinite(reading.posterior).all(axis=1)
            posterior[known] = reading.posterior[known]
            leaves = inside & reading.leaves
            exits[leaves], places[leaves] = number, reading.places[leaves]
            inside &= ~leaves
        voted = self.fit.vote([part.answers for part in parts])
        counted = inside & (voted >= 0)
        exits[counted], places[counted] = stages, voted[counted]
        return session.result(places, posterior, {"stages": self._facts(exits, asked, parts)})

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
