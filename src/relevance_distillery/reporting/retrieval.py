"""A retriever's training as one page, from retrieval.json: what was gained, by what, where not."""

from collections.abc import Mapping
from typing import Any

from relevance_distillery.evaluation.retrieval import PRIMARY, REFERENCE, UNTRAINED
from relevance_distillery.reporting import charts
from relevance_distillery.reporting.charts import dots
from relevance_distillery.reporting.formats import figure
from relevance_distillery.reporting.pages import fill

_SIZE = {"width": 760, "height": 380, "left": 60, "right": 740, "top": 12, "bottom": 330}
_INGREDIENTS = {
    "one_stage": "one stage after the other",
    "one_channel": "several channels",
    "no_token_similar": "token-similar negatives",
    "listwise": "this curriculum, not graded listwise distillation",
}
"""What the curriculum has and the system of that name has not."""


def write_page(
    found: dict[str, Any],
    queries: Mapping[str, str] | None = None,
    passages: Mapping[str, str] | None = None,
) -> str:
    """Render retrieval.json; names and texts may be hostile, they are escaped.

    Examples show ids unless the texts of queries and passages are given, by id: then the page is as
    confidential as they are.
    """
    systems = found["systems"]
    subject = next(
        name for name in ("retriever", "curriculum", "compressed", *systems) if name in systems
    )
    names = dict.fromkeys(name for row in systems.values() for name in row)
    stages = [
        ("student", f"{recipe}: {stage['name']}", "", {"estimate": stage.get("validation")})
        for recipe, facts in found.get("training", {}).items()
        for stage in facts["stages"]
    ]
    return fill(
        "retrieval.html.jinja2",
        found=found,
        subject=subject,
        gain=found["differences"].get(subject, {}).get(PRIMARY),
        beside=found.get(f"{subject}_minus", {}),
        primary=PRIMARY,
        untrained=UNTRAINED,
        sign=lambda row: _sign(row, found["options"]["level"]),
        picture=dots((("student", name, "", row[PRIMARY]) for name, row in systems.items()), 3),
        metrics=[one for one in names if one == f"condensed_{PRIMARY}" or "condensed_" not in one],
        ingredients=_INGREDIENTS,
        rungs=_ladder(found) if "compression" in found else None,
        curve=dots(stages, 3),
        queries=queries or {},
        passages=passages or {},
    )


def _ladder(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Coordinates of what every rung keeps over the time of a query, the reference keeps all."""
    whole = {REFERENCE: {PRIMARY: {"estimate": 1.0}}}
    kept = {name: row[PRIMARY] for name, row in (whole | found["recovered"]).items()}
    rows = [
        (name, float(spent["median_ms"]), kept[name])
        for name, spent in found["latency"].items()
        if name != "compressed" and kept.get(name, {}).get("estimate") is not None
    ]
    if not rows:
        return None
    size = _SIZE
    ends = charts.ends_of(row for *_, row in rows)
    x = charts.log_axis((spent for _, spent, _ in rows), size["left"], size["right"])
    y = charts.linear_axis(ends, size["bottom"], size["top"])
    marks: list[dict[str, Any]] = [
        {
            "x": x.at(spent), "y": y.at(row["estimate"]), "tone": "student", "name": name,
            "measured": name == found["compression"]["rung"],
            "text": f"{name}: {figure(row['estimate'])} kept, {spent:g} ms",
            **{
                side: None if row.get(side) is None else y.at(row[side]) for side in ("low", "high")
            },
        }
        for name, spent, row in rows
    ]  # fmt: skip
    charts.place_labels(marks, (size["left"], size["width"]))
    return {
        "size": size,
        "marks": marks,
        "x_ticks": [{"x": x.at(tick), "text": f"{tick:g}"} for tick in charts.log_ticks(x)],
        "y_ticks": [{"y": y.at(tick), "text": f"{tick:g}"} for tick in charts.linear_ticks(y)],
    }


def _sign(row: Mapping[str, Any], level: float) -> int:
    """1 or -1 for a difference beyond chance by its interval and its p-value, else 0."""
    if row["p"] is None or row["p"] >= 1.0 - level or row["low"] is None:
        return 0
    return int(row["low"] > 0) - int(row["high"] < 0)
