"""How good each judge is: all metrics, rankings, and people on the same scale."""

from __future__ import annotations

from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.cells import cell, dots
from relevance_distillery.reporting.sections.naming import Judges

_RANKING = ("pairwise_accuracy", "ndcg", "ndcg_at_10", "spearman")
_ONE_SCALE = ("quadratic_kappa", "kappa", "binary_kappa", "krippendorff_alpha", "accuracy")


def metric_rows(agreement: dict[str, Any], judges: Judges) -> list[dict[str, Any]]:
    """One row a metric, one cell a judge, and people with each other at the end."""
    ceiling = agreement.get("human_ceiling") or {}
    rows = []
    for name, metric in METRICS.items():
        cells = [
            cell(agreement["judges"][judge].get(name), name == "bias") for judge in judges.main
        ]
        if ceiling:
            cells.append(cell(ceiling.get(name)))
        rows.append(
            {
                "title": metric.title,
                "better": {"lower": "less is better", "zero": "0 is best"}.get(metric.better, ""),
                "cells": cells,
                "primary": name == PRIMARY,
            }
        )
    return rows


def ranking(agreement: dict[str, Any], judges: Judges) -> dict[str, Any] | None:
    """Ranking metrics of every judge, of scores without grades too."""
    rows = [
        {
            "name": judges.label(judge),
            "cells": [cell(agreement["judges"][judge].get(name)) for name in _RANKING],
        }
        for judge in (*judges.main, *judges.scores)
    ]
    if not rows:
        return None
    return {"columns": [METRICS[name].title for name in _RANKING], "rows": rows}


def one_scale(agreement: dict[str, Any], judges: Judges) -> dict[str, Any] | None:
    """Each person and each judge against the same other people; None with one rater a pair."""
    found = agreement.get("one_scale") or {}
    skipped = [
        {"why": str(why), "who": wording.listed(_names(who), 5)}
        for why, who in (found.get("skipped") or {}).items()
    ]
    raters, graded = found.get("raters") or {}, found.get("judges") or {}
    if not raters and not graded:
        return {"picture": None, "skipped": skipped} if skipped else None
    rows = [("people", str(name), "", metrics) for name, metrics in raters.items()]
    rows += [(judges.tone(name), judges.label(name), name, graded[name]) for name in graded]
    minus = found.get("judge_minus_people") or {}
    return {
        "pairs": wording.count(found.get("pairs")),
        "picture": dots((tone, label, "", of.get(PRIMARY, {})) for tone, label, _, of in rows),
        "columns": [METRICS[name].title for name in _ONE_SCALE],
        "rows": [
            {
                "name": label,
                "person": tone == "people",
                "cells": [cell(of.get(name)) for name in _ONE_SCALE],
                "minus": _minus(minus.get(judge, {}).get(PRIMARY)),
            }
            for tone, label, judge, of in rows
        ],
        "skipped": skipped,
    }


def _names(who: Any) -> list[str]:
    return [str(one) for one in who] if isinstance(who, list) else [str(who)]


def _minus(row: dict[str, Any] | None) -> dict[str, str]:
    if not row:
        return {"value": "", "span": "", "title": "", "p": ""}
    return cell(row, signed=True) | {"p": wording.p_value(row.get("p"))}
