"""What a labeling run did, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.labeling import Labeling


def summarise(result: Labeling, judge: Judge, scale: GradeScale) -> dict[str, Any]:
    """Counts, costs and the distribution of grades, as plain JSON values.

    Args:
        result: From `run_labeling`.
        judge: Who graded.
        scale: The grades; those that nobody gave count 0.

    Returns:
        `judge`, `model`, `pairs`, `labelled`, `from_ledger`, `newly_judged` (requests sent
        by this run), `failed`, `failures` (count by status), `grades` (count by value),
        `input_tokens`, `output_tokens` and `cost_usd` of the labels, `cost_usd_this_run`,
        `seconds`.
    """
    labels, failures = result.labels, result.failures
    counts = labels["grade"].value_counts()
    return {
        "judge": judge.name,
        "model": judge.model,
        "pairs": result.pairs,
        "labelled": len(labels),
        "from_ledger": result.from_ledger,
        "newly_judged": result.requests,
        "failed": len(failures),
        "failures": {
            str(status): int(count)
            for status, count in sorted(failures["status"].value_counts().items())
        },
        "grades": {str(value): int(counts.get(value, 0)) for value in scale.values.tolist()},
        "input_tokens": int(labels["input_tokens"].sum()),
        "output_tokens": int(labels["output_tokens"].sum()),
        "cost_usd": float(labels["cost_usd"].sum()),
        "cost_usd_this_run": result.cost_usd,
        "seconds": result.seconds,
    }


def refuse_total_failure(judge: str, labels: pd.DataFrame, failures: pd.DataFrame) -> None:
    """Stop a run that has nothing to teach.

    Args:
        judge: The judge's name.
        labels: Schema `Labels`.
        failures: Schema `Failures`.

    Raises:
        UserError: There was no pair, or none of them got a label.
    """
    if len(labels):
        return
    if failures.empty:
        raise UserError("There is no candidate to label: run `kedro run --pipeline=mine` first.")
    reasons = Counter(zip(failures["status"], failures["reason"], strict=True))
    listed = "; ".join(
        f"{count} {status}: {reason}" for (status, reason), count in reasons.most_common(3)
    )
    raise UserError(f"judge {judge} labelled none of {len(failures)} pairs ({listed}).")
