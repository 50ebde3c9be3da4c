"""The report's first screen: three figures, one picture, the other benchmarks."""

from collections.abc import Mapping
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.reporting.charts import dots
from relevance_distillery.reporting.comparisons import differences
from relevance_distillery.reporting.formats import dollars, figure, percent, rate, span, times
from relevance_distillery.reporting.judge_names import Judges, judges_of, truth_of

_MOST_DOTS = 12
_MOST_JUDGES_OF_OTHERS = 4


def student_figures(agreement: Mapping[str, Any], cost: Mapping[str, Any]) -> list[dict[str, str]]:
    """Agreement, price and speed of the labeler, each beside its teacher's."""
    student, teacher = _primary(agreement, "student"), _primary(agreement, "teacher")
    own, theirs = (cost["judges"].get(name, {}) for name in ("student", "teacher"))
    agreed = _interval(student)
    if teacher.get("estimate") is not None:
        agreed += f"; teacher {figure(teacher['estimate'], 2)}"
    other = theirs.get("pairs_per_second")
    compared = "the teacher's is not known" if other is None else f"teacher {rate(other)}"
    speed = f"measured on this machine; {compared}"
    price = dollars_for_a_million(own.get("usd_per_1000_labels"))
    return [
        titled("agreement, quadratic κ", figure(student.get("estimate"), 2), agreed),
        titled("for a million labels", price, _teacher_price(cost)),
        titled("pairs a second", rate(own.get("pairs_per_second")), speed),
    ]


def best_judge_figures(
    agreement: Mapping[str, Any], cost: Mapping[str, Any], judges: Judges
) -> list[dict[str, str]]:
    """Agreement of the best judge, its lead or its exactness, and its price or its bias."""
    if not judges.main:
        return []
    best = judges.first
    row = _primary(agreement, best)
    found = [
        titled("agreement, quadratic κ", figure(row["estimate"], 2), f"{best}; {_interval(row)}")
    ]
    if len(judges.main) > 1:
        other = judges.main[1]
        lead = differences(agreement, best, other).get(PRIMARY) or {}
        note = f"{other}; {_interval(lead, signed=True)}"
        ahead = figure(lead.get("estimate"), 2, True)
        found.append(titled("ahead of the next, quadratic κ", ahead, note))
    else:
        exact = agreement["judges"][best]["accuracy"]
        limits = f"{percent(exact['low'])} to {percent(exact['high'])}"
        truth = truth_of(agreement["benchmark"]).of
        note = "no interval" if exact["low"] is None else f"95 % interval {limits}"
        found.append(titled(f"exactly {truth} grade", percent(exact["estimate"]), note))
    facts = cost["judges"].get(best, {})
    price = facts.get("usd_per_1000_labels")
    if price is None:
        bias = agreement["judges"][best]["bias"]
        side = ""
        if bias["low"] is not None and bias["low"] > 0:
            side = "too generous; "
        elif bias["high"] is not None and bias["high"] < 0:
            side = "too strict; "
        value = figure(bias["estimate"], 2, True)
        found.append(titled("bias, in grades", value, side + _interval(bias, signed=True)))
    else:
        basis = facts["usd_basis"]
        note = "list price, not measured" if basis == "list price" else str(basis)
        found.append(titled("for a million labels", dollars_for_a_million(price), note))
    return found


def picture(
    agreement: Mapping[str, Any], judges: Judges, teacher_name: str
) -> dict[str, Any] | None:
    """The primary metric of every judge with its interval, and people with each other."""
    rows = [
        (
            judges.tone(name),
            judges.label(name),
            teacher_name if judges.has_student and name == "teacher" else "",
            _primary(agreement, name),
        )
        for name in judges.main[:_MOST_DOTS]
    ]
    people = agreement["human_ceiling"].get(PRIMARY, {})
    return dots([*rows, ("people", "people with each other", "", people)])


def other_benchmarks(agreement: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row for each benchmark, the deciding one first; None where there is only one."""
    others = agreement.get("other_benchmarks")
    if not others:
        return None
    judges = judges_of(agreement)
    shown = judges.main if judges.has_student else judges.main[:_MOST_JUDGES_OF_OTHERS]
    rows = [
        {
            "benchmark": found["benchmark"],
            "estimates": [_primary(found, name) for name in shown],
            "gap": differences(found, shown[0], shown[1]).get(PRIMARY) if len(shown) > 1 else None,
        }
        for found in (agreement, *others)
    ]
    return {"shown": shown, "rows": rows}


def dollars_for_a_million(usd_per_1000: float | None) -> str:
    """The price of a million labels."""
    return dollars(None if usd_per_1000 is None else 1000.0 * usd_per_1000)


def titled(title: str, value: str, note: str) -> dict[str, str]:
    """One figure of a first screen."""
    return {"title": title, "value": value, "note": note}


def _primary(agreement: Mapping[str, Any], name: str) -> dict[str, Any]:
    return agreement["judges"].get(name, {}).get(PRIMARY) or {}


def _interval(row: Mapping[str, Any], signed: bool = False) -> str:
    limits = span(row, 2, signed)
    return f"95 % interval {limits}" if limits else "no interval"


def _teacher_price(cost: Mapping[str, Any]) -> str:
    price = cost["judges"].get("teacher", {}).get("usd_per_1000_labels")
    if price is None:
        return "the teacher's price is not known"
    note = f"teacher {dollars_for_a_million(price)}"
    labels = cost["break_even"]["labels"]
    if labels is None:
        return f"{note}: with a teacher this cheap distillation saves no money"
    return f"{note}, {times(cost['cost_ratio'])} as much; paid back after {labels:,} labels"
