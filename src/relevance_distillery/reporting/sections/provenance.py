"""What was left out, what is not defined, and where everything comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.naming import Judges

_LISTED = 8


def left_out(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """What did not take part, from every stage that the report knows of."""
    rows = []
    for facts in _benchmarks(results):
        for reason, ids in (facts.get("skipped") or {}).items():
            shown = ", ".join(str(one) for one in list(ids)[:5])
            rows.append({"where": f"benchmark {facts['name']}", "what": reason, "count": shown})
    for reason, number in (results["agreement"].get("excluded") or {}).items():
        rows.append({"where": "metrics", "what": reason, "count": wording.count(number)})
    teacher = (results.get("grading") or {}).get("teacher") or {}
    for reason, number in (teacher.get("failures") or {}).items():
        rows.append(
            {"where": "teacher on the benchmark", "what": reason, "count": wording.count(number)}
        )
    for reason, number in ((results.get("labeling") or {}).get("failures") or {}).items():
        rows.append({"where": "labeling", "what": str(reason), "count": wording.count(number)})
    for reason, numbers in ((results.get("exclusions") or {}).get("reasons") or {}).items():
        if numbers["pairs"]:
            rows.append(
                {
                    "where": "kept out of training",
                    "what": str(reason).replace("_", " "),
                    "count": f"{numbers['pairs']:,} pairs, {numbers['queries']:,} queries",
                }
            )
    return rows


def not_defined(agreement: dict[str, Any]) -> list[dict[str, str]]:
    """Where a figure is missing, by reason: one reason often holds for many."""
    by_reason: dict[str, list[str]] = {}
    for row in agreement.get("not_defined") or []:
        by_reason.setdefault(str(row["reason"]), []).append(str(row["where"]))
    return [
        {
            "reason": reason,
            "where": ", ".join(places[:_LISTED]),
            "more": wording.count(len(places) - _LISTED) if len(places) > _LISTED else "",
        }
        for reason, places in by_reason.items()
    ]


def sources(agreement: dict[str, Any], judges: Judges) -> list[dict[str, Any]]:
    """What each file of grades held; empty in the report of a student."""
    return [
        {
            "name": judges.label(name),
            "pairs": wording.count(facts.get("pairs_in_file")),
            "matched": wording.count(facts.get("matched")),
            "missing": wording.count(facts.get("missing")),
            "unknown": wording.count(facts.get("unknown")),
            "notes": [str(note) for note in facts.get("notes") or []],
        }
        for name, facts in (agreement.get("sources") or {}).items()
    ]


def student_lineage(results: Mapping[str, Any]) -> list[tuple[str, str]]:
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
        ("teacher's labels", wording.count(labeling.get("labelled"))),
        ("training", f"{training.get('seconds', 0):,.0f} s"),
        *_named(results),
        ("taken off for each ln(passages)", wording.figure(student["length_slope"], 3)),
    ]
    return [(name, str(value)) for name, value in rows]


def grades_lineage(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Benchmarks of a report on files of grades, what they are known by."""
    return _named(results)


def _named(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = _benchmarks(results)
    return [
        ("benchmark" if place == 0 else "another benchmark", f"{one['name']} {one['digest']}")
        for place, one in enumerate(facts)
    ]


def _benchmarks(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    facts = results["benchmark"]
    return [facts, *(facts.get("others") or [])]
