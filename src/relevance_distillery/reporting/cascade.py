"""A cascade's report: one page without script, and the frontier as a figure for Kedro-Viz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevance_distillery.reporting import charts
from relevance_distillery.reporting.formats import figure
from relevance_distillery.reporting.pages import fill

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CASCADE, _OTHERS, _TRAIN_SET = "#0b6e6e", "#8a5a00", "#7a7f87"
_MEASURES = ("quadratic_kappa", "kappa", "binary_kappa", "accuracy", "bias")


def draw_frontier(report: dict[str, Any]) -> go.Figure:
    """Quadratic kappa on the benchmark against cost, for the frontier and all single systems."""
    drawn = charts.plotly_figure("Cost and agreement")
    points = _frontier(report)
    drawn.add_scatter(
        name="cascades chosen on the train set",
        x=[point["cost"] for point in points],
        y=[point["quadratic_kappa"]["estimate"] for point in points],
        mode="lines+markers",
        line={"color": _CASCADE},
        error_y=charts.whiskers(point["quadratic_kappa"] for point in points) | {"thickness": 0.7},
    )
    drawn.add_scatter(
        name="the same on the train set",
        x=[point["chosen_on"]["cost"] for point in points],
        y=[point["chosen_on"]["quadratic_kappa"] for point in points],
        mode="lines",
        line={"color": _TRAIN_SET, "dash": "dot"},
    )
    for name, row in report["systems"].items():
        marker = {"size": 10, "symbol": "circle", "color": _OTHERS}
        if name == "cascade":
            marker = {"size": 14, "symbol": "star", "color": _CASCADE}
        drawn.add_scatter(
            name=name,
            x=[row["cost"]],
            y=[row["quadratic_kappa"]["estimate"]],
            mode="markers",
            marker=marker,
        )
    drawn.update_xaxes(title=f"cost of a pair ({report['cost_unit']})")
    drawn.update_yaxes(title=f"quadratic kappa on {report['benchmark']['name']}")
    return drawn


def _frontier(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        point for point in report["frontier"] if point["quadratic_kappa"]["estimate"] is not None
    ]


def fill_page(report: dict[str, Any]) -> str:
    """The page; names in the report may be hostile, they are escaped."""
    from relevance_distillery.evaluation.agreement.metrics import METRICS

    measures = {name: METRICS[name].title for name in _MEASURES}
    return fill("cascade.html.jinja2", report=report, measures=measures, drawing=_drawing(report))


def _drawing(report: dict[str, Any]) -> dict[str, Any]:
    """Coordinates of the frontier, of single systems and of the axes' ticks."""
    line = [(point["cost"], point["quadratic_kappa"]["estimate"]) for point in _frontier(report)]
    systems = [
        (name, row["cost"], row["quadratic_kappa"]["estimate"])
        for name, row in report["systems"].items()
        if row["quadratic_kappa"]["estimate"] is not None
    ]
    costs = [0.0, 1.0, *(cost for cost, _ in line), *(cost for _, cost, _ in systems)]
    kappas = [0.0, 0.1, *(kappa for _, kappa in line), *(kappa for _, _, kappa in systems)]
    x, y = charts.linear_axis(costs, 60, 740), charts.linear_axis(kappas, 330, 20)

    marks: list[dict[str, Any]] = [
        {"name": name, "x": x.at(cost), "y": y.at(kappa)} for name, cost, kappa in systems
    ]
    charts.place_labels(marks, (x.start, 760))

    def ticks(axis: charts.Axis) -> list[dict[str, Any]]:
        return [
            {"at": axis.at(value), "text": figure(value, 2)} for value in charts.linear_ticks(axis)
        ]

    return {
        "width": 760,
        "height": 380,
        "left": x.start,
        "bottom": y.start,
        "line": " ".join(f"{x.at(cost)},{y.at(kappa)}" for cost, kappa in line),
        "marks": marks,
        "x_ticks": ticks(x),
        "y_ticks": ticks(y),
    }
