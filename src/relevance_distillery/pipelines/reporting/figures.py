"""Plotly figures of the report's main results; Kedro-Viz previews them."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

COLOURS = {
    "student": "#0b6e6e",
    "teacher": "#8a5a00",
    "base": "#7a7f87",
    "people": "#2b3a55",
}
_SHOWN = ("quadratic_kappa", "kappa", "binary_kappa", "pairwise_accuracy", "ndcg_at_10")


def draw_figures(
    agreement: dict[str, Any], cost: dict[str, Any]
) -> tuple[go.Figure, go.Figure, go.Figure, go.Figure]:
    """Agreement with intervals, confusion of the student, grades given, price and agreement."""
    return (
        _agreement(agreement),
        _confusion(agreement),
        _grades_given(agreement),
        _cost(agreement, cost),
    )


def _styled(figure: go.Figure, title: str) -> go.Figure:
    return figure.update_layout(
        title=title,
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 70, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "y": -0.2},
    )


def _agreement(agreement: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    for judge in ("student", "teacher", "base"):
        metrics = agreement["judges"].get(judge)
        if not metrics:
            continue
        names = [name for name in _SHOWN if metrics[name]["estimate"] is not None]
        rows = [metrics[name] for name in names]
        figure.add_bar(
            name=judge,
            x=[name.replace("_", " ") for name in names],
            y=[row["estimate"] for row in rows],
            marker_color=COLOURS[judge],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [max(0.0, (_or(row, "high")) - row["estimate"]) for row in rows],
                "arrayminus": [max(0.0, row["estimate"] - _or(row, "low")) for row in rows],
            },
        )
    truth = "people" if agreement["benchmark"]["human"] else "the reference grades"
    return _styled(figure.update_layout(barmode="group"), f"Agreement with {truth}")


def _or(row: dict[str, Any], side: str) -> float:
    """A limit of an interval, the estimate where there is none."""
    return float(row["estimate"] if row[side] is None else row[side])


def _confusion(agreement: dict[str, Any]) -> go.Figure:
    table = agreement["confusion"].get("student")
    figure = go.Figure()
    if table:
        names = [grade["name"] for grade in agreement["scale"]]
        figure.add_heatmap(
            z=table["counts"],
            x=names,
            y=names,
            text=table["counts"],
            texttemplate="%{text}",
            colorscale="Teal",
            showscale=False,
        )
        figure.update_xaxes(title="student").update_yaxes(title="reference", autorange="reversed")
    return _styled(figure, "Where the student's grades fall")


def _grades_given(agreement: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    names = [grade["name"] for grade in agreement["scale"]]
    tables = agreement["confusion"]
    if tables:
        counts = next(iter(tables.values()))["counts"]
        figure.add_bar(
            name="reference",
            x=names,
            y=[sum(row) for row in counts],
            marker_color=COLOURS["people"],
        )
    for judge, table in tables.items():
        given = [sum(row[place] for row in table["counts"]) for place in range(len(names))]
        figure.add_bar(name=judge, x=names, y=given, marker_color=COLOURS[judge])
    return _styled(figure.update_layout(barmode="group"), "How often each grade is given")


def _cost(agreement: dict[str, Any], cost: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    for judge in ("student", "teacher"):
        price = cost["judges"][judge]["usd_per_1000_labels"]
        metrics = agreement["judges"].get(judge)
        if price is None or not metrics or metrics["quadratic_kappa"]["estimate"] is None:
            continue
        figure.add_scatter(
            name=judge,
            x=[price],
            y=[metrics["quadratic_kappa"]["estimate"]],
            mode="markers+text",
            text=[judge],
            textposition="top center",
            marker={"size": 16, "color": COLOURS[judge]},
        )
    figure.update_xaxes(title="USD per 1,000 labels", type="log")
    figure.update_yaxes(title="quadratic kappa")
    return _styled(figure, "Agreement against price")
