"""One judge minus another: differences, tests, and what may be concluded."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from relevance_distillery.evaluation.agreement.estimates import conclude
from relevance_distillery.evaluation.agreement.measurement import FEW_QUERIES
from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.reporting import formats
from relevance_distillery.reporting.judge_names import Judges

_WORDS = {
    "superior": ("better", "better"),
    "non-inferior": ("no worse", "better"),
    "inferior": ("worse", "worse"),
    "open": ("open", ""),
}
"""Conclusions of `evaluation.agreement.estimates`: the word, and the CSS class of its cell."""

_STAR = "*"
"""Marks a conclusion that the interval allows and the p-value does not."""

_SIGNIFICANT = 0.05
_COLUMNS = 5
"""Most comparisons side by side in the table of all metrics."""


def differences(agreement: Mapping[str, Any], first: str, second: str) -> dict[str, Any]:
    """First minus second by metric, whichever way round it was computed; empty if it was not."""
    for couple in agreement["comparisons"]:
        if (couple["first"], couple["second"]) == (first, second):
            return dict(couple["metrics"])
        if (couple["first"], couple["second"]) == (second, first):
            return {
                name: _reversed(name, row, couple["margin"])
                for name, row in couple["metrics"].items()
            }
    return {}


def _reversed(name: str, row: Mapping[str, Any], margin: float) -> dict[str, Any]:
    # The test of non-inferiority looks at the other end of the interval.
    found = turned(row) | {"p_non_inferior": None, "conclusion": None}
    better = METRICS[name].better
    if found["low"] is not None and found["high"] is not None and better != "zero":
        found["conclusion"] = conclude(Interval(0.0, found["low"], found["high"]), margin, better)
    return found


def turned(row: Mapping[str, Any]) -> dict[str, Any]:
    """A difference the other way round: estimate, low and high with their signs changed."""
    ends = {"estimate": row["estimate"], "low": row["high"], "high": row["low"]}
    return {**row, **{name: None if end is None else -end + 0.0 for name, end in ends.items()}}


def comparison_tables(agreement: Mapping[str, Any], judges: Judges) -> dict[str, Any] | None:
    """Every couple by the primary metric, and the couples with the first judge by all."""
    named = {frozenset((row["first"], row["second"])) for row in agreement["comparisons"]}
    couples = [pair for pair in combinations(judges.main, 2) if frozenset(pair) in named]
    found = {couple: differences(agreement, *couple) for couple in couples}
    with_first = [couple for couple in couples if couple[0] == judges.first and found[couple]]
    columns = with_first[:_COLUMNS]
    if not columns:
        return None
    margin = float(agreement["comparisons"][0]["margin"])
    queries = agreement["benchmark"]["queries"]
    if few := queries < FEW_QUERIES:
        found = {
            couple: {name: dict(row) | {"conclusion": None} for name, row in metrics.items()}
            for couple, metrics in found.items()
        }
    rows: list[dict[str, Any]] = [
        {"metric": metric, "cells": [_with_word(found[couple][name]) for couple in columns]}
        for name, metric in METRICS.items()
    ]
    sentences = [
        _sentence(found[couple][PRIMARY], judges, *couple, margin)
        for couple in (with_first if judges.has_student else columns)
    ]
    return {
        "margin": margin,
        "columns": columns,
        "rows": rows,
        "starred": any(_STAR in cell["word"] for row in rows for cell in row["cells"]),
        "sentences": [f"{queries} queries are too few to tell judges apart."]
        if few
        else [sentence for sentence in sentences if sentence],
        # With three judges or more the other couples are of interest as well.
        "couples": [
            (couple, _with_word(found[couple][PRIMARY])) for couple in couples if found[couple]
        ]
        if len(couples) > len(columns)
        else [],
    }


def _with_word(row: Mapping[str, Any]) -> dict[str, Any]:
    """The difference with its conclusion in a `word` and its CSS class as `mark`."""
    word, mark = _WORDS.get(row["conclusion"], ("", ""))
    if word == "better" and (row["p"] is None or row["p"] >= _SIGNIFICANT):
        word, mark = word + _STAR, ""
    return dict(row) | {"word": word, "mark": mark}


def _sentence(
    row: Mapping[str, Any], judges: Judges, first: str, second: str, margin: float
) -> str:
    one, other = judges.label(first), judges.label(second)
    gap = formats.span(row, 3, True)
    sentences = {
        "superior": f"{one} agrees better than {other}: the whole interval ({gap}) is above 0.",
        "non-inferior": f"{one} is no worse than {other} by more than {margin:g}: the interval "
        f"({gap}) stays above −{margin:g}. It is not shown to be better.",
        "inferior": f"{one} is worse than {other} by more than {margin:g}: the whole interval "
        f"({gap}) is below −{margin:g}.",
        "open": f"{one} against {other} is open: the interval ({gap}) allows a loss that matters. "
        "More queries would narrow it.",
    }
    return sentences.get(row["conclusion"], "")
