"""What a stage used against what was planned for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from relevance_distillery.io.digests import hex_digest


def corpus_digest(passages: pd.DataFrame) -> str:
    """Twelve hexadecimal digits of what the passages say, in any order.

    Args:
        passages: Columns passage_id, text.
    """
    rows = sorted(zip(passages["passage_id"], passages["text"], strict=True))
    return hex_digest("".join(f"{len(name)}:{name}{text}" for name, text in rows))


def compare_with_plan(
    plan: Mapping[str, Any], labels: pd.DataFrame, pairs: int, passages: pd.DataFrame
) -> dict[str, float]:
    """Input tokens that were planned for these labels, and how many more or less were read.

    Failed pairs are left out of both: the plan is scaled to the share that got a label.

    Args:
        plan: `plan.json`; empty where nobody planned.
        labels: Schema `Labels`, of one judge.
        pairs: How many pairs were to be labelled.
        passages: The corpus.

    Returns:
        `planned_input_tokens` and `actual_over_planned`; nothing where there is no plan for
        this judge, model and prompt, on the same corpus or of the same number of pairs.
    """
    if labels.empty or not pairs:
        return {}
    first = labels.iloc[0]
    asked = (first["judge"], first["model"], first["prompt_hash"])
    for row in plan.get("stages", ()):
        same = row["stage"] == "labeling" and asked == (
            row["who"],
            row["model"],
            row["prompt_hash"],
        )
        known = row["units"] == pairs or plan["corpus"]["digest"] == corpus_digest(passages)
        planned = row["input_tokens"] + row["input_tokens_in_ledger"]
        if same and known and planned:
            scaled = planned * len(labels) / pairs
            actual = float(labels["input_tokens"].sum())
            return {"planned_input_tokens": scaled, "actual_over_planned": actual / scaled}
    return {}
