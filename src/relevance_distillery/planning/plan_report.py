"""How a plan is shown: one file, the last lines of the log, and what labels then used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from relevance_distillery.io.digests import hex_digest

if TYPE_CHECKING:
    from relevance_distillery.planning.estimates import StagePlan


def summarise(
    stages: Sequence[StagePlan],
    notes: Sequence[str],
    corpus: dict[str, Any],
    max_cost_usd: float | None,
) -> dict[str, Any]:
    """The content of plan.json.

    Returns:
        `corpus`, `hosts` (with the most documents and passages that each would receive),
        `stages`, `total` (calls, tokens, dollars low and high, hours), `further_prompts` (the same
        of all prompts but the first; None where one is asked), `max_cost_usd`, `within_cap` (None
        where it is not known) and `notes`.
    """
    rows = [stage.as_json() for stage in stages]
    further = [row for row, stage in zip(rows, stages, strict=True) if stage.further_prompt]
    total = _total(rows)
    highest = total["usd"]["high"]
    within = None if max_cost_usd is None or highest is None else highest <= max_cost_usd
    hosts: dict[str, dict[str, int]] = {}
    for row in rows:
        # Most that any one stage sends: stages send the same documents again.
        known = hosts.setdefault(row["host"], {"documents": 0, "passages": 0})
        for unit in known:
            known[unit] = max(known[unit], row[f"{unit}_sent"])
    return {
        "corpus": corpus,
        "hosts": hosts,
        "stages": rows,
        "total": total,
        "further_prompts": _total(further) if further else None,
        "max_cost_usd": max_cost_usd,
        "within_cap": within,
        "notes": list(notes),
    }


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    priced = all(row["price_known"] for row in rows)
    edges = ("low", "high")
    return {
        "calls": sum(row["calls"] for row in rows),
        "input_tokens": sum(row["input_tokens"] for row in rows),
        "output_tokens": {edge: sum(row["output_tokens"][edge] for row in rows) for edge in edges},
        "usd": {edge: sum(row["usd"][edge] for row in rows) if priced else None for edge in edges},
        "hours": sum(row["hours"] for row in rows),
    }


def closing_lines(plan: dict[str, Any]) -> list[str]:
    """The plan as lines for the log, host first."""
    lines = [
        f"{host} would receive up to {found['documents']:,} documents "
        f"({found['passages']:,} passages)"
        for host, found in plan["hosts"].items()
        if found["documents"]
    ]
    if not lines:
        lines = ["nothing would be sent anywhere"]
    if plan["stages"]:
        lines.append(_row("stage", "by", "calls", "input tokens", "output tokens", "USD", "hours"))
    for row in plan["stages"]:
        lines += [_figures(row["stage"], row["who"], row), f"  {_basis(row)}"]
    if len(plan["stages"]) > 1:
        lines.append(_figures("together", "", plan["total"]))
    if plan["further_prompts"]:
        lines.append(_figures("of which", "prompts after the first", plan["further_prompts"]))
    lines.extend(plan["notes"])
    if plan["within_cap"] is False:
        lines.append(
            f"max_cost_usd={plan['max_cost_usd']:g} may stop the run before its end; what was "
            "paid for is kept, and a later run resumes"
        )
    return lines


def corpus_digest(passages: pd.DataFrame) -> str:
    """Hexadecimal digits of what the passages (columns passage_id, text) say, in any order."""
    rows = sorted(zip(passages["passage_id"], passages["text"], strict=True))
    return hex_digest("".join(f"{len(name)}:{name}{text}" for name, text in rows))


def compare_with_plan(
    plan: Mapping[str, Any], labels: pd.DataFrame, pairs: int, passages: pd.DataFrame
) -> dict[str, float]:
    """Input tokens that were planned for these labels, and how many more or less were read.

    Failed pairs are left out of both: the plan is scaled to the share of `pairs` that got a label.
    It is empty where nobody planned; labels are those of one judge.

    Returns:
        `planned_input_tokens` and `actual_over_planned`; nothing where there is no plan for
        this judge, model and prompt, on the same corpus or of the same number of pairs.
    """
    if labels.empty or not pairs:
        return {}
    first = labels.iloc[0]
    asked = ("labeling", first["model"], first["prompt_hash"])
    rows = [
        row
        for row in plan.get("stages", ())
        if (row["stage"], row["model"], row["prompt_hash"]) == asked
        and (row["units"] == pairs or plan["corpus"]["digest"] == corpus_digest(passages))
    ]
    planned = sum(row["input_tokens"] + row["input_tokens_in_ledger"] for row in rows)
    if not planned:
        return {}
    scaled = planned * len(labels) / pairs
    actual = float(labels["input_tokens"].sum())
    return {"planned_input_tokens": scaled, "actual_over_planned": actual / scaled}


def _basis(row: dict[str, Any]) -> str:
    parts = [f"{row['answered_by_ledger']:,} answered before"]
    if row["withheld"]:
        parts.append(f"{row['withheld']:,} withheld")
    if row["expected_share"] is not None:
        parts.append(f"worst case; {row['expected_share']:.0%} of the pairs are expected here")
    parts.append(f"tokens: {row['basis']['tokens']}")
    if row["basis"]["requests"] == "stand-in queries":
        parts.append(f"from {row['basis']['counted_on']:,} pairs of stand-in queries")
    if row["price_known"]:
        price = row["price"]
        dated = f" as of {price['as_of']}" if price["as_of"] else ", undated: check it"
        half = f", batch at {price['batch_share']:.0%}" if row["batch"] else ""
        parts.append(
            f"{price['usd_per_million_input']:g}/{price['usd_per_million_output']:g} USD a "
            f"million{dated}{half}"
        )
    else:
        parts.append(f"no price: add prices.{row['model']} to conf/base/globals.yml")
    return "; ".join(parts)


def _figures(stage: str, who: str, row: Mapping[str, Any]) -> str:
    output, usd, hours = row["output_tokens"], row["usd"], row["hours"]
    dollars = "not known"
    if usd["low"] is not None and usd["high"] is not None:
        digits = 2 if usd["high"] >= 1 else 4
        dollars = f"{usd['low']:,.{digits}f}–{usd['high']:,.{digits}f}"
    return _row(
        stage,
        who,
        f"{row['calls']:,}",
        f"{row['input_tokens']:,}",
        f"{output['low']:,}–{output['high']:,}",
        dollars,
        f"{hours:.1f}" if hours >= 0.1 or not hours else f"{hours:.2f}",
    )


def _row(*cells: str) -> str:
    widths = (10, 24, 9, 14, 21, 15, 7)
    left = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths[:2], strict=True)]
    right = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return " ".join([*left, *right]).rstrip()
