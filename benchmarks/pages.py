"""agreement.json and cost.json as Markdown: the answer, then every table of the report.

The HTML reports of runs on licensed collections show texts that may not be published; these
sections hold figures only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cells import MANY_JUDGES, SCORED, Names, cell, graded, table, zero
from details import (
    by_grade,
    calibration,
    costs,
    items,
    remarks,
    sample_size,
    slices,
    thresholds,
)

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.reporting.wording import p_value


def answer(agreement: dict[str, Any], names: Names) -> str:
    """Whose grades, how many, and what the primary metric says of each judge and couple."""
    benchmark = agreement["benchmark"]
    who = "graded by people" if benchmark.get("human") else "**not** graded by people"
    lines = [
        f"{benchmark['pairs']:,} pairs of {benchmark['queries']:,} queries, {who} "
        f"(`{benchmark.get('name', '')}`). In {METRICS[PRIMARY].title}, with 95 % intervals over "
        "queries:\n"
    ]
    for name in graded(agreement):
        lines.append(f"- {names.get(name, name)}: {cell(agreement['judges'][name][PRIMARY])}")
    ceiling = agreement["human_ceiling"].get(PRIMARY)
    if ceiling:
        lines.append(f"- people with each other: {cell(ceiling)}")
    couples = agreement["comparisons"]
    for couple in couples if len(couples) <= MANY_JUDGES else []:
        row = couple["metrics"].get(PRIMARY, {})
        first, second = (names.get(couple[side], couple[side]) for side in ("first", "second"))
        lines.append(
            f"- {first} minus {second}: {cell(row, signed=True)}, "
            f"**{row.get('conclusion') or 'not defined'}** at a margin of {couple['margin']:g}"
        )
    return "\n".join(lines) + "\n"


def every_metric(agreement: dict[str, Any], names: Names) -> str:
    """All metrics of judges with grades, and the rank metrics of those with scores."""
    judges, ceiling = graded(agreement), agreement["human_ceiling"]
    people = ["people with each other"] if ceiling else []
    rows = []
    for metric in METRICS.values():
        signed = zero(metric.name)
        cells = [cell(agreement["judges"][name].get(metric.name), signed) for name in judges]
        cells += [cell(ceiling.get(metric.name), signed) for _ in people]
        rows.append([metric.title, *cells])
    parts = [table(["metric", *(names.get(name, name) for name in judges), *people], rows)]
    scores = [name for name in agreement["judges"] if name not in judges]
    if scores:
        parts.append("\nRows that rank by a score without ties:\n\n")
        parts.append(
            table(
                ["score", *(METRICS[metric].title for metric in SCORED)],
                [
                    [
                        f"`{names.get(name, name)}`",
                        *(cell(agreement["judges"][name].get(metric)) for metric in SCORED),
                    ]
                    for name in scores
                ],
            )
        )
    return "".join(parts)


def comparisons(agreement: dict[str, Any], names: Names) -> str:
    """Differences on common pairs with intervals, p-values and conclusions."""
    couples = agreement["comparisons"]
    if not couples:
        return ""
    head = ["difference (95 %)", "p", "p, not worse by the margin", "conclusion"]
    if len(couples) > MANY_JUDGES:
        rows = [
            [
                f"{names.get(couple['first'], couple['first'])} minus "
                f"{names.get(couple['second'], couple['second'])}",
                *_difference(couple["metrics"].get(PRIMARY, {})),
            ]
            for couple in couples
        ]
        lead = f"{METRICS[PRIMARY].title}, margin {couples[0]['margin']:g}:\n\n"
        return lead + table(["couple", *head], rows)
    parts = []
    for couple in couples:
        first, second = (names.get(couple[side], couple[side]) for side in ("first", "second"))
        parts.append(f"{first} minus {second}, margin {couple['margin']:g}:\n\n")
        rows = [[METRICS[name].title, *_difference(row)] for name, row in couple["metrics"].items()]
        parts.append(table(["metric", *head], rows) + "\n")
    parts.append(f"p-values of all but {METRICS[PRIMARY].title} are Holm-corrected.\n")
    return "".join(parts)


def _difference(row: dict[str, Any]) -> list[str]:
    return [
        cell(row, signed=True),
        p_value(row.get("p")),
        p_value(row.get("p_non_inferior")),
        row.get("conclusion") or "–",
    ]


def one_scale(agreement: dict[str, Any], names: Names) -> str:
    """Every person and every judge against the other persons, by the same metrics."""
    found = agreement.get("one_scale") or {}
    lines = []
    if found.get("raters"):
        shown = [name for name in METRICS if any(name in row for row in found["raters"].values())]
        sides = [(rater, row) for rater, row in found["raters"].items()]
        sides += [(f"**{names.get(name, name)}**", row) for name, row in found["judges"].items()]
        lines.append(f"Each against the (other) persons, on {found['pairs']:,} pairs:\n\n")
        lines.append(
            table(
                ["metric", *(name for name, _ in sides)],
                [
                    [METRICS[name].title, *(cell(row.get(name), zero(name)) for _, row in sides)]
                    for name in shown
                ],
            )
        )
        apart = {name: row for name, row in found.get("judge_minus_people", {}).items() if row}
        if apart:
            lines.append("\nJudge minus people:\n\n")
            lines.append(
                table(
                    ["metric", *(names.get(name, name) for name in apart)],
                    [
                        [METRICS[name].title, *(_with_p(row.get(name)) for row in apart.values())]
                        for name in shown
                    ],
                )
            )
    couples = found.get("couples") or {}
    if couples:
        shown = [name for name in METRICS if any(name in row for row in couples.values())]
        lines.append("\nTwo persons at a time:\n\n")
        lines.append(
            table(
                ["couple", *(METRICS[name].title for name in shown)],
                [
                    [couple, *(cell(row.get(name)) for name in shown)]
                    for couple, row in couples.items()
                ],
            )
        )
    lines += [
        f"\n- {reason}: {', '.join(map(str, who))}" for reason, who in items(found.get("skipped"))
    ]
    return "".join(lines)


def _with_p(row: dict[str, Any] | None) -> str:
    text = cell(row, signed=True)
    return text if not row or row.get("p") is None else f"{text}, p {p_value(row['p'])}"


SECTIONS: tuple[tuple[str, Callable[[dict[str, Any], Names], str]], ...] = (
    ("Every metric", every_metric),
    ("Differences", comparisons),
    ("People and judges on one scale", one_scale),
    ("From which grade on", thresholds),
    ("Grade by grade", by_grade),
    ("Calibration", calibration),
    ("Parts of the benchmark", slices),
    ("How many human grades", sample_size),
)


def full_report(
    agreement: dict[str, Any],
    cost: dict[str, Any] | None = None,
    names: Names | None = None,
    level: int = 3,
) -> str:
    """All sections that have content.

    Args:
        agreement: The content of agreement.json.
        cost: The content of cost.json; no section on costs when None.
        names: How judges are called where not by their names.
        level: Depth of the headings.

    Returns:
        Markdown: the answer without a heading, then a heading and a body a section.
    """
    called = names or {}
    parts = [answer(agreement, called)]
    found = [(title, write(agreement, called)) for title, write in SECTIONS]
    if cost and cost.get("judges"):
        found.append(("Cost and speed", costs(cost, called)))
    found.append(("Notes", remarks(agreement, called)))
    for title, body in found:
        if body.strip():
            parts.append(f"{'#' * level} {title}\n\n{body.strip()}\n")
    for other in agreement.get("other_benchmarks") or []:
        name = other["benchmark"].get("name", "")
        parts.append(f"{'#' * (level - 1)} {name}\n\n{full_report(other, None, called, level)}")
    return "\n".join(parts)
