"""The report's drawings: for the page and, as plotly figures, for Kedro-Viz.

Reliability, agreement against price and interval width against queries are given as places in
units of their drawing, of which the templates make SVG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.reporting import charts
from relevance_distillery.reporting.formats import count, dollars, figure, shorten
from relevance_distillery.reporting.judge_names import Judges, judges_of, truth_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

_RELIABILITY = {"width": 300, "height": 280, "left": 42, "right": 286, "top": 12, "bottom": 240}
_PRICE = {"width": 440, "height": 300, "left": 48, "right": 404, "top": 16, "bottom": 248}
_WIDTHS = {"width": 440, "height": 270, "left": 52, "right": 424, "top": 14, "bottom": 222}


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


def _unit_axes() -> tuple[charts.Axis, charts.Axis]:
    return (
        charts.Axis(0.0, 1.0, _RELIABILITY["left"], _RELIABILITY["right"]),
        charts.Axis(0.0, 1.0, _RELIABILITY["bottom"], _RELIABILITY["top"]),
    )


def _reliability(
    bins: Sequence[Mapping[str, Any]], predicted: str, observed: str
) -> dict[str, Any]:
    """Dots as large as their bins are full, joined by a line, with intervals where given."""
    x, y = _unit_axes()
    most = max((one["pairs"] for one in bins), default=1)
    points: list[dict[str, Any]] = [
        {
            "x": x.at(one[predicted]),
            "y": y.at(one[observed]),
            "r": round(3.0 + 6.0 * (one["pairs"] / most) ** 0.5, 1),
            "text": f"{count(one['pairs'])} pairs: said {figure(one[predicted], 2)}, "
            f"was {figure(one[observed], 2)}",
            **charts.limits(one, y, f"{observed}_"),
        }
        for one in bins
    ]
    return {
        "points": points,
        "line": charts.path((point["x"], point["y"]) for point in points)
        if len(points) > 1
        else "",
    }


def known_prices(cost: Mapping[str, Any], judge: str) -> list[tuple[float, bool]]:
    """Dollars for 1,000 labels, and whether they were measured; both kinds where both are known."""
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
    marks = [
        {
            "x": price,
            "y": row,
            "tone": judges.tone(name),
            "measured": measured,
            "name": shorten(judges.label(name), 22),
            "text": f"{judges.label(name)}: {dollars(price)} for 1,000 labels, "
            f"quadratic κ {figure(row['estimate'], 2)}",
        }
        for name, price, measured, row in points
    ]
    return charts.scatter(marks, _PRICE, dollars, x_most=5, y_ticks=4) | {
        "absent": absent,
        "bases": sorted({measured for _, _, measured, _ in points}, reverse=True),
    }


def interval_widths(sample_size: Mapping[str, Any]) -> dict[str, Any] | None:
    """Half widths over queries, logarithmic in queries; None with fewer than two of them."""
    rows = [row for row in sample_size.get("by_queries", []) if row["half_width"] is not None]
    if len(rows) < 2:
        return None
    size = _WIDTHS
    x = charts.log_axis((row["queries"] for row in rows), size["left"], size["right"])
    y = charts.linear_axis(
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
        "x_ticks": [{"x": x.at(t), "text": count(t)} for t in charts.log_ticks(x) if t >= 1],
        "y_ticks": [{"y": y.at(t), "text": f"{t:g}"} for t in charts.linear_ticks(y, 4)],
        "points": points,
        "measured": charts.path((p["x"], p["y"]) for p in measured) if len(measured) > 1 else "",
        "projected": charts.path((p["x"], p["y"]) for p in ahead) if len(ahead) > 1 else "",
    }


_ROLES = {"student": "#0b6e6e", "teacher": "#8a5a00", "base": "#7a7f87"}
_PEOPLE = "#2b3a55"
_TONES = (
    *("#0b6e6e", "#a06800", "#7a3e9d", "#1f5fa8"),
    *("#b23a48", "#4f7a28", "#8c564b", "#52606d"),
)
_SHOWN = ("quadratic_kappa", "kappa", "binary_kappa", "pairwise_accuracy", "ndcg_at_10")


def draw_figures(
    agreement: dict[str, Any], cost: dict[str, Any]
) -> tuple[go.Figure, go.Figure, go.Figure, go.Figure, go.Figure]:
    """Agreement with intervals, confusion of the first judge, grades given, price, reliability."""
    judges = judges_of(agreement)
    return (
        _agreement_figure(agreement, judges),
        _confusion_figure(agreement, judges),
        _grades_given_figure(agreement, judges),
        _cost_figure(agreement, cost, judges),
        _reliability_figure(agreement, judges),
    )


def _colour(judges: Judges, name: str) -> str:
    if judges.has_student and name in _ROLES:
        return _ROLES[name]
    place = judges.main.index(name) if name in judges.main else -1
    return _TONES[place % len(_TONES)]


def _agreement_figure(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    drawn = charts.plotly_figure(f"Agreement with {truth_of(agreement['benchmark']).noun}")
    for judge in judges.main:
        metrics = agreement["judges"][judge]
        names = [name for name in _SHOWN if _known(metrics.get(name))]
        rows = [metrics[name] for name in names]
        drawn.add_bar(
            name=judges.label(judge),
            x=[name.replace("_", " ") for name in names],
            y=[row["estimate"] for row in rows],
            marker_color=_colour(judges, judge),
            error_y=charts.whiskers(rows),
        )
    return drawn.update_layout(barmode="group")


def _known(row: dict[str, Any] | None) -> bool:
    return row is not None and row.get("estimate") is not None


def _confusion_figure(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    table = agreement["confusion"].get(judges.first)
    drawn = charts.plotly_figure(
        f"Where the grades of {judges.label(judges.first) or 'nobody'} fall"
    )
    if table:
        names = [grade["name"] for grade in agreement["scale"]]
        drawn.add_heatmap(
            z=table["counts"],
            x=names,
            y=names,
            text=table["counts"],
            texttemplate="%{text}",
            colorscale="Teal",
            showscale=False,
        )
        drawn.update_xaxes(title=judges.label(judges.first))
        drawn.update_yaxes(title=truth_of(agreement["benchmark"]).short, autorange="reversed")
    return drawn


def _grades_given_figure(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    drawn = charts.plotly_figure("How often each grade is given")
    names = [grade["name"] for grade in agreement["scale"]]
    tables = agreement["confusion"]
    if judges.first in tables:
        counts = tables[judges.first]["counts"]
        drawn.add_bar(
            name=truth_of(agreement["benchmark"]).short,
            x=names,
            y=[sum(row) for row in counts],
            marker_color=_PEOPLE,
        )
    for judge in judges.main:
        if judge in tables:
            counts = tables[judge]["counts"]
            drawn.add_bar(
                name=judges.label(judge),
                x=names,
                y=[sum(row[place] for row in counts) for place in range(len(names))],
                marker_color=_colour(judges, judge),
            )
    return drawn.update_layout(barmode="group")


def _cost_figure(agreement: dict[str, Any], cost: dict[str, Any], judges: Judges) -> go.Figure:
    """Filled: measured; hollow: a list price. Nothing that costs 0 fits the logarithmic axis."""
    drawn = charts.plotly_figure("Agreement against price")
    for judge in judges.main:
        row = agreement["judges"][judge].get(PRIMARY)
        if row is None or not _known(row):
            continue
        for price, measured in known_prices(cost, judge):
            if price > 0:
                drawn.add_scatter(
                    name=f"{judges.label(judge)} ({'measured' if measured else 'list price'})",
                    x=[price],
                    y=[row["estimate"]],
                    error_y=charts.whiskers([row]),
                    mode="markers+text",
                    text=[judges.label(judge)],
                    textposition="middle right",
                    marker={
                        "size": 14,
                        "color": _colour(judges, judge),
                        "symbol": "circle" if measured else "circle-open",
                    },
                )
    drawn.update_xaxes(title="USD per 1,000 labels", type="log")
    drawn.update_yaxes(title="quadratic kappa")
    return drawn


def _reliability_figure(agreement: dict[str, Any], judges: Judges) -> go.Figure:
    drawn = charts.plotly_figure("Reliability of the probabilities")
    drawn.add_scatter(
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
            drawn.add_scatter(
                name=judges.label(judge),
                x=[row["predicted"] for row in rows],
                y=[row["estimate"] for row in rows],
                error_y=charts.whiskers(rows),
                mode="lines+markers",
                marker={"color": _colour(judges, judge)},
            )
    drawn.update_xaxes(title="predicted probability of relevant", range=[0, 1])
    drawn.update_yaxes(title="share relevant", range=[0, 1])
    return drawn
