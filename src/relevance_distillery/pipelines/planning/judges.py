"""Which of the judges that label are paid for, and how many pairs reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relevance_distillery.judges.composites.cascade_fit import read_fitted
from relevance_distillery.judges.composites.settings import judge_names
from relevance_distillery.judges.kinds import inner_judge, parse_judge
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters


def paid_judges(
    labeling: LabelingParameters, cascade_report: Mapping[str, Any]
) -> dict[str, float | None]:
    """Judges behind an API that a run may ask.

    Args:
        labeling: `params:labeling`.
        cascade_report: Of the last fitted cascade; empty for none.

    Returns:
        Name to the share of pairs that the judge saw of the set that the cascade was measured
        on; None where every pair reaches it, or where nothing was measured.

    Raises:
        UserError: A cascade or consensus without judges, or with unknown ones.
    """
    name = parse_judge(labeling.judge)
    if name.kind == "cascade":
        stages = [s.identity.judge for s in read_fitted(labeling.cascade.fitted).stages]
        shares = _shares(cascade_report, len(stages))
    elif name.kind == "consensus":
        stages = list(judge_names(labeling.consensus.judges, "judge=consensus"))
        shares = [None] * len(stages)
    else:
        stages, shares = [str(name)], [None]
    inner = [inner_judge(stage, name.kind) for stage in stages]
    return {
        str(judge): share for judge, share in zip(inner, shares, strict=True) if judge.kind == "llm"
    }


def _shares(report: Mapping[str, Any], stages: int) -> list[float | None]:
    """Share of pairs that each stage saw, first stage first."""
    cascade = (report.get("systems") or {}).get("cascade") or {}
    shares = list((cascade.get("calls") or {}).values())
    return shares if len(shares) == stages else [None] * stages
