"""Judges by name: what each must prepare before a run, and how one is made from that.

A kind is a pair of functions, so that a new one is one entry of `_KINDS`. Modules that load
torch are imported when one of their judges is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites import combined
from relevance_distillery.judges.composites.cascade_settings import judge_names
from relevance_distillery.judges.embedding.embedded import EmbeddedJudge
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.names import JUDGES, JudgeName, check_judge, parse_judge
from relevance_distillery.judges.prompted.llm import LLMJudge
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.llm.budget import Budget
from relevance_distillery.llm.prices import price_or_warning

__all__ = [
    "JUDGES",
    "JudgeName",
    "Surroundings",
    "check_judge",
    "judge_for",
    "make_judge",
    "parse_judge",
    "prepare_judge",
]

State = dict[str, Any]

FROM_CORPUS = ("embedded",)
"""Kinds that learn from the documents, so that only the stage `label` can prepare them."""


@dataclass(frozen=True)
class Surroundings:
    """What a judge is given at work, beside its state.

    Attributes:
        budget: Shared by all judges of a stage; each has one of its own when None.
        ledger: Where jobs of the Batch API are remembered.
    """

    budget: Budget | None = None
    ledger: Ledger | None = None


@dataclass(frozen=True)
class _Kind:
    prepare: Callable[[str, JudgeSources], State]
    make: Callable[[Mapping[str, Any], GradeScale, Surroundings], Judge]


def prepare_judge(name: str, sources: JudgeSources) -> State:
    """Whatever a judge needs to have before it grades, as plain JSON values.

    Args:
        name: `KIND` or `KIND:MODEL`.
        sources: What it may be prepared from.

    Returns:
        The judge's state: `judge` (its kind), `model`, `scale_hash` and what the kind needs.
        Never a key or an address.

    Raises:
        UserError: Unknown name, or the judge cannot work on this.
    """
    judge = parse_judge(name)
    return _KINDS[judge.kind].prepare(judge.model, sources)


def make_judge(
    name: str | None,
    state: Mapping[str, Any],
    scale: GradeScale,
    *,
    budget: Budget | None = None,
    ledger: Ledger | None = None,
) -> Judge:
    """A judge that is ready to grade.

    Args:
        name: `KIND` or `KIND:MODEL`, or None for whichever judge the state belongs to.
        state: What `prepare_judge` returned (the `judge_state` dataset).
        scale: The grades to give; must be the scale that the state was prepared for.
        budget: What it may spend together with others; its own when None.
        ledger: Where jobs of the Batch API are remembered.

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
    return _KINDS[asked.kind].make(state, scale, Surroundings(budget, ledger))


def judge_for(
    name: str,
    state: Mapping[str, Any] | None,
    sources: JudgeSources,
    *,
    budget: Budget | None = None,
    ledger: Ledger | None = None,
) -> Judge:
    """A judge that is asked for by name, wherever it comes from.

    Args:
        name: `KIND` or `KIND:MODEL`.
        state: The stored state, which is taken where it belongs to that judge.
        sources: What another judge is prepared from.
        budget: As `make_judge`.
        ledger: As `make_judge`.

    Raises:
        UserError: As `prepare_judge` and `make_judge`.
    """
    if state is None or not is_prepared(parse_judge(name), state):
        state = prepare_judge(name, sources)
    return make_judge(name, state, sources.scale, budget=budget, ledger=ledger)


def state_name(state: Mapping[str, Any]) -> str:
    """The name of the judge that a state belongs to."""
    model = next((state[key] for key in ("asked", "name") if state.get(key)), "")
    return str(JudgeName(str(state.get("judge")), str(model)))


def is_prepared(asked: JudgeName, state: Mapping[str, Any]) -> bool:
    """Whether a state is of the judge that is asked for; a kind alone takes any model."""
    if asked.kind != state.get("judge"):
        return False
    return not asked.model or str(asked) == state_name(state)


def _prepare_embedded(model: str, sources: JudgeSources) -> State:
    passages, queries = sources.corpus("embedded")
    return EmbeddedJudge.fit(
        passages,
        queries,
        sources.scale,
        sources.embedded,
        language=sources.language,
        seed=sources.seed,
    ).to_state()


def _make_embedded(state: Mapping[str, Any], scale: GradeScale, _: Surroundings) -> Judge:
    return EmbeddedJudge.from_state(state, scale)


def _prepare_recorded(model: str, sources: JudgeSources) -> State:
    return RecordedJudge(sources.recorded_grades(model), sources.scale).to_state()


def _make_recorded(state: Mapping[str, Any], scale: GradeScale, _: Surroundings) -> Judge:
    return RecordedJudge.from_state(state, scale)


def _prepare_llm(model: str, sources: JudgeSources) -> State:
    settings = sources.llm.model_copy(update={"model": model} if model else {})
    judge = LLMJudge(sources.pair_prompt(redact=settings.redact), settings, sources.scale)
    price = price_or_warning(judge.model, sources.prices, settings.max_cost_usd)
    return {**judge.to_state(), "price": None if price is None else price.model_dump(mode="json")}


def _make_llm(state: Mapping[str, Any], scale: GradeScale, around: Surroundings) -> Judge:
    return LLMJudge.from_state(state, scale, budget=around.budget, ledger=around.ledger)


def _prepare_transformers(model: str, sources: JudgeSources) -> State:
    from relevance_distillery.judges.prompted.transformers_judge import TransformersJudge

    settings = sources.transformers.model_copy(update={"model": model} if model else {})
    return TransformersJudge(sources.pair_prompt(), settings, sources.scale).to_state()


def _make_transformers(state: Mapping[str, Any], scale: GradeScale, _: Surroundings) -> Judge:
    from relevance_distillery.judges.prompted.transformers_judge import TransformersJudge

    return TransformersJudge.from_state(state, scale)


def _prepare_labeler(which: str, sources: JudgeSources) -> State:
    from relevance_distillery.judges.labeler_judge import LabelerJudge

    which = which or "champion"
    return LabelerJudge(sources.labeler(which), which, sources.scale).to_state()


def _make_labeler(state: Mapping[str, Any], scale: GradeScale, _: Surroundings) -> Judge:
    from relevance_distillery.judges.labeler_judge import LabelerJudge

    return LabelerJudge.from_state(state, scale)


def _prepare_cascade(_: str, sources: JudgeSources) -> State:
    fit = combined.read_fitted(sources.cascade.fitted)
    names = [stage.identity.judge for stage in fit.stages]
    state = combined.cascade_state(fit, _prepare_inner(names, "cascade", sources))
    # Made at once: that a judge is no longer the one of the fit is said before anything is asked.
    make_judge("cascade", state, sources.scale)
    return state


def _make_cascade(state: Mapping[str, Any], scale: GradeScale, around: Surroundings) -> Judge:
    return combined.cascade_from_state(state, _make_inner(state, scale, around), scale)


def _prepare_consensus(_: str, sources: JudgeSources) -> State:
    names = judge_names(sources.consensus.judges, "judge=consensus")
    stages = _prepare_inner(names, "consensus", sources)
    return combined.consensus_state(sources.consensus, stages, sources.scale)


def _make_consensus(state: Mapping[str, Any], scale: GradeScale, around: Surroundings) -> Judge:
    return combined.consensus_from_state(state, _make_inner(state, scale, around), scale)


def _prepare_inner(names: Sequence[str], outer: str, sources: JudgeSources) -> list[State]:
    inner = [combined.inner_name(name, outer) for name in names]
    has_grades = sources.recorded is not None and sources.recorded.locations is not None
    for name, full in zip(names, inner, strict=True):
        # Said before the first of them is prepared, which may take long.
        if parse_judge(full).kind == "recorded" and not has_grades:
            raise UserError(
                f"judge={outer}: {name} is none of {', '.join(JUDGES)}; a recorded judge of that "
                'name needs its grades, --params="grades=FOLDER"'
            )
    return [prepare_judge(name, sources) for name in inner]


def _make_inner(state: Mapping[str, Any], scale: GradeScale, around: Surroundings) -> list[Judge]:
    budget = around.budget or combined.shared_budget(state["stages"])
    return [
        make_judge(None, stage, scale, budget=budget, ledger=around.ledger)
        for stage in state["stages"]
    ]


_KINDS = {
    "embedded": _Kind(_prepare_embedded, _make_embedded),
    "recorded": _Kind(_prepare_recorded, _make_recorded),
    "labeler": _Kind(_prepare_labeler, _make_labeler),
    "llm": _Kind(_prepare_llm, _make_llm),
    "transformers": _Kind(_prepare_transformers, _make_transformers),
    "cascade": _Kind(_prepare_cascade, _make_cascade),
    "consensus": _Kind(_prepare_consensus, _make_consensus),
}
