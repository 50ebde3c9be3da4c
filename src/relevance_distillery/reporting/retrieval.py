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


def write_page(found: dict[str, Any]) -> str:
    """Render retrieval.json, which holds no texts; names may be hostile, they are escaped."""
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
    )


def _ladder(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Coordinates of what every rung keeps over the time of a query, the reference keeps all."""
    whole = {REFERENCE: {PRIMARY: {"estimate": 1.0}}}
    kept = {name: row[PRIMARY] for name, row in (whole | found["recovered"]).items()}
    points = [
        {
            "x": spent["median_ms"],
            "y": kept[name],
            "tone": "student",
            "measured": name == found["compression"]["rung"],
            "name": name,
            "text": f"{name}: {figure(kept[name]['estimate'])} kept, {spent['median_ms']:g} ms",
        }
        for name, spent in found["latency"].items()
        if name != "compressed" and kept.get(name, {}).get("estimate") is not None
    ]
    return charts.scatter(points, _SIZE, lambda tick: f"{tick:g}") if points else None


def _sign(row: Mapping[str, Any], level: float) -> int:
    """1 or -1 for a difference beyond chance by its interval and its p-value, else 0."""
    if row["p"] is None or row["p"] >= 1.0 - level or row["low"] is None:
        return 0
    return int(row["low"] > 0) - int(row["high"] < 0)
