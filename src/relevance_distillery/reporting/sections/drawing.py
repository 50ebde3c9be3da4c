"""Places on drawings: axes and their ticks, numbers only, in units of the drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Axis:
    """A scale from values to places.

    Attributes:
        low: Value at `start`.
        high: Value at `end`; above `low`.
        start: Place of `low`.
        end: Place of `high`.
        logarithmic: Equal ratios have equal lengths; values are then above 0.
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


def spread_labels(marks: list[dict[str, Any]], height: float, width: float) -> None:
    """Moves labels up or down until none covers another one nearby.

    Args:
        marks: Each with `x` and `y`; gets `label_y`.
        height: Least distance of two labels.
        width: Labels further apart than this do not touch.
    """
    placed: list[dict[str, Any]] = []
    for mark in sorted(marks, key=lambda one: one["y"]):
        y = mark["y"]
        for other in placed:
            if abs(other["x"] - mark["x"]) < width and y - other["label_y"] < height:
                y = other["label_y"] + height
        mark["label_y"] = round(y, 2)
        placed.append(mark)
