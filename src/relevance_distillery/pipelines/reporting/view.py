"""What each part of the page shows, computed from the JSON results."""

from __future__ import annotations

from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.pipelines.reporting import wording
from relevance_distillery.pipelines.reporting.verdict import decide_verdict

MAIN = ("student", "teacher", "base")

NAMES = {
    "student": "student",
    "teacher": "teacher",
    "base": "untrained",
    "student_expected": "student, expected grade",
    "student_score": "student, raw score",
    "teacher_expected": "teacher, expected grade",
    "base_similarity": "untrained, late interaction",
    "base_cosine": "untrained, cosine",
    "bm25": "BM25",
}

_RANKING = ("pairwise_accuracy", "ndcg", "ndcg_at_10", "spearman")


def build_view(results: dict[str, Any]) -> dict[str, Any]:
    """Everything that the template prints.

    Args:
        results: agreement, cost, benchmark, grading, promotion, labeling, exclusions and
            training, as the catalog holds them.
    """
    agreement, cost = results["agreement"], results["cost"]
    teacher_name = str(results["grading"]["teacher"]["name"])
    judges = [name for name in MAIN if name in agreement["judges"]]
    return {
        "verdict": decide_verdict(agreement, results["promotion"]["margin"], teacher_name),
        "benchmark": agreement["benchmark"],
        "teacher_name": teacher_name,
        "figures": _figures(agreement, cost),
        "picture": _picture(agreement, teacher_name),
        "judges": [NAMES[name] for name in judges],
        "metrics": [_metric_row(agreement, name, judges) for name in METRICS],
        "differences": _differences(agreement),
        "ranking": _ranking(agreement),
        "confusions": [_confusion(agreement, name) for name in judges],
        "slices": _slices(agreement, judges),
        "cost": _cost(cost, teacher_name),
        "assumptions": [
            row | {"value": f"{row['value']:,g}" if row["value"] < 1e6 else f"{row['value']:,.0f}"}
            for row in cost["assumptions"]
        ],
        "left_out": _left_out(results),
        "lineage": _lineage(results),
        "notes": agreement["notes"],
        "promotion": results["promotion"],
        "glossary": [METRICS[name] for name in METRICS],
        "ceiling": bool(agreement["human_ceiling"]),
        "not_defined": agreement["not_defined"],
    }


def _figures(agreement: dict[str, Any], cost: dict[str, Any]) -> list[dict[str, str]]:
    """The three figures of the first screen."""
    student = agreement["judges"].get("student", {}).get(PRIMARY, {})
    teacher = agreement["judges"].get("teacher", {}).get(PRIMARY, {})
    prices, pays = cost["judges"], cost["break_even"]
    price, theirs = (prices[name]["usd_per_1000_labels"] for name in ("student", "teacher"))
    speed, other = (prices[name]["pairs_per_second"] for name in ("student", "teacher"))
    agreed = wording.span(student, 2)
    return [
        {
            "title": "agreement, quadratic κ",
            "value": wording.figure(student.get("estimate"), 2),
            "note": (f"95 % interval {agreed}" if agreed else "no interval")
            + (f"; teacher {wording.figure(teacher['estimate'], 2)}" if teacher else ""),
        },
        {
            "title": "for a million labels",
            "value": wording.dollars(_million(price)),
            "note": _price_note(theirs, cost["cost_ratio"], pays),
        },
        {
            "title": "pairs a second",
            "value": wording.rate(speed),
            "note": f"measured on this machine; teacher {wording.rate(other)}"
            if other is not None
            else "measured on this machine; the teacher's is not known",
        },
    ]


def _million(per_thousand: float | None) -> float | None:
    return None if per_thousand is None else 1000.0 * per_thousand


def _price_note(theirs: float | None, ratio: float | None, pays: dict[str, Any]) -> str:
    if theirs is None:
        return "the teacher's price is not known"
    note = f"teacher {wording.dollars(_million(theirs))}"
    if pays["labels"] is not None:
        return f"{note}, {wording.times(ratio)} as much; paid back after {pays['labels']:,} labels"
    return f"{note}: with a teacher this cheap distillation saves no money"


def _picture(agreement: dict[str, Any], teacher_name: str) -> dict[str, Any]:
    """Dots with intervals on one axis, positions in percent of its width."""
    rows = []
    for name in MAIN:
        if name in agreement["judges"]:
            rows.append((name, NAMES[name], agreement["judges"][name][PRIMARY]))
    if agreement["human_ceiling"]:
        rows.append(("people", "people with each other", agreement["human_ceiling"][PRIMARY]))
    rows = [row for row in rows if row[2]["estimate"] is not None]
    lows = [
        row[2][side] for row in rows for side in ("estimate", "low") if row[2][side] is not None
    ]
    start = 0.0 if min(lows, default=0.0) >= 0 else -0.2 * (1 + int(-min(lows) / 0.2))

    def place(value: float) -> float:
        return round(100.0 * (value - start) / (1.0 - start), 2)

    ticks = []
    tick = start
    while tick <= 1.0 + 1e-9:
        ticks.append({"left": place(tick), "text": wording.figure(tick, 1)})
        tick += 0.2
    return {
        "ticks": ticks,
        "rows": [
            {
                "kind": kind,
                "label": label,
                "sub": teacher_name if kind == "teacher" else "",
                "at": place(row["estimate"]),
                "from": place(row["low"]) if row["low"] is not None else place(row["estimate"]),
                "to": place(row["high"]) if row["high"] is not None else place(row["estimate"]),
                "text": wording.figure(row["estimate"], 2),
                "span": wording.span(row, 2),
            }
            for kind, label, row in rows
        ],
    }


def _cell(row: dict[str, Any] | None, signed: bool = False) -> dict[str, str]:
    if not row:
        return {"value": "–", "span": "", "title": ""}
    return {
        "value": wording.figure(row["estimate"], 3, signed),
        "span": wording.span(row, 2, signed),
        "title": row.get("reason", ""),
    }


def _metric_row(agreement: dict[str, Any], name: str, judges: list[str]) -> dict[str, Any]:
    cells = [_cell(agreement["judges"][judge].get(name), name == "bias") for judge in judges]
    if agreement["human_ceiling"]:
        cells.append(_cell(agreement["human_ceiling"].get(name)))
    return {
        "title": METRICS[name].title,
        "better": {"higher": "", "lower": "less is better", "zero": "0 is best"}[
            METRICS[name].better
        ],
        "primary": name == PRIMARY,
        "cells": cells,
    }


def _differences(agreement: dict[str, Any]) -> dict[str, Any]:
    """Student minus the others, a row a metric, a column each of the others."""
    columns = [
        (title, agreement[key])
        for title, key in (
            ("student − teacher", "student_minus_teacher"),
            ("student − untrained", "student_minus_base"),
        )
        if agreement[key]
    ]
    rows = [
        {
            "title": METRICS[name].title,
            "primary": name == PRIMARY,
            "cells": [_difference(name, found[name]) for _, found in columns],
        }
        for name in METRICS
        if columns
    ]
    return {"columns": [title for title, _ in columns], "rows": rows}


def _difference(name: str, row: dict[str, Any]) -> dict[str, str]:
    better = METRICS[name].better
    mark = ""
    if row["p"] is not None and row["p"] < 0.05 and better != "zero":
        mark = "better" if (row["estimate"] > 0) == (better == "higher") else "worse"
    return {
        "value": wording.figure(row["estimate"], 3, True),
        "span": wording.span(row, 2, True) or "no interval",
        "p": wording.p_value(row["p"]),
        "mark": mark,
    }


def _ranking(agreement: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {
            "name": NAMES[judge],
            "cells": [_cell(metrics.get(name)) for name in _RANKING],
        }
        for judge, metrics in agreement["judges"].items()
    ]
    return {"columns": [METRICS[name].title for name in _RANKING], "rows": rows}


def _confusion(agreement: dict[str, Any], judge: str) -> dict[str, Any]:
    table = agreement["confusion"][judge]
    names = [grade["name"] for grade in agreement["scale"]]
    rows = []
    for place, counts in enumerate(table["counts"]):
        total = sum(counts)
        rows.append(
            {
                "name": names[place],
                "value": agreement["scale"][place]["value"],
                "cells": [
                    {
                        "count": wording.count(number),
                        "share": number / total if total else 0.0,
                        "right": place == column,
                    }
                    for column, number in enumerate(counts)
                ],
                "recall": wording.percent(table["recall"][place]),
                "precision": wording.percent(table["precision"][place]),
            }
        )
    return {"judge": NAMES[judge], "grades": agreement["scale"], "rows": rows}


def _slices(agreement: dict[str, Any], judges: list[str]) -> list[dict[str, Any]]:
    shown = [name for name in judges if name != "base"]
    found = []
    for title, entries in agreement["slices"].items():
        rows = [
            {
                "value": entry["value"],
                "pairs": wording.count(entry["pairs"]),
                "queries": wording.count(entry["queries"]),
                "small": entry["small"],
                "cells": [
                    _cell(entry["judges"].get(name, {}).get("quadratic_kappa")) for name in shown
                ],
                "bias": _cell(entry["judges"].get("student", {}).get("bias"), True),
            }
            for entry in entries
        ]
        found.append({"title": title, "judges": [NAMES[name] for name in shown], "rows": rows})
    return found


def _cost(cost: dict[str, Any], teacher_name: str) -> dict[str, Any]:
    rows = []
    for name in ("student", "teacher"):
        row = cost["judges"][name]
        runs = row["runs"]
        rows.append(
            {
                "name": name,
                "sub": teacher_name if name == "teacher" else "",
                "price": wording.dollars(row["usd_per_1000_labels"]),
                "million_price": wording.dollars(_million(row["usd_per_1000_labels"])),
                "price_basis": _basis(row["usd_basis"], row["speed_basis"]),
                "speed": wording.rate(row["pairs_per_second"]),
                "speed_basis": f"{len(runs)} runs, {wording.rate(min(runs))} to "
                f"{wording.rate(max(runs))}"
                if runs
                else row["speed_basis"],
                "million": _hours(row["pairs_per_second"]),
            }
        )
    pays = cost["break_even"]
    return {
        "rows": rows,
        "break_even": f"{pays['labels']:,} labels" if pays["labels"] is not None else "never",
        "reason": pays["reason"],
        "known": cost["judges"]["teacher"]["usd_per_1000_labels"] is not None,
        "cost_ratio": wording.times(cost["cost_ratio"]),
        "speed_ratio": wording.times(cost["speed_ratio"]),
    }


def _basis(usd: str, speed: str) -> str:
    if usd == "measured" and speed == "measured":
        return "measured time at the stated hourly price"
    return {"measured": "paid", "list price": "list price, not measured"}.get(usd, usd)


def _hours(speed: float | None) -> str:
    if not speed:
        return "–"
    hours = 1e6 / speed / 3600.0
    return f"{hours:,.1f} h" if hours < 100 else f"{hours / 24:,.0f} days"


def _left_out(results: dict[str, Any]) -> list[dict[str, str]]:
    """What did not take part, from every stage."""
    rows = []
    for reason, ids in results["benchmark"]["skipped"].items():
        shown = ", ".join(str(one) for one in ids[:5])
        rows.append({"where": "benchmark", "what": reason, "count": shown})
    for reason, number in results["agreement"]["excluded"].items():
        rows.append({"where": "metrics", "what": reason, "count": wording.count(number)})
    for reason, number in results["grading"]["teacher"]["failures"].items():
        rows.append(
            {"where": "teacher on the benchmark", "what": reason, "count": wording.count(number)}
        )
    for reason, number in (results["labeling"].get("failures") or {}).items():
        rows.append({"where": "labeling", "what": str(reason), "count": wording.count(number)})
    for reason, numbers in results["exclusions"].get("reasons", {}).items():
        if numbers["pairs"]:
            rows.append(
                {
                    "where": "kept out of training",
                    "what": str(reason).replace("_", " "),
                    "count": f"{numbers['pairs']:,} pairs, {numbers['queries']:,} queries",
                }
            )
    return rows


def _lineage(results: dict[str, Any]) -> list[tuple[str, str]]:
    promotion, student = results["promotion"], results["grading"]["student"]
    labeling, training = results["labeling"], results["training"]
    teacher = results["grading"]["teacher"]
    rows = [
        ("version", f"{promotion['name']} {promotion['version']}"),
        (
            "decision",
            ("promoted: " if promotion["promoted"] else "not promoted: ") + promotion["reason"],
        ),
        ("champion", promotion["champion"] or "none"),
        ("base model", student["base_model"]),
        ("architecture", f"{student['architecture']}, {student['precision']}, {student['device']}"),
        ("artifact", student["digest"]),
        ("teacher", f"{teacher['name']} {labeling.get('model', '')}".strip()),
        ("teacher's labels", wording.count(labeling.get("labelled"))),
        ("training", f"{training.get('seconds', 0):,.0f} s"),
        ("benchmark", f"{results['benchmark']['name']} {results['benchmark']['digest']}"),
        ("taken off for each ln(passages)", wording.figure(student["length_slope"], 3)),
    ]
    return [(name, str(value)) for name, value in rows]
