"""The report's main results as plotly figures, which Kedro-Viz previews."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.reporting.charts import plotly_figure, whiskers
from relevance_distillery.reporting.diagrams import known_prices
from relevance_distillery.reporting.judge_names import Judges, judges_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROLES = {"student": "#0b6e6e", "teacher": "#8a5a00", "base": "#7a7f87"}
_PEOPLE = "#2b3a55"
_TONES = (
    "#0b6e6e",
    "#a06800",
    "#7a3e9d",
    "#1f5fa8",
    "#b23a48",
    "#4f7a28",
    "#8c564b",
    "#52606d",
)
_SHOWN = ("quadratic_kappa", "kappa", "binary_kappa", "pairwise_accuracy", "ndcg_at_10")


def draw_figures(
    agreement: dict[str, Any], cost: dict[str, Any]
) -> tuple[go.Figure, go.Figure, go.Figure, go.Figure, go.Figure]:
    """Agreement with intervals, confusion of the first judge, grades given, price, reliability."""
    judges = judges_of(agreement)
    return (
        _agreement(agreement, judges),
        _confusion(agreement, judges),
        _grades_given(agreement, judges),
        _cost(agreement, cost, judges),
        _reliability(agreement, judges),
    )


def _colour(judges: Judges, name: str) -> str:
    if judges.has_student and name in _ROLES:
        return _ROLES[name]
    place = judges.main.index(name) if name in judges.main else -1
    return _TONES[place % len(_TONES)]


def _agreement(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    truth = "people" if agreement["benchmark"]["human"] else "the reference grades"
    figure = plotly_figure(f"Agreement with {truth}")
    for judge in judges.main:
        metrics = agreement["judges"][judge]
        names = [name for name in _SHOWN if _known(metrics.get(name))]
        rows = [metrics[name] for name in names]
        figure.add_bar(
            name=judges.label(judge),
            x=[name.replace("_", " ") for name in names],
            y=[row["estimate"] for row in rows],
            marker_color=_colour(judges, judge),
            error_y=whiskers(rows),
        )
    return figure.update_layout(barmode="group")


def _known(row: dict[str, Any] | None) -> bool:
    return row is not None and row.get("estimate") is not None


def _confusion(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    table = agreement["confusion"].get(judges.first)
    figure = plotly_figure(f"Where the grades of {judges.label(judges.first) or 'nobody'} fall")
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
        figure.update_xaxes(title=judges.label(judges.first))
        figure.update_yaxes(title="reference", autorange="reversed")
    return figure


def _grades_given(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    figure = plotly_figure("How often each grade is given")
    names = [grade["name"] for grade in agreement["scale"]]
    tables = agreement["confusion"]
    if judges.first in tables:
        counts = tables[judges.first]["counts"]
        figure.add_bar(
            name="reference",
            x=names,
            y=[sum(row) for row in counts],
            marker_color=_PEOPLE,
        )
    for judge in judges.main:
        if judge in tables:
            counts = tables[judge]["counts"]
            figure.add_bar(
                name=judges.label(judge),
                x=names,
                y=[sum(row[place] for row in counts) for place in range(len(names))],
                marker_color=_colour(judges, judge),
            )
    return figure.update_layout(barmode="group")


def _cost(agreement: dict[str, Any], cost: dict[str, Any], judges: Judges) -> go.Figure:
    """Filled: measured; hollow: a list price. Nothing that costs 0 fits the logarithmic axis."""
    figure = plotly_figure("Agreement against price")
    for judge in judges.main:
        row = agreement["judges"][judge].get(PRIMARY)
        if row is None or not _known(row):
            continue
        for price, measured in known_prices(cost, judge):
            if price > 0:
                figure.add_scatter(
                    name=f"{judges.label(judge)} ({'measured' if measured else 'list price'})",
                    x=[price],
                    y=[row["estimate"]],
                    error_y=whiskers([row]),
                    mode="markers+text",
                    text=[judges.label(judge)],
                    textposition="top center",
                    marker={
                        "size": 14,
                        "color": _colour(judges, judge),
                        "symbol": "circle" if measured else "circle-open",
                    },
                )
    figure.update_xaxes(title="USD per 1,000 labels", type="log")
    figure.update_yaxes(title="quadratic kappa")
    return figure


def _reliability(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    figure = plotly_figure("Reliability of the probabilities")
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"dash": "dash", "color": "#7a7f87"},
        name="perfect calibration",
    )
    for judge in (*judges.main, *judges.scores):
        rows = [
            {"predicted": row["predicted"], "estimate": row["observed"]}
            | {side: row.get(f"observed_{side}") for side in ("low", "high")}
            for row in agreement["calibration"].get(judge, {}).get("relevant", {}).get("bins", [])
            if row.get("predicted") is not None and row.get("observed") is not None
        ]
        if rows:
            figure.add_scatter(
                name=judges.label(judge),
                x=[row["predicted"] for row in rows],
                y=[row["estimate"] for row in rows],
                error_y=whiskers(rows),
                mode="lines+markers",
                marker={"color": _colour(judges, judge)},
            )
    figure.update_xaxes(title="predicted probability of relevant", range=[0, 1])
    figure.update_yaxes(title="share relevant", range=[0, 1])
    return figure
