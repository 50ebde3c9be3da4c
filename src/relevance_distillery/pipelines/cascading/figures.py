"""The cost-agreement frontier of a cascade as a plotly figure; Kedro-Viz previews it."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

_CASCADE, _OTHERS, _PEOPLE = "#0b6e6e", "#8a5a00", "#7a7f87"


def draw_frontier(report: dict[str, Any]) -> go.Figure:
    """Quadratic kappa on the benchmark against cost, for the frontier and all single systems.

    Args:
        report: The cascade_report.
    """
    figure = go.Figure()
    points = report["frontier"]
    figure.add_scatter(
        name="cascades chosen on the train set",
        x=[point["cost"] for point in points],
        y=[point["quadratic_kappa"]["estimate"] for point in points],
        mode="lines+markers",
        line={"color": _CASCADE},
        error_y=_whiskers([point["quadratic_kappa"] for point in points]),
    )
    figure.add_scatter(
        name="the same on the train set",
        x=[point["chosen_on"]["cost"] for point in points],
        y=[point["chosen_on"]["quadratic_kappa"] for point in points],
        mode="lines",
        line={"color": _PEOPLE, "dash": "dot"},
    )
    for name, row in report["systems"].items():
        figure.add_scatter(
            name=name,
            x=[row["cost"]],
            y=[row["quadratic_kappa"]["estimate"]],
            mode="markers",
            marker={
                "size": 14 if name == "cascade" else 10,
                "symbol": "star" if name == "cascade" else "circle",
                "color": _CASCADE if name == "cascade" else _OTHERS,
            },
        )
    figure.update_xaxes(title=f"cost of a pair ({report['cost_unit']})")
    figure.update_yaxes(title=f"quadratic kappa on {report['benchmark']['name']}")
    return figure.update_layout(
        title="Cost and agreement",
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "y": -0.25},
    )


def _whiskers(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def side(row: dict[str, Any], key: str) -> float:
        estimate, limit = row["estimate"] or 0.0, row[key]
        return 0.0 if limit is None else abs(limit - estimate)

    return {
        "type": "data",
        "symmetric": False,
        "array": [side(row, "high") for row in rows],
        "arrayminus": [side(row, "low") for row in rows],
        "thickness": 0.7,
    }
