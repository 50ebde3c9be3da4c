"""The report's drawings: reliability, agreement against price, interval width against queries.

Each function gives places in units of its drawing; the templates make SVG of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.reporting.charts import (
    Axis,
    linear_axis,
    linear_ticks,
    log_axis,
    log_ticks,
    path,
    spread_labels,
)
from relevance_distillery.reporting.formats import count, dollars, figure, shorten
from relevance_distillery.reporting.judge_names import Judges

_RELIABILITY = {"width": 300, "height": 280, "left": 42, "right": 286, "top": 12, "bottom": 240}
_PRICE = {"width": 440, "height": 300, "left": 48, "right": 404, "top": 16, "bottom": 248}
_WIDTHS = {"width": 440, "height": 270, "left": 52, "right": 424, "top": 14, "bottom": 222}

_LABEL_WIDTH, _LABEL_HEIGHT = 130.0, 15.0


def reliability(agreement: Mapping[str, Any], judges: Judges) -> dict[str, Any] | None:
    """Two reliability diagrams for each judge with probabilities; None where there is none."""
    found = agreement["calibration"]
    rows = [
        {
            "judge": name,
            "found": found[name],
            "diagrams": [
                {
                    "title": "the grade",
                    "x": "how sure",
                    "y": "share right",
                    **_reliability(found[name]["bins"], "confidence", "accuracy"),
                },
                {
                    "title": "relevant or not",
                    "x": "said probability",
                    "y": "share relevant",
                    **_reliability(found[name]["relevant"]["bins"], "predicted", "observed"),
                },
            ],
        }
        for name in (*judges.main, *judges.scores)
        if name in found
    ]
    if not rows:
        return None
    x, y = _unit_axes()
    ticks = [{"x": x.at(t), "y": y.at(t), "text": f"{t:g}"} for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return {"size": _RELIABILITY, "ticks": ticks, "rows": rows}


def _unit_axes() -> tuple[Axis, Axis]:
    return (
        Axis(0.0, 1.0, _RELIABILITY["left"], _RELIABILITY["right"]),
        Axis(0.0, 1.0, _RELIABILITY["bottom"], _RELIABILITY["top"]),
    )


def _reliability(
    bins: Sequence[Mapping[str, Any]], predicted: str, observed: str
) -> dict[str, Any]:
    """Dots as large as their bins are full, joined by a line, with intervals where given."""
    x, y = _unit_axes()
    most = max((one["pairs"] for one in bins), default=1)
    points = [
        {
            "x": x.at(one[predicted]),
            "y": y.at(one[observed]),
            "r": round(3.0 + 6.0 * (one["pairs"] / most) ** 0.5, 1),
            "text": f"{count(one['pairs'])} pairs: said {figure(one[predicted], 2)}, "
            f"was {figure(one[observed], 2)}",
            **_limits(y, one.get(f"{observed}_low"), one.get(f"{observed}_high")),
        }
        for one in bins
    ]
    return {
        "points": points,
        "line": path((point["x"], point["y"]) for point in points) if len(points) > 1 else "",
    }


def _limits(axis: Axis, low: float | None, high: float | None) -> dict[str, float | None]:
    return {
        "low": None if low is None else axis.at(low),
        "high": None if high is None else axis.at(high),
    }


def known_prices(cost: Mapping[str, Any], judge: str) -> list[tuple[float, bool]]:
    """Dollars for 1,000 labels, and whether they were measured; both kinds where both are known.

    Args:
        cost: The content of cost.json.
        judge: A judge, known there or not.
    """
    facts = cost["judges"].get(judge, {})
    both = (
        (facts.get("measured_usd_per_1000_labels"), True),
        (facts.get("list_usd_per_1000_labels"), False),
    )
    return [(float(usd), measured) for usd, measured in both if usd is not None]


def agreement_against_price(
    agreement: Mapping[str, Any], cost: Mapping[str, Any], shown: Sequence[str], judges: Judges
) -> dict[str, Any] | None:
    """Agreement over dollars; a price of 0 or none has no place on a logarithmic axis."""
    points, absent = [], []
    for name in shown:
        row = agreement["judges"].get(name, {}).get(PRIMARY) or {}
        known = known_prices(cost, name)
        if row.get("estimate") is None:
            absent.append(f"{judges.label(name)}: no agreement")
            continue
        if not known:
            absent.append(f"{judges.label(name)}: price not known")
        elif max(known)[0] <= 0:
            absent.append(f"{judges.label(name)}: costs nothing")
        points += [(name, price, measured, row) for price, measured in known if price > 0]
    if not points:
        return None
    size = _PRICE
    x = log_axis((price for _, price, _, _ in points), size["left"], size["right"])
    limits = [
        row[side]
        for *_, row in points
        for side in ("estimate", "low", "high")
        if row.get(side) is not None
    ]
    y = linear_axis(limits, size["bottom"], size["top"], ticks=4)
    marks: list[dict[str, Any]] = [
        {
            "x": x.at(price),
            "y": y.at(row["estimate"]),
            "left": x.at(price) > (size["left"] + size["right"]) / 2,
            "tone": judges.tone(name),
            "measured": measured,
            "name": shorten(judges.label(name), 22),
            "text": f"{judges.label(name)}: {dollars(price)} for 1,000 labels, "
            f"quadratic κ {figure(row['estimate'], 2)}",
            **_limits(y, row.get("low"), row.get("high")),
        }
        for name, price, measured, row in points
    ]
    spread_labels(marks, _LABEL_HEIGHT, _LABEL_WIDTH)
    return {
        "size": size,
        "marks": marks,
        "x_ticks": [{"x": x.at(t), "text": dollars(t)} for t in log_ticks(x, most=5)],
        "y_ticks": [{"y": y.at(t), "text": f"{t:g}"} for t in linear_ticks(y, 4)],
        "absent": absent,
        "bases": sorted({mark["measured"] for mark in marks}, reverse=True),
    }


def interval_widths(sample_size: Mapping[str, Any]) -> dict[str, Any] | None:
    """Half widths over queries, logarithmic in queries; None with fewer than two of them."""
    rows = [row for row in sample_size.get("by_queries", []) if row["half_width"] is not None]
    if len(rows) < 2:
        return None
    size = _WIDTHS
    x = log_axis((row["queries"] for row in rows), size["left"], size["right"])
    y = linear_axis(
        [0.0, *(row["half_width"] for row in rows)], size["bottom"], size["top"], ticks=4
    )
    points: list[dict[str, Any]] = [
        {
            "x": x.at(row["queries"]),
            "y": y.at(row["half_width"]),
            "projected": row["projected"],
            "text": f"{count(row['queries'])} queries: ± {figure(row['half_width'], 3)}",
        }
        for row in rows
    ]
    measured = [point for point in points if not point["projected"]]
    ahead = [*measured[-1:], *(point for point in points if point["projected"])]
    return {
        "size": size,
        "x_ticks": [{"x": x.at(t), "text": count(t)} for t in log_ticks(x) if t >= 1],
        "y_ticks": [{"y": y.at(t), "text": f"{t:g}"} for t in linear_ticks(y, 4)],
        "points": points,
        "measured": path((p["x"], p["y"]) for p in measured) if len(measured) > 1 else "",
        "projected": path((p["x"], p["y"]) for p in ahead) if len(ahead) > 1 else "",
    }
