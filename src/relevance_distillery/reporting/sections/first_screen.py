"""The first screen: three figures, one picture, the other benchmarks."""

from __future__ import annotations

from typing import Any

from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.cells import cell, dots
from relevance_distillery.reporting.sections.comparisons import differences
from relevance_distillery.reporting.sections.naming import Judges, judges_of
from relevance_distillery.reporting.sections.prices import million

_DOTS = 12


def student_figures(
    agreement: dict[str, Any], cost: dict[str, Any], judges: Judges
) -> list[dict[str, str]]:
    """Agreement, price and speed of the labeler, each beside its teacher's."""
    teacher = _primary(agreement, "teacher")
    student_cost, teacher_cost = (
        (cost.get("judges") or {}).get(name) or {} for name in ("student", "teacher")
    )
    theirs = teacher_cost.get("pairs_per_second")
    note = _interval_note(_primary(agreement, "student"))
    if teacher.get("estimate") is not None:
        note += f"; teacher {wording.figure(teacher['estimate'], 2)}"
    return [
        {
            "title": "agreement, quadratic κ",
            "value": wording.figure(_primary(agreement, "student").get("estimate"), 2),
            "note": note,
        },
        {
            "title": "for a million labels",
            "value": wording.dollars(million(student_cost.get("usd_per_1000_labels"))),
            "note": _teacher_price(cost, teacher_cost.get("usd_per_1000_labels")),
        },
        {
            "title": "pairs a second",
            "value": wording.rate(student_cost.get("pairs_per_second")),
            "note": "measured on this machine; "
            + (
                "the teacher's is not known"
                if theirs is None
                else f"teacher {wording.rate(theirs)}"
            ),
        },
    ]


def best_figures(
    agreement: dict[str, Any], cost: dict[str, Any], judges: Judges
) -> list[dict[str, str]]:
    """Agreement of the best judge, its lead or its exactness, and its price or its bias."""
    if not judges.main:
        return []
    best = judges.first
    found = [
        {
            "title": "agreement, quadratic κ",
            "value": wording.figure(_primary(agreement, best).get("estimate"), 2),
            "note": f"{judges.label(best)}; {_interval_note(_primary(agreement, best))}",
        }
    ]
    if len(judges.main) > 1:
        other = judges.main[1]
        lead = differences(agreement, best, other).get(PRIMARY) or {}
        limits = wording.span(lead, 2, True)
        found.append(
            {
                "title": "ahead of the next, quadratic κ",
                "value": wording.figure(lead.get("estimate"), 2, True),
                "note": f"{judges.label(other)}; "
                + (f"95 % interval {limits}" if limits else "no interval"),
            }
        )
    else:
        found.append(_exact(agreement, best))
    price = ((cost.get("judges") or {}).get(best) or {}).get("usd_per_1000_labels")
    found.append(_bias(agreement, best) if price is None else _price(cost, best, price))
    return found


def picture(
    agreement: dict[str, Any], judges: Judges, teacher_name: str = ""
) -> dict[str, Any] | None:
    """The primary metric of every judge with its interval, and people with each other."""
    rows = [
        (
            judges.tone(name),
            judges.label(name),
            teacher_name if judges.has_student and name == "teacher" else "",
            _primary(agreement, name),
        )
        for name in judges.main[:_DOTS]
    ]
    ceiling = agreement.get("human_ceiling") or {}
    if ceiling:
        rows.append(("people", "people with each other", "", ceiling.get(PRIMARY) or {}))
    return dots(rows)


def other_benchmarks(agreement: dict[str, Any]) -> dict[str, Any] | None:
    """A row for each benchmark, the deciding one first; None where there is only one."""
    others = agreement.get("other_benchmarks") or []
    if not others:
        return None
    every = [agreement, *others]
    first = judges_of(agreement)
    shown = first.main[:4] if not first.has_student else first.main
    rows = []
    for place, found in enumerate(every):
        facts = found["benchmark"]
        gap = differences(found, shown[0], shown[1]).get(PRIMARY) if len(shown) > 1 else None
        rows.append(
            {
                "name": str(facts["name"]),
                "sub": ("decides; " if place == 0 else "")
                + ("people's grades" if facts["human"] else "no grades by people"),
                "pairs": wording.count(facts["pairs"]),
                "queries": wording.count(facts["queries"]),
                "cells": [cell(_primary(found, name), digits=2) for name in shown],
                "gap": cell(gap, signed=True, digits=2),
            }
        )
    return {
        "judges": [first.label(name) for name in shown],
        "gap": f"{first.label(shown[0])} − {first.label(shown[1])}" if len(shown) > 1 else "",
        "rows": rows,
    }


def _primary(agreement: dict[str, Any], name: str) -> dict[str, Any]:
    return (agreement["judges"].get(name) or {}).get(PRIMARY) or {}


def _interval_note(row: dict[str, Any]) -> str:
    limits = wording.span(row, 2)
    return f"95 % interval {limits}" if limits else "no interval"


def _teacher_price(cost: dict[str, Any], theirs: float | None) -> str:
    if theirs is None:
        return "the teacher's price is not known"
    note = f"teacher {wording.dollars(million(theirs))}"
    pays = cost.get("break_even") or {}
    if pays.get("labels") is not None:
        ratio = wording.times(cost.get("cost_ratio"))
        return f"{note}, {ratio} as much; paid back after {pays['labels']:,} labels"
    return f"{note}: with a teacher this cheap distillation saves no money"


def _price(cost: dict[str, Any], name: str, price: float) -> dict[str, str]:
    basis = cost["judges"][name].get("usd_basis", "")
    return {
        "title": "for a million labels",
        "value": wording.dollars(million(price)),
        "note": "list price, not measured" if basis == "list price" else str(basis),
    }


def _bias(agreement: dict[str, Any], name: str) -> dict[str, str]:
    row = (agreement["judges"].get(name) or {}).get("bias") or {}
    value = row.get("estimate")
    side = ""
    if value is not None and row.get("low") is not None and row.get("high") is not None:
        if row["low"] > 0:
            side = "too generous; "
        elif row["high"] < 0:
            side = "too strict; "
    limits = wording.span(row, 2, True)
    return {
        "title": "bias, in grades",
        "value": wording.figure(value, 2, True),
        "note": side + (f"95 % interval {limits}" if limits else "no interval"),
    }


def _exact(agreement: dict[str, Any], name: str) -> dict[str, str]:
    row = (agreement["judges"].get(name) or {}).get("accuracy") or {}
    low, high = row.get("low"), row.get("high")
    return {
        "title": "exactly people's grade",
        "value": wording.percent(row.get("estimate")),
        "note": "no interval"
        if low is None or high is None
        else f"95 % interval {wording.percent(low)} to {wording.percent(high)}",
    }
