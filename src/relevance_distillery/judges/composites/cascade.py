"""The cascade as a judge: cheap judges first, the expensive one at low confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites.answers import Answers, InnerLabeling, Mask, Places
from relevance_distillery.judges.composites.cascade_fit import CascadeFit, Identity, read_fitted
from relevance_distillery.judges.composites.panel import (
    CompositeLabeling,
    Panel,
    Session,
    inner_states,
    prepare_inner,
    restore_inner,
)
from relevance_distillery.judges.labeling import MAX_ATTEMPTS
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import JudgeSources, State
from relevance_distillery.llm.prices import Budget


class CascadeJudge(Panel):
    """Asks its judges in turn; see `cascade_fit`.

    A pair leaves at the first judge whose calibrated confidence passes the threshold. Where a
    judge fails, the next one is asked; where it could not be asked at all, its budget being
    spent or its batch pending, the pair fails with that reason and waits: a more expensive judge
    would not help.

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

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Read the fitted cascade and prepare its judges."""
        fit = read_fitted(sources.settings.cascade.fitted)
        names = [stage.identity.judge for stage in fit.stages]
        judges = prepare_inner(names, cls.name, sources)
        return cls(fit, judges, sources.scale)

    def to_state(self) -> State:
        """The fit, and the states of the judges."""
        return {
            "judge": self.name,
            "model": " > ".join(stage.identity.name for stage in self.fit.stages),
            "scale_hash": self.fit.scale_hash,
            "fit": self.fit.to_state(),
            "stages": inner_states(self.judges),
        }

    @classmethod
    def restore(
        cls, state: State, scale: GradeScale, budget: Budget | None, ledger: Ledger | None
    ) -> Self:
        """The cascade that wrote `state`."""
        judges = restore_inner(state["stages"], scale, budget, ledger)
        return cls(CascadeFit.from_state(state["fit"]), judges, scale)

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
        session = Session(
            self, pairs, ledger, retry_failures=retry_failures, max_attempts=max_attempts
        )
        asked = []

        def ask(stage: int, inside: Mask) -> tuple[Answers, Mask]:
            asked.append(int(inside.sum()))
            return session.ask(stage, inside).answers, session.waiting

        decided = self.fit.decide(len(pairs), ask)
        facts = {"stages": _stage_facts(decided.exits, asked, session.parts)}
        return session.result(decided.places, decided.posterior, facts)


def _stage_facts(
    exits: Places, asked: Sequence[int], parts: Sequence[InnerLabeling]
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
