"""A figure with its interval as a table's cell, and dots with intervals on one axis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.drawing import Axis


def cell(row: dict[str, Any] | None, signed: bool = False, digits: int = 3) -> dict[str, str]:
    """Value, interval, and the reason where there is none."""
    if not row:
        return {"value": "–", "span": "", "title": ""}
    return {
        "value": wording.figure(row.get("estimate"), digits, signed),
        "span": wording.span(row, 2, signed),
        "title": row.get("reason", ""),
    }


def dots(rows: Iterable[tuple[str, str, str, dict[str, Any]]]) -> dict[str, Any] | None:
    """Dots with intervals, places in percent of the axis, which ends at 1.

    Args:
        rows: CSS class, label, small print and interval of each; undefined ones are left out.

    Returns:
        `ticks` and `rows`; None where nothing is defined.
    """
    known = [row for row in rows if row[3].get("estimate") is not None]
    if not known:
        return None
    lowest = min(
        row[side] for *_, row in known for side in ("estimate", "low") if row.get(side) is not None
    )
    start = 0.0 if lowest >= 0 else -0.2 * (1 + int(-lowest / 0.2))
    axis = Axis(start, 1.0, 0.0, 100.0)
    return {
        "ticks": [
            {"left": axis.at(tick), "text": wording.figure(tick, 1)}
            for tick in (start + 0.2 * number for number in range(round((1.0 - start) / 0.2) + 1))
        ],
        "rows": [
            {"kind": kind, "label": label, "sub": sub} | _placed(row, axis)
            for kind, label, sub, row in known
        ],
    }


def _placed(row: dict[str, Any], axis: Axis) -> dict[str, Any]:
    at = axis.at(row["estimate"])
    low, high = (
        axis.at(row[side]) if row.get(side) is not None else at for side in ("low", "high")
    )
    return {
        "at": at,
        "from": low,
        "width": round(high - low, 2),
        "text": wording.figure(row["estimate"], 2),
        "span": wording.span(row, 2),
    }


def bar(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """One dot with its interval on an axis from 0 to 1, for a table's cell."""
    if not row or row.get("estimate") is None:
        return None
    return _placed(row, Axis(0.0, 1.0, 0.0, 100.0))
