"""Everything that is drawn: axes and dots for the pages, and plotly figures for Kedro-Viz."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relevance_distillery.reporting import formats

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CHARACTER, _LINE, _MARK = 6.6, 15.0, 11.0
"""Of a label in a drawing: width of a letter, height, and how far from its mark it stands."""

Row = Mapping[str, Any]
"""A figure of agreement.json: estimate, low, high, each perhaps None."""


@dataclass(frozen=True)
class Axis:
    """A scale from values, `low` at the place `start` and `high`, which is above, at `end`.

    On a logarithmic one equal ratios have equal lengths; values are then above 0.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value, held within the axis."""
        low, high, value = (self._scaled(one) for one in (self.low, self.high, value))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(self.start + share * (self.end - self.start), 2)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.logarithmic else value


def linear_axis(values: Iterable[float], start: float, end: float, ticks: int = 5) -> Axis:
    """An axis with round limits around some values."""
    known = list(values)
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    step = _step((high - low) / ticks)
    return Axis(
        round(math.floor(low / step + 1e-9) * step, 9),
        round(math.ceil(high / step - 1e-9) * step, 9),
        start,
        end,
    )


def linear_ticks(axis: Axis, ticks: int = 5) -> list[float]:
    """Round values along an axis, its limits among them where they are round."""
    step = _step((axis.high - axis.low) / ticks)
    first = math.ceil(axis.low / step - 1e-9)
    last = math.floor(axis.high / step + 1e-9)
    return [round(number * step, 9) + 0.0 for number in range(first, last + 1)]


def log_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """A logarithmic axis around some values, all above 0; at least a factor of ten long."""
    known = list(values)
    low, high = min(known), max(known)
    low, high = low / 1.6, high * 1.6
    if high / low < 10.0:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(10.0), middle * math.sqrt(10.0)
    return Axis(low, high, start, end, logarithmic=True)


def log_ticks(axis: Axis, most: int = 7) -> list[float]:
    """Powers of ten, with 2 and 5 times them where there is room."""
    exponents = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [
            factor * 10.0**exponent
            for exponent in exponents
            for factor in factors
            if axis.low <= factor * 10.0**exponent <= axis.high
        ]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]


def _step(wanted: float) -> float:
    size = 10.0 ** math.floor(math.log10(wanted))
    return next(
        factor * size for factor in (1.0, 2.0, 5.0, 10.0) if factor * size >= wanted - 1e-12
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    """The `d` of a line through some places."""
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)


def place_labels(marks: list[dict[str, Any]], limits: tuple[float, float]) -> None:
    """Put each label beside its own mark, clear of the other marks and labels, within the limits.

    A mark has `x`, `y` and `name`, and gets `label_x`, `label_y` and `anchor`.
    """
    reach = _MARK + _LINE
    boxes: list[tuple[float, float, float, float]] = []
    for mark in sorted(marks, key=lambda one: (one["x"], one["y"])):
        width = _CHARACTER * len(mark["name"])
        others = [
            # A label just above or below another mark reads as that one's.
            (other["x"] - _MARK, other["x"] + _MARK, other["y"] - reach, other["y"] + reach)
            for other in marks
            if other is not mark
        ]
        found = []
        for step, down in enumerate((0, -_LINE, _LINE, -2 * _LINE, 2 * _LINE)):
            for anchor, left in (("start", mark["x"] + _MARK), ("end", mark["x"] - _MARK - width)):
                y = mark["y"] + down
                box = (left, left + width, y - _LINE / 2, y + _LINE / 2)
                hidden = sum(_overlap(box, other) for other in (*others, *boxes))
                outside = max(0.0, limits[0] - box[0]) + max(0.0, box[1] - limits[1])
                cost = hidden + 10.0 * outside + step
                found.append((cost, anchor, y, box))
        _, anchor, y, box = min(found, key=lambda one: one[0])
        boxes.append(box)
        mark["anchor"], mark["label_y"] = anchor, round(y, 2)
        mark["label_x"] = round(mark["x"] + (_MARK if anchor == "start" else -_MARK), 2)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The area that two boxes (left, right, top, bottom) share."""
    wide = min(one[1], other[1]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[2], other[2])
    return max(0.0, wide) * max(0.0, high)


def scatter(
    points: Sequence[Mapping[str, Any]],
    size: Mapping[str, int],
    shown: Callable[[float], str],
    x_most: int = 7,
    y_ticks: int = 5,
) -> dict[str, Any]:
    """Figures with intervals and names over logarithmic values, as places in a drawing.

    Points are marks (name, tone, measured, text) with x, a value above 0, and y, a figure; `shown`
    is a tick of the values as text.
    """
    rows = [one["y"] for one in points]
    x = log_axis((one["x"] for one in points), size["left"], size["right"])
    y = linear_axis(ends_of(rows), size["bottom"], size["top"], y_ticks)
    marks = [
        {**one, "x": x.at(one["x"]), "y": y.at(row["estimate"]), **limits(row, y)}
        for one, row in zip(points, rows, strict=True)
    ]
    place_labels(marks, (size["left"], size["width"]))
    return {
        "size": size,
        "marks": marks,
        "x_ticks": [{"x": x.at(tick), "text": shown(tick)} for tick in log_ticks(x, x_most)],
        "y_ticks": [{"y": y.at(tick), "text": f"{tick:g}"} for tick in linear_ticks(y, y_ticks)],
    }


def limits(row: Row, axis: Axis, prefix: str = "") -> dict[str, float | None]:
    """The places of an interval's ends, None where there is none."""
    ends = {side: row.get(prefix + side) for side in ("low", "high")}
    return {side: None if end is None else axis.at(end) for side, end in ends.items()}


def dots(rows: Iterable[tuple[str, str, str, Row]], digits: int = 2) -> dict[str, Any] | None:
    """Dots with intervals, places in percent of the axis, which ends at 1 or beyond.

    Rows have a CSS class, label, small print and figure; undefined ones are left out.

    Returns:
        `ticks` and `rows`; None where nothing is defined.
    """
    known = [row for row in rows if row[3].get("estimate") is not None]
    if not known:
        return None
    ends = ends_of(row for *_, row in known)
    if max(ends) <= 1.0:
        start = 0.0 if min(ends) >= 0 else -0.2 * (1 + int(-min(ends) / 0.2))
        axis = Axis(start, 1.0, 0.0, 100.0)
        ticks = [start + 0.2 * step for step in range(round((1.0 - start) / 0.2) + 1)]
    else:
        axis = linear_axis([0.0, *ends], 0.0, 100.0)
        ticks = linear_ticks(axis)
    return {
        "ticks": [{"left": axis.at(tick), "text": formats.figure(tick, 1)} for tick in ticks],
        "rows": [
            {
                "kind": kind,
                "label": label,
                "sub": sub,
                "text": formats.figure(row["estimate"], digits),
                "span": formats.span(row, digits),
                **_placed(row, axis),
            }
            for kind, label, sub, row in known
        ],
    }


def ends_of(rows: Iterable[Row]) -> list[float]:
    """All values that an axis has to hold: estimates and limits, those that are defined."""
    sides = ("estimate", "low", "high")
    return [row[side] for row in rows for side in sides if row.get(side) is not None]


def bar(row: Row | None) -> dict[str, float] | None:
    """One dot with its interval on an axis from 0 to 1, for a table's cell."""
    if not row or row.get("estimate") is None:
        return None
    return _placed(row, Axis(0.0, 1.0, 0.0, 100.0))


def _placed(row: Row, axis: Axis) -> dict[str, float]:
    at = axis.at(row["estimate"])
    low, high = (
        axis.at(row[side]) if row.get(side) is not None else at for side in ("low", "high")
    )
    return {"at": at, "from": low, "width": round(high - low, 2)}


def plotly_figure(title: str) -> go.Figure:
    """An empty figure in the style of the project."""
    import plotly.graph_objects as go

    return go.Figure(
        layout={
            "title": title,
            "template": "plotly_white",
            "font": {"family": "system-ui, sans-serif", "size": 13},
            "margin": {"l": 70, "r": 20, "t": 50, "b": 50},
            "legend": {"orientation": "h", "y": -0.2},
        }
    )


def whiskers(rows: Iterable[Row]) -> dict[str, Any]:
    """The limits of intervals as plotly's error bars, none where there is no interval."""
    above, below = [], []
    for row in rows:
        estimate = row["estimate"]
        low, high = (estimate if row.get(side) is None else row[side] for side in ("low", "high"))
        above.append(max(0.0, high - estimate))
        below.append(max(0.0, estimate - low))
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
