"""Where the grades fall: confusion, thresholds, and parts of the benchmark."""

from __future__ import annotations

from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.cells import bar, cell
from relevance_distillery.reporting.sections.naming import Judges

_THRESHOLD = ("kappa", "precision", "recall", "f1", "accuracy")
_SHOWN_BY_SLICE = ("quadratic_kappa", "accuracy", "within_one", "mean_absolute_error")
_JUDGES_BY_SLICE = 4


def confusions(agreement: dict[str, Any], judges: Judges) -> list[dict[str, Any]]:
    """One table a judge: rows people's grades, columns the judge's, and both shares."""
    tables = agreement.get("confusion") or {}
    return [
        _confusion(agreement, tables[name], judges.label(name))
        for name in judges.main
        if name in tables
    ]


def _confusion(agreement: dict[str, Any], table: dict[str, Any], label: str) -> dict[str, Any]:
    scale = agreement["scale"]
    rows = []
    for place, counts in enumerate(table["counts"]):
        total = sum(counts)
        rows.append(
            {
                "name": scale[place]["name"],
                "value": scale[place]["value"],
                "cells": [
                    {
                        "count": wording.count(number),
                        "strength": round(0.42 * number / total, 3) if total else 0.0,
                        "right": place == column,
                    }
                    for column, number in enumerate(counts)
                ],
                "recall": wording.percent(table["recall"][place]),
                "precision": wording.percent(table["precision"][place]),
            }
        )
    return {"judge": label, "grades": scale, "rows": rows}


def thresholds(agreement: dict[str, Any], judges: Judges) -> list[dict[str, Any]]:
    """For each grade above the lowest, who calls how much at least that, and how well."""
    tables = agreement.get("thresholds") or {}
    named = [name for name in judges.main if tables.get(name)]
    if not named:
        return []
    found = []
    for place, first in enumerate(tables[named[0]]):
        rows = []
        for name in named:
            entry = tables[name][place]
            rows.append(
                {
                    "judge": judges.label(name),
                    "share": wording.percent(entry.get("judge")),
                    "people": wording.percent(entry.get("people")),
                    "cells": [cell(entry.get(metric)) for metric in _THRESHOLD],
                }
            )
        found.append(
            {
                "from": first["from"],
                "name": first["name"],
                "relevant": first["from"] == agreement.get("relevant_from"),
                "rows": rows,
            }
        )
    return found


def slices(agreement: dict[str, Any], judges: Judges) -> list[dict[str, Any]]:
    """Each slicing as a table: a metric of the leading judges, and the bias of the first."""
    found = []
    for title, entries in (agreement.get("slices") or {}).items():
        present = {name for entry in entries for name in entry["judges"]}
        shown = [name for name in judges.main if name in present and name != "base"]
        shown = shown[:_JUDGES_BY_SLICE]
        metric = _metric_of(entries)
        if not shown or metric is None:
            continue
        first = shown[0]
        rows = [
            {
                "value": entry["value"],
                "pairs": wording.count(entry["pairs"]),
                "queries": wording.count(entry["queries"]),
                "small": entry["small"],
                "why": entry.get("why") or "too small to conclude from",
                "cells": [cell(entry["judges"].get(name, {}).get(metric)) for name in shown],
                "bar": bar(entry["judges"].get(first, {}).get(metric))
                if metric != "mean_absolute_error"
                else None,
                "bias": cell(entry["judges"].get(first, {}).get("bias"), True),
            }
            for entry in entries
        ]
        found.append(
            {
                "title": {"grade": "people's grade"}.get(title, title),
                "metric": METRICS[metric].title,
                "judges": [judges.label(name) for name in shown],
                "tone": judges.tone(first),
                "rows": rows,
                "small": sum(row["small"] for row in rows),
            }
        )
    return found


def _metric_of(entries: list[dict[str, Any]]) -> str | None:
    """The first metric that these slices have: within one grade of people's kappa is none."""
    for metric in _SHOWN_BY_SLICE:
        rows = [metrics.get(metric) for entry in entries for metrics in entry["judges"].values()]
        if any(row for row in rows):
            return metric
    return None
