"""How many human grades are needed: interval width against queries and pairs, and power."""

from __future__ import annotations

from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.drawing import (
    linear_axis,
    linear_ticks,
    log_axis,
    log_ticks,
    path,
)
from relevance_distillery.reporting.sections.naming import Judges

SIZE = {"width": 440, "height": 270, "left": 52, "right": 424, "top": 14, "bottom": 222}


def sample_size(agreement: dict[str, Any], judges: Judges) -> dict[str, Any] | None:
    """The curve, the queries for a wanted width, and the power table."""
    found = agreement.get("sample_size") or {}
    if not found:
        return None
    power = found.get("power") or {}
    metric = METRICS[found["metric"]].title if found.get("metric") in METRICS else "quadratic κ"
    return {
        "judge": judges.label(str(found.get("judge", ""))),
        "metric": metric,
        "reason": found.get("reason", ""),
        "size": SIZE,
        "curve": _curve(found.get("by_queries") or []),
        "queries_for": [
            {
                "half_width": f"± {wording.figure(row['half_width'], 2)}",
                "queries": _count(row.get("queries")),
                "pairs": _count(row.get("pairs")),
            }
            for row in found.get("queries_for") or []
        ],
        "by_pairs": [
            {
                "pairs_per_query": wording.count(row["pairs_per_query"]),
                "pairs": wording.count(row["pairs"]),
                "half_width": f"± {wording.figure(row['half_width'], 3)}",
            }
            for row in found.get("by_pairs") or []
            if row.get("half_width") is not None
        ],
        "power": _power(power, judges) if power else None,
    }


def _count(value: float | None) -> str:
    """A count; a dash where no number of queries that anybody grades is enough."""
    return "–" if value is None else wording.count(value)


def _power(power: dict[str, Any], judges: Judges) -> dict[str, Any]:
    wanted = power.get("queries_for_80")
    rows = power.get("rows") or []
    return {
        "first": judges.label(str(power.get("first", ""))),
        "second": judges.label(str(power.get("second", ""))),
        "margin": f"{power.get('margin', 0.03):g}",
        "reason": power.get("reason", ""),
        "rows": [
            {
                "queries": wording.count(row["queries"]),
                "non_inferior": wording.percent(row.get("non_inferior")),
                "superior": wording.percent(row.get("superior_by_margin")),
            }
            for row in rows
        ],
        "alike": all(row.get("non_inferior") == row.get("superior_by_margin") for row in rows),
        "queries_for_80": "" if wanted is None else wording.count(wanted),
    }


def _curve(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Half widths over queries, both axes logarithmic in queries only."""
    known = [row for row in rows if row.get("half_width") is not None and row["queries"] > 0]
    if len(known) < 2:
        return None
    known.sort(key=lambda row: row["queries"])
    x = log_axis((row["queries"] for row in known), SIZE["left"], SIZE["right"])
    y = linear_axis(
        [0.0, *(row["half_width"] for row in known)], SIZE["bottom"], SIZE["top"], ticks=4
    )
    points: list[dict[str, Any]] = [
        {
            "x": x.at(row["queries"]),
            "y": y.at(row["half_width"]),
            "projected": bool(row.get("projected")),
            "text": f"{wording.count(row['queries'])} queries: "
            f"± {wording.figure(row['half_width'], 3)}",
        }
        for row in known
    ]
    measured = [point for point in points if not point["projected"]]
    ahead = [*measured[-1:], *(point for point in points if point["projected"])]
    return {
        "x_ticks": [{"x": x.at(t), "text": wording.count(t)} for t in log_ticks(x) if t >= 1],
        "y_ticks": [{"y": y.at(t), "text": f"{t:g}"} for t in linear_ticks(y, 4)],
        "points": points,
        "measured": path((p["x"], p["y"]) for p in measured) if len(measured) > 1 else "",
        "projected": path((p["x"], p["y"]) for p in ahead) if len(ahead) > 1 else "",
    }
