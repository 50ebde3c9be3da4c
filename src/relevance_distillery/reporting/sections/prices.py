"""How cheap: a table of price and speed, agreement against price, break-even, assumptions."""

from __future__ import annotations

from typing import Any

from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.cells import cell
from relevance_distillery.reporting.sections.drawing import (
    linear_axis,
    linear_ticks,
    log_axis,
    log_ticks,
    spread_labels,
)
from relevance_distillery.reporting.sections.naming import Judges

SIZE = {"width": 440, "height": 300, "left": 48, "right": 404, "top": 16, "bottom": 248}
_LABEL_WIDTH = 130.0
_LABEL_HEIGHT = 15.0


def prices(
    agreement: dict[str, Any], cost: dict[str, Any], judges: Judges, teacher_name: str = ""
) -> dict[str, Any]:
    """Everything about money and time."""
    known = cost.get("judges") or {}
    shown = [name for name in judges.main if name in known] or list(known)
    rows = [
        _row(known[name], agreement["judges"].get(name, {}).get(PRIMARY))
        | {
            "name": judges.label(name),
            "sub": teacher_name if judges.has_student and name == "teacher" else "",
        }
        for name in shown
    ]
    return {
        "rows": rows,
        "picture": _picture(agreement, known, shown, judges),
        "break_even": _break_even(cost),
        "assumptions": [
            row | {"value": _number(row["value"])} for row in cost.get("assumptions") or []
        ],
    }


def million(per_thousand: float | None) -> float | None:
    """Dollars for a million labels from dollars for a thousand."""
    return None if per_thousand is None else 1000.0 * per_thousand


def known_prices(row: dict[str, Any]) -> list[tuple[float, bool]]:
    """Dollars for 1,000 labels, and whether they were measured; both kinds where both are known."""
    measured, listed = (row.get(f"{kind}_usd_per_1000_labels") for kind in ("measured", "list"))
    if measured is None and listed is None:
        # Older files have one price with its basis.
        usd, basis = row.get("usd_per_1000_labels"), row.get("usd_basis")
        return [] if usd is None else [(float(usd), basis == "measured")]
    known = ((measured, True), (listed, False))
    return [(float(usd), kind) for usd, kind in known if usd is not None]


def _row(row: dict[str, Any], agreed: dict[str, Any] | None) -> dict[str, Any]:
    runs = row.get("runs") or []
    speed = row.get("pairs_per_second")
    if len(runs) > 1:
        how = f"{len(runs)} runs, {wording.rate(min(runs))} to {wording.rate(max(runs))}"
    else:
        how = row.get("speed_basis", "") if speed is not None else ""
    return {
        "agreement": cell(agreed, digits=2),
        "prices": [
            {
                "thousand": wording.dollars(usd),
                "million": wording.dollars(million(usd)),
                "basis": _basis(row) if measured else "list price, not measured",
                "measured": measured,
            }
            for usd, measured in known_prices(row)
        ],
        "speed": wording.rate(speed),
        "speed_basis": how,
        "million": _hours(speed),
    }


def _basis(row: dict[str, Any]) -> str:
    timed = row.get("speed_basis") == "measured" and len(row.get("runs") or []) > 1
    return "measured time at the stated hourly price" if timed else "measured: paid"


def _hours(speed: float | None) -> str:
    if not speed:
        return "–"
    hours = 1e6 / speed / 3600.0
    return f"{hours:,.1f} h" if hours < 100 else f"{hours / 24:,.0f} days"


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,g}" if value < 1e6 else f"{value:,.0f}"


def _break_even(cost: dict[str, Any]) -> dict[str, str] | None:
    pays = cost.get("break_even")
    if not pays:
        return None
    teacher = (cost.get("judges") or {}).get("teacher") or {}
    if pays.get("labels") is not None:
        return {"kind": "known", "labels": f"{pays['labels']:,} labels", "reason": pays["reason"]}
    known = teacher.get("usd_per_1000_labels") is not None
    return {"kind": "never" if known else "not known", "labels": "", "reason": pays["reason"]}


def _picture(
    agreement: dict[str, Any], known: dict[str, Any], shown: list[str], judges: Judges
) -> dict[str, Any] | None:
    """Agreement over dollars; a price of 0 or none has no place on a logarithmic axis."""
    points, absent = [], []
    for name in shown:
        row = agreement["judges"].get(name, {}).get(PRIMARY) or {}
        costs = known_prices(known[name])
        if row.get("estimate") is None:
            absent.append(f"{judges.label(name)}: no agreement")
        elif not costs:
            absent.append(f"{judges.label(name)}: price not known")
        elif max(costs)[0] <= 0:
            absent.append(f"{judges.label(name)}: costs nothing")
        points += [
            (name, price, measured, row)
            for price, measured in costs
            if price > 0 and row.get("estimate") is not None
        ]
    if not points:
        return None
    x = log_axis((point[1] for point in points), SIZE["left"], SIZE["right"])
    limits = [
        row[side]
        for *_, row in points
        for side in ("estimate", "low", "high")
        if row.get(side) is not None
    ]
    y = linear_axis(limits, SIZE["bottom"], SIZE["top"], ticks=4)
    marks: list[dict[str, Any]] = [
        {
            "x": x.at(price),
            "y": y.at(row["estimate"]),
            "low": y.at(row["low"]) if row.get("low") is not None else None,
            "high": y.at(row["high"]) if row.get("high") is not None else None,
            "tone": judges.tone(name),
            "measured": measured,
            "name": wording.shorten(judges.label(name), 22),
            "text": f"{judges.label(name)}: {wording.dollars(price)} for 1,000 labels, "
            f"quadratic κ {wording.figure(row['estimate'], 2)}",
        }
        for name, price, measured, row in points
    ]
    spread_labels(marks, _LABEL_HEIGHT, _LABEL_WIDTH)
    middle = (SIZE["left"] + SIZE["right"]) / 2
    for mark in marks:
        mark["left"] = mark["x"] > middle
    return {
        "size": SIZE,
        "marks": marks,
        "x_ticks": [{"x": x.at(t), "text": wording.dollars(t)} for t in log_ticks(x, most=5)],
        "y_ticks": [{"y": y.at(t), "text": f"{t:g}"} for t in linear_ticks(y, 4)],
        "absent": absent,
        "bases": sorted({mark["measured"] for mark in marks}, reverse=True),
    }
