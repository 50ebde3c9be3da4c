"""The report as one page: tables and a drawing, no script, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from relevance_distillery.reporting.pages import fill

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 760, 380, 60, 50, 20, 20
_MEASURES = {
    "quadratic_kappa": "quadratic κ",
    "kappa": "κ",
    "binary_kappa": "binary κ",
    "accuracy": "accuracy",
    "bias": "bias",
}


def write_page(report: dict[str, Any]) -> str:
    """Render the report; names in it may be hostile, they are escaped.

    Args:
        report: The cascade_report.
    """
    return fill(
        "cascade.html.jinja2",
        report=report,
        measures=_MEASURES,
        drawing=_drawing(report),
    )


def _drawing(report: dict[str, Any]) -> dict[str, Any]:
    """Coordinates of the frontier, of single systems and of the axes' ticks."""
    line = [
        (point["cost"], point["quadratic_kappa"]["estimate"])
        for point in report["frontier"]
        if point["quadratic_kappa"]["estimate"] is not None
    ]
    marks = [
        (name, row["cost"], row["quadratic_kappa"]["estimate"])
        for name, row in report["systems"].items()
        if row["quadratic_kappa"]["estimate"] is not None
    ]
    costs = [cost for cost, _ in line] + [cost for _, cost, _ in marks] + [0.0, 1.0]
    kappas = [kappa for _, kappa in line] + [kappa for _, _, kappa in marks] + [0.0]
    most, low, high = max(costs), min(kappas), max(*kappas, 0.1)

    def x(cost: float) -> float:
        return round(_LEFT + cost / most * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(kappa: float) -> float:
        share = (kappa - low) / (high - low)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "line": " ".join(f"{x(cost)},{y(kappa)}" for cost, kappa in line),
        "marks": [{"name": name, "x": x(cost), "y": y(kappa)} for name, cost, kappa in marks],
        "x_ticks": [
            {"at": x(most * step / 4), "text": f"{most * step / 4:.2f}"} for step in range(5)
        ],
        "y_ticks": [
            {
                "at": y(low + (high - low) * step / 4),
                "text": f"{low + (high - low) * step / 4:.2f}",
            }
            for step in range(5)
        ],
        "left": _LEFT,
        "bottom": _HEIGHT - _BOTTOM,
    }
