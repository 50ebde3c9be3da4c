"""Preparing and making the judges that are made of judges: their states hold those of others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.versions import newest_version
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites.cascade import CascadeJudge
from relevance_distillery.judges.composites.cascade_fit import CascadeFit
from relevance_distillery.judges.composites.consensus import ConsensusJudge, ConsensusSettings
from relevance_distillery.judges.names import JUDGES, parse_judge
from relevance_distillery.llm.budget import Budget

State = dict[str, Any]

COMPOSITE = ("cascade", "consensus")
"""Kinds of judge that are made of others, and cannot be part of one another."""


def read_fitted(location: str | None) -> CascadeFit:
    """The cascade that the pipeline `cascade` wrote.

    Args:
        location: A file, or a versioned one, of which the newest version counts.

    Raises:
        UserError: There is none, or it cannot be read.
    """
    path = Path(str(location or "")).expanduser()
    path = newest_version(path)
    if not location or not path.is_file():
        raise UserError(
            f"judge=cascade: no fitted cascade at {location}: run `kedro run --pipeline=cascade` "
            'first, or name one with --params="cascade=FILE"'
        )
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return CascadeFit.from_state(state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"judge=cascade: {path} is no fitted cascade ({type(error).__name__}): "
            "run `kedro run --pipeline=cascade` again"
        ) from error


def inner_name(name: str, outer: str) -> str:
    """A judge's name as part of another; a bare name that is no kind is a recorded judge's.

    Raises:
        UserError: It is itself made of judges, or no judge.
    """
    kind = name.partition(":")[0]
    if kind not in JUDGES:
        return f"recorded:{name}"
    if parse_judge(name).kind in COMPOSITE:
        raise UserError(f"judge={outer}: {name} cannot be part of it, name the judges themselves")
    return name


def cascade_state(fit: CascadeFit, stages: Sequence[State]) -> State:
    """The state of a cascade whose judges are prepared."""
    return {
        "judge": "cascade",
        "model": " > ".join(stage.identity.name for stage in fit.stages),
        "scale_hash": fit.scale_hash,
        "fit": fit.to_state(),
        "stages": list(stages),
    }


def consensus_state(
    settings: ConsensusSettings, stages: Sequence[State], scale: GradeScale
) -> State:
    """The state of a consensus whose judges are prepared."""
    return {
        "judge": "consensus",
        "scale_hash": scale.digest,
        "settings": settings.model_dump(mode="json"),
        "stages": list(stages),
    }


def cascade_from_state(
    state: Mapping[str, Any], judges: Sequence[Judge], scale: GradeScale
) -> CascadeJudge:
    """The cascade that a state describes, of judges that were made from its stages."""
    return CascadeJudge(CascadeFit.from_state(state["fit"]), judges, scale)


def consensus_from_state(
    state: Mapping[str, Any], judges: Sequence[Judge], scale: GradeScale
) -> ConsensusJudge:
    """The consensus that a state describes, of judges that were made from its stages."""
    return ConsensusJudge(judges, ConsensusSettings.model_validate(state["settings"]), scale)


def shared_budget(stages: Sequence[Mapping[str, Any]]) -> Budget | None:
    """One cap over all judges of a stage: the lowest that one of them has; None without any."""
    caps = [(stage.get("settings") or {}).get("max_cost_usd") for stage in stages]
    known = [float(cap) for cap in caps if cap is not None]
    return Budget(min(known)) if known else None
