"""Disagreements that a person can read: with texts, or with ids alone."""

from __future__ import annotations

from typing import Any

from relevance_distillery.reporting.sections.naming import Judges


def examples(
    disagreements: list[dict[str, Any]], agreement: dict[str, Any], judges: Judges, texts: bool
) -> dict[str, Any] | None:
    """Each example with everybody's grade, its words marked.

    Args:
        disagreements: See `evaluation.disagreements.pick`.
        agreement: For the names of the grades.
        judges: Names and order of the judges.
        texts: Print query, title and excerpt; else ids and grades only.
    """
    if not disagreements:
        return None
    names = {grade["value"]: grade["name"] for grade in agreement["scale"]}
    rows = [_one(example, names, judges, texts) for example in disagreements]
    return {"rows": rows, "texts": texts and any(row["query"] for row in rows)}


def _one(
    example: dict[str, Any], names: dict[int, str], judges: Judges, texts: bool
) -> dict[str, Any]:
    human = example["human"]
    order = [name for name in judges.main if name in example["grades"]]
    order += [name for name in example["grades"] if name not in order]
    given = [("people", "people", human)]
    given += [(judges.label(name), judges.tone(name), example["grades"][name]) for name in order]
    return {
        "query_id": example["query_id"],
        "document_id": example["document_id"],
        "kind": example["kind"],
        "judge": judges.label(example["judge"]),
        "query": example.get("query", []) if texts else [],
        "title": example.get("title", []) if texts else [],
        "excerpt": example.get("excerpt", []) if texts else [],
        "grades": [
            {
                "who": who,
                "tone": tone,
                "grade": "–" if grade is None else str(grade),
                "name": "no grade" if grade is None else names.get(grade, ""),
                "same": grade == human,
            }
            for who, tone, grade in given
        ],
    }
