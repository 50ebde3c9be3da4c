"""The evaluation of search engines as one page: sentences, rows, dots, from evaluation.json."""

from typing import Any

from relevance_distillery.reporting.charts import dots
from relevance_distillery.reporting.comparisons import turned
from relevance_distillery.reporting.formats import figure, p_value
from relevance_distillery.reporting.headline import titled
from relevance_distillery.reporting.pages import fill

_BASES = {
    "people": "people's grades",
    "prediction_powered": "people's grades, extended by the machine's",
    "machine": "machine grades alone",
}
_SHOWN_PAIRS = 40


def write_page(found: dict[str, Any]) -> str:
    """Render the evaluation; names in it may be hostile, they are escaped."""
    primary = found["measures"][0]["name"]
    apart = found["differences"]
    best = _best_of(apart)
    rows = _rows(found)
    pairs = sorted(map(_better_first, apart["pairs"]), key=lambda pair: -(pair["estimate"] or 0.0))
    return fill(
        "evaluation.html.jinja2",
        found=found,
        primary=primary,
        first_line=_first_line(found),
        answer=_answer(found, best),
        kind="yes" if best["sure"] and apart["basis"] != "machine" else "care",
        because=_because(found, best),
        figures=_figures(found, best),
        picture=dots((("student", row["name"], "", row["cells"][0]) for row in rows), digits=3),
        basis=_BASES[apart["basis"]],
        rows=rows,
        pairs=pairs[:_SHOWN_PAIRS],
        more_pairs=max(len(pairs) - _SHOWN_PAIRS, 0),
    )


def _best_of(apart: dict[str, Any]) -> dict[str, Any]:
    """The best system (or several that tie), the next one, and how surely it is ahead.

    Returns:
        Keys best (names), second (name or empty), lead (estimate, low, high, p of best minus
        second, or None), behind (how many others it is surely ahead of), others, sure.
    """
    order = apart["ranking"]
    if not order:
        return {"best": [], "second": "", "lead": None, "behind": 0, "others": 0, "sure": False}
    leader = order[0][0]
    against = {}
    for pair in apart["pairs"]:
        if leader in (pair["first"], pair["second"]):
            other = pair["second"] if pair["first"] == leader else pair["first"]
            against[other] = pair if pair["first"] == leader else _turned(pair)
    second = order[1][0] if len(order) > 1 else ""
    behind = sum(pair["sure"] and pair["estimate"] > 0 for pair in against.values())
    alone = len(order[0]) == 1 and bool(against)
    return {
        "best": order[0],
        "second": second,
        "lead": against.get(second),
        "behind": behind,
        "others": len(against),
        "sure": alone and behind == len(against),
    }


def _better_first(pair: dict[str, Any]) -> dict[str, Any]:
    return _turned(pair) if (pair["estimate"] or 0.0) < 0 else pair


def _turned(pair: dict[str, Any]) -> dict[str, Any]:
    return turned(pair) | {"first": pair["second"], "second": pair["first"]}


def _first_line(found: dict[str, Any]) -> str:
    """Whose grades the page rests on, before anything else is said."""
    queries, basis = found["queries"], found["differences"]["basis"]
    left_out = found["source"]["benchmark"]["grades_not_by_people"]
    if not found["human"]:
        text = (
            "No people's grades: what follows is what the machine believes. Intervals describe "
            "the drawing of queries, not the machine's errors."
        )
        if left_out:
            text += f" {left_out} grades of the benchmark were not given by people and not used."
        return text
    if basis == "people":
        return (
            f"People graded what the systems found for {queries['human']} of {queries['all']} "
            "queries; the page rests on these."
        )
    if basis == "machine":
        return (
            f"People graded all that was found for {queries['human']} of {queries['all']} queries, "
            "too few to correct the machine: figures are the machine's, and intervals describe "
            "the drawing of queries only."
        )
    judge = found["differences"]["judge"]
    return (
        f"People graded what the systems found for {queries['correcting'][judge]} of "
        f"{queries['all']} queries; there they correct {judge}, which graded all of them."
    )


def _answer(found: dict[str, Any], best: dict[str, Any]) -> str:
    """Which system is better, in a few words."""
    if not best["best"]:
        return "Nothing can be said: no system has a figure"
    if not best["others"]:
        return f"{best['best'][0]} is the only system"
    if len(best["best"]) > 1:
        return f"{' and '.join(best['best'][:3])} are equally good"
    name = best["best"][0]
    if not best["sure"]:
        text = f"{name} is ahead, but that may be chance"
    else:
        text = f"{name} is the best" if best["others"] > 1 else f"{name} is better"
    return f"The machine believes: {text}" if found["differences"]["basis"] == "machine" else text


def _because(found: dict[str, Any], best: dict[str, Any]) -> str:
    """By how much, and how sure."""
    primary = found["measures"][0]["name"]
    if not best["others"] or not best["best"]:
        return f"Give the runs of two systems or more to compare them by {primary}."
    lead = best["lead"]
    if lead is None:
        return f"All systems have the same mean {primary}."
    text = f"By {primary} it leads {lead['second']} by {figure(lead['estimate'])}"
    if lead["low"] is not None:
        text += f" ({round(100 * found['options']['level'])} % interval {_span(lead)})"
    if best["others"] == 1:
        return text + ("." if lead["p"] is None else f", p {p_value(lead['p'])}.")
    return (
        f"{text}. It is ahead of {best['behind']} of {best['others']} others beyond chance "
        "(corrected for all comparisons)."
    )


def _figures(found: dict[str, Any], best: dict[str, Any]) -> list[dict[str, str]]:
    primary = found["measures"][0]["name"]
    queries = found["queries"]
    shown = []
    if best["best"]:
        row = _deciding(found, best["best"][0], primary)
        note = f"{_span(row)}; 1 is perfect"
        shown.append(titled(f"{primary} of {best['best'][0]}", figure(row["estimate"]), note))
    note = f"all of the first {found['pool']['depth']} documents of every system graded"
    graded = f"{queries['human']} of {queries['all']}"
    shown.append(titled("queries with people's grades", graded, note))
    if judge := next(iter(found["judges"]), ""):
        like = found["judges"][judge][primary]
        row, conclusions = like["kendall_tau"], like.get("conclusions")
        note = _span(row) + "; 1 is the same order of systems"
        if conclusions and conclusions["people"]:
            note += (
                f"; {conclusions['survive']} of {conclusions['people']} significant differences "
                "survive"
            )
        shown.append(titled(f"{judge} ranks as people do (τ)", figure(row["estimate"]), note))
    else:
        note = "not known: people graded no query completely"
        shown.append(titled("machine against people", "–", note))
    return shown


def _deciding(found: dict[str, Any], system: str, measure: str) -> dict[str, Any]:
    """A system's figure by the grades that decide: estimate, low, high."""
    apart, figures = found["differences"], found["systems"][system]["measures"][measure]
    row: dict[str, Any] = figures[apart["basis"]]
    return row if apart["basis"] == "people" else row[apart["judge"]]


def _span(row: dict[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return str(row.get("reason", "no interval"))
    return f"{figure(row['low'])} to {figure(row['high'])}"


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a system, best first: its figure in every measure by the grades that decide."""
    order = [name for group in found["differences"]["ranking"] for name in group]
    order += [name for name in found["systems"] if name not in order]
    return [
        {
            "name": name,
            "cells": [_deciding(found, name, one["name"]) for one in found["measures"]],
            **found["systems"][name],
        }
        for name in order
    ]
