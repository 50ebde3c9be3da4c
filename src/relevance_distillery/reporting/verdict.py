"""The report's answer in a sentence: may this labeler be used?"""

import re
from dataclasses import dataclass
from typing import Any

from relevance_distillery.evaluation.agreement.measurement import FEW_QUERIES
from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.reporting.comparisons import differences
from relevance_distillery.reporting.formats import figure, listed
from relevance_distillery.reporting.judge_names import Judges, judges_of, truth_of

SLIGHT = 0.2
"""Agreement up to here is called slight (Landis and Koch, 1977): too little to grade with."""


_TOO_FEW = "Too few queries to tell"
_UNTESTED = {"judgments": "Works on the sample; not tested on your data"}
"""The answer on grades of no person, by benchmark; this one is of the bundled sample."""


@dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        kind: `yes`, `care` or `no`; the page colours it.
        answer: A few words.
        because: One or two sentences with the figures.
        grades: Whose grades these are, the first line of the page.
    """

    kind: str
    answer: str
    because: str
    grades: str


def decide_verdict(agreement: dict[str, Any], margin: float, teacher_name: str) -> Verdict:
    """Answer from the primary metric alone.

    Yes: shown to beat the untrained model and shown not to be worse than the teacher by more
    than the margin, on enough queries and by people's grades. With care: one of these is open. Not
    yet: worse than the teacher, not better than no training, or hardly better than chance.
    """
    benchmark = agreement["benchmark"]
    grades = _whose(benchmark)
    student = agreement["judges"].get("student", {}).get(PRIMARY, {})
    if student.get("estimate") is None:
        reason = student.get("reason", "the student graded nothing")
        return Verdict("no", "No answer yet", f"Agreement is not defined: {reason}.", grades)
    base = agreement["student_minus_base"].get(PRIMARY, {})
    teacher = agreement["student_minus_teacher"].get(PRIMARY, {})
    kind, answer, because = _compared(student, base, teacher, margin, teacher_name, benchmark)
    if benchmark["queries"] < FEW_QUERIES:
        because += f" But {benchmark['queries']} queries are too few to be sure."
        if kind != "no":
            kind, answer = "care", _TOO_FEW
    elif kind == "yes" and not benchmark["human"]:
        kind, answer = "care", _UNTESTED.get(benchmark["name"], "Agrees with the reference grades")
        because += " Have people grade some of your own pairs before you rely on it."
        if benchmark.get("kind") == "held_out":
            answer, because = "Copies its teacher", because + " Nobody has checked the teacher."
    return Verdict(kind, answer, because, grades)


def state_of(promotion: dict[str, Any], verdict: Verdict) -> str:
    """Which version is in use and why, in words that claim no more than the verdict does."""
    version, champion = promotion["version"], promotion["champion"]
    # The figures of a comparison are further down.
    reason = promotion["reason"].partition(": difference ")[0]
    reason = re.sub(r"^(superior|non-inferior|inferior): ", "", reason)
    if not promotion["promoted"]:
        if champion == version:
            return f"Version {version} is in use: {reason}."
        stays = f" Version {champion} stays in use." if champion else ""
        return f"Version {version} is not in use: {reason}.{stays}"
    said = f"Version {version} is in use from now on: {reason}."
    return said if verdict.kind == "yes" else f"{said} That is no proof that it is good enough."


def _whose(benchmark: dict[str, Any]) -> str:
    where = f"{benchmark['pairs']:,} pairs of {benchmark['queries']:,} queries"
    named = f"benchmark “{benchmark['name']}”"
    if benchmark["human"]:
        return f"Measured against people's grades: {where}, {named}."
    if benchmark.get("kind") == "held_out":
        return (
            f"No grades by people: measured against the teacher's own grades of {where} kept out "
            "of training."
        )
    return (
        f"No grades by people: measured against grades written together with the queries, "
        f"{where}, {named}."
    )


def _compared(
    student: dict[str, Any],
    base: dict[str, Any],
    teacher: dict[str, Any],
    margin: float,
    name: str,
    benchmark: dict[str, Any],
) -> tuple[str, str, str]:
    truth = truth_of(benchmark).noun
    if student["estimate"] < SLIGHT:
        return (
            "no",
            "Not yet",
            f"It agrees with {truth} hardly more than chance would "
            f"(quadratic κ {figure(student['estimate'], 2)}).",
        )
    if base.get("high") is not None and base["high"] < 0:
        return "no", "Not yet", f"It agrees with {truth} less than the untrained model does."
    beats = base.get("low") is not None and base["low"] > 0
    untrained = "" if beats else " It is not shown to beat the untrained model."
    kind, answer = ("yes", "Yes") if beats else ("care", "Not proven yet")
    if teacher.get("low") is None or teacher.get("high") is None:
        because = f"It agrees with {truth} at quadratic κ {figure(student['estimate'], 2)}"
        because += ", clearly more than the untrained model." if beats else "."
        return kind, answer, because + untrained
    gap = f"{figure(teacher['estimate'], 2, signed=True)} in quadratic κ"
    if teacher["low"] > -margin:
        degree = "more than" if teacher["low"] > 0 else "as well as"
        because = f"It agrees with {truth} {degree} its teacher {name} does ({gap})."
        return kind, answer, because + untrained
    if teacher["high"] < -margin:
        because = f"It agrees with {truth} less than its teacher {name} does ({gap})."
        return "care", "For some uses", because + untrained
    allow = (
        f"the data allow {figure(teacher['low'], 2, signed=True)} to "
        f"{figure(teacher['high'], 2, signed=True)} and a loss of {margin:g} would matter"
    )
    degree = "about as well as" if teacher["estimate"] >= -margin else "less than"
    because = f"On these pairs it agrees with {truth} {degree} its teacher {name} ({gap})"
    if beats:
        answer = "Probably" if benchmark["human"] else "Perhaps"
    return "care", answer, f"{because}, but {allow}.{untrained}"


def decide_best(agreement: dict[str, Any]) -> Verdict:
    """Which of several judges agrees best, or how well a single one does.

    Names one judge where it is shown to be better than every other, else also those that it is
    not told apart from. The words for a single judge are those of Landis and Koch
    (1977).
    """
    benchmark = agreement["benchmark"]
    grades = _whose(benchmark)
    judges = judges_of(agreement)
    best = agreement["judges"].get(judges.first, {}).get(PRIMARY, {})
    if best.get("estimate") is None:
        reason = best.get("reason", "nobody graded any of these pairs")
        return Verdict("no", "No answer yet", f"Agreement is not defined: {reason}.", grades)
    truth = truth_of(benchmark).noun
    kappa = f"quadratic κ {figure(best['estimate'], 2)}"
    few = benchmark["queries"] < FEW_QUERIES
    kind, because = "care", f"{judges.first} agrees with {truth} at {kappa}."
    if not few:
        kind, because = _rank(agreement, judges, truth, kappa)
    answer = judges.first if len(judges.main) > 1 else _degree(best["estimate"])
    if best["estimate"] < SLIGHT:
        kind = "no"
        answer = "None of them" if len(judges.main) > 1 else answer
        because = f"{judges.first} agrees with {truth} hardly more than chance would ({kappa})."
    ceiling = agreement["human_ceiling"].get(PRIMARY, {})
    if ceiling.get("estimate") is not None:
        because += f" People agree with each other at {figure(ceiling['estimate'], 2)}."
    if few:
        answer = _TOO_FEW if len(judges.main) > 1 and kind != "no" else answer
        because += f" But {benchmark['queries']} queries are too few to be sure."
    if not benchmark["human"]:
        kind = "no" if kind == "no" else "care"
    return Verdict(kind, answer, because, grades)


def _rank(agreement: dict[str, Any], judges: Judges, truth: str, kappa: str) -> tuple[str, str]:
    """Whether the first judge is told apart from the others, and in which words."""
    first, others = judges.first, judges.main[1:]
    if not others:
        return "yes", f"It agrees with {truth} at {kappa}."
    conclusions = {
        name: (differences(agreement, first, name).get(PRIMARY) or {}).get("conclusion")
        for name in others
    }
    close = [name for name, conclusion in conclusions.items() if conclusion != "superior"]
    if not close:
        rest = "the other" if len(others) == 1 else f"each of the other {len(others)}"
        return "yes", f"It agrees with {truth} at {kappa}, shown to be better than {rest}."
    names = listed(close)
    if len(close) == len(others):
        rest = "any other" if len(others) > 1 else names
        return (
            "care",
            f"It agrees with {truth} at {kappa}, but it is not shown to be better than {rest}.",
        )
    return (
        "care",
        f"It agrees with {truth} at {kappa}, better than {len(others) - len(close)} of the other "
        f"{len(others)}, but it is not told apart from {names}.",
    )


def _degree(kappa: float) -> str:
    """The word of Landis and Koch (1977)."""
    bounds = ((0.0, "Poorly"), (SLIGHT, "Slightly"), (0.4, "Fairly"), (0.6, "Moderately"))
    return next(
        (word for bound, word in bounds if kappa < bound),
        "Substantially" if kappa < 0.8 else "Almost perfectly",
    )
