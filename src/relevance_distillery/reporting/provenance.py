"""What was left out, what is not defined, and where everything comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relevance_distillery.reporting.formats import count, figure

_LISTED = 8


def left_out(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """What was excluded or failed, from every stage that the report knows of."""
    rows = []
    for facts in _benchmarks(results):
        for reason, ids in facts["skipped"].items():
            shown = ", ".join(str(one) for one in list(ids)[:5])
            rows.append({"where": f"benchmark {facts['name']}", "what": reason, "count": shown})
    for reason, number in results["agreement"]["excluded"].items():
        rows.append({"where": "metrics", "what": reason, "count": count(number)})
    teacher = results.get("grading", {}).get("teacher", {})
    for reason, number in teacher.get("failures", {}).items():
        rows.append({"where": "teacher on the benchmark", "what": reason, "count": count(number)})
    for reason, number in results.get("labeling", {}).get("failures", {}).items():
        rows.append({"where": "labeling", "what": str(reason), "count": count(number)})
    for reason, numbers in results.get("exclusions", {}).get("reasons", {}).items():
        if numbers["pairs"]:
            rows.append(
                {
                    "where": "kept out of training",
                    "what": str(reason).replace("_", " "),
                    "count": f"{numbers['pairs']:,} pairs, {numbers['queries']:,} queries",
                }
            )
    return rows


def not_defined(agreement: Mapping[str, Any]) -> list[dict[str, str]]:
    """Missing figures by their reason."""
    by_reason: dict[str, list[str]] = {}
    for row in agreement["not_defined"]:
        by_reason.setdefault(str(row["reason"]), []).append(str(row["where"]))
    return [
        {
            "reason": reason,
            "where": ", ".join(places[:_LISTED]),
            "more": count(len(places) - _LISTED) if len(places) > _LISTED else "",
        }
        for reason, places in by_reason.items()
    ]


def labeler_lineage(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Version, decision, model, teacher and benchmark of a trained labeler's report."""
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
        ("teacher's labels", count(labeling.get("labelled"))),
        ("training", f"{training.get('seconds', 0):,.0f} s"),
        *benchmark_lineage(results),
        ("taken off for each ln(passages)", figure(student["length_slope"], 3)),
    ]
    return [(name, str(value)) for name, value in rows]


def benchmark_lineage(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and digest of each benchmark."""
    facts = _benchmarks(results)
    return [
        ("benchmark" if place == 0 else "another benchmark", f"{one['name']} {one['digest']}")
        for place, one in enumerate(facts)
    ]


def _benchmarks(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    facts = results["benchmark"]
    return [facts, *(facts.get("others") or [])]
