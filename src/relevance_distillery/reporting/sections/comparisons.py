"""One judge minus another: differences, tests, and what may be concluded."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.reporting import wording
from relevance_distillery.reporting.sections.naming import Judges

MARGIN = 0.03
"""Margin of reports that do not state theirs."""

WORDS = {
    "superior": "better",
    "non-inferior": "no worse",
    "inferior": "worse",
    "open": "open",
}
"""Conclusions of `evaluation.statistics.comparison`, in one word each."""

STAR = "*"
"""Stands where an interval says more than the p-value does."""

_SIGNIFICANT = 0.05
_COLUMNS = 5
"""So many couples stand side by side in the table of all metrics."""


def margin_of(agreement: dict[str, Any]) -> float:
    """Loss in the primary metric that does not matter, as the tests used it."""
    couples = agreement.get("comparisons") or [{}]
    return float(couples[0].get("margin", MARGIN))


def differences(agreement: dict[str, Any], first: str, second: str) -> dict[str, Any]:
    """First minus second by metric, whichever way round it was computed; empty if it was not."""
    for couple in agreement.get("comparisons") or []:
        margin = couple.get("margin", MARGIN)
        if (couple["first"], couple["second"]) == (first, second):
            return _concluded(couple["metrics"], margin)
        if (couple["first"], couple["second"]) == (second, first):
            turned = {name: _turned(row) for name, row in couple["metrics"].items()}
            return _concluded(turned, margin)
    return _concluded(agreement.get(f"{first}_minus_{second}") or {}, MARGIN)


def _concluded(metrics: dict[str, Any], margin: float) -> dict[str, Any]:
    """With a conclusion where an older report, or one that was turned round, has none."""
    return {
        name: row
        if row.get("conclusion") is not None
        else row | {"conclusion": conclude(row, METRICS[name].better, margin)}
        for name, row in metrics.items()
        if name in METRICS
    }


def _turned(row: dict[str, Any]) -> dict[str, Any]:
    turned = {name: value for name, value in row.items() if name != "conclusion"}
    return turned | {
        "estimate": _negative(row.get("estimate")),
        "low": _negative(row.get("high")),
        "high": _negative(row.get("low")),
        # The test of non-inferiority looks at the other end of the interval.
        "p_non_inferior": None,
    }


def _negative(value: float | None) -> float | None:
    return None if value is None else -value + 0.0


def conclude(row: dict[str, Any], better: str, margin: float) -> str | None:
    """What an interval of a difference allows to say; None where it says nothing."""
    low, high = row.get("low"), row.get("high")
    if low is None or high is None or better == "zero":
        return None
    if better == "lower":
        low, high = -high, -low
    if low > 0:
        return "superior"
    if low > -margin:
        return "non-inferior"
    return "inferior" if high < -margin else "open"


def comparison_tables(agreement: dict[str, Any], judges: Judges) -> dict[str, Any] | None:
    """Every couple by the primary metric, and the couples with the first judge by all."""
    named = {frozenset((row["first"], row["second"])) for row in agreement.get("comparisons") or []}
    couples = [pair for pair in combinations(judges.main, 2) if frozenset(pair) in named]
    with_first = [
        (judges.first, other)
        for other in judges.main
        if other != judges.first and differences(agreement, judges.first, other)
    ]
    columns = with_first[:_COLUMNS]
    if not columns:
        return None
    found = {couple: differences(agreement, *couple) for couple in {*with_first, *couples}}
    rows: list[dict[str, Any]] = []
    for name in METRICS:
        cells = [_cell(found[couple].get(name)) for couple in columns]
        if any(one["value"] != "–" or one["title"] for one in cells):
            rows.append(
                {
                    "title": METRICS[name].title,
                    "better": {"lower": "less is better"}.get(METRICS[name].better, ""),
                    "cells": cells,
                    "primary": name == PRIMARY,
                }
            )
    sentences = [
        _sentence(found[couple].get(PRIMARY), judges, *couple, margin_of(agreement))
        for couple in (with_first if judges.has_student else columns)
    ]
    return {
        "margin": f"{margin_of(agreement):g}",
        "columns": [f"{judges.label(one)} − {judges.label(other)}" for one, other in columns],
        "rows": rows,
        "starred": any(STAR in one["word"] for row in rows for one in row["cells"]),
        "sentences": [sentence for sentence in sentences if sentence],
        # With three judges or more the other couples are of interest as well.
        "couples": [
            {
                "first": judges.label(one),
                "second": judges.label(other),
                "cell": _cell(found[one, other].get(PRIMARY)),
            }
            for one, other in couples
            if found[one, other]
        ]
        if len(couples) > len(columns)
        else [],
    }


def _cell(row: dict[str, Any] | None) -> dict[str, str]:
    if not row:
        return {"value": "–", "span": "", "title": "", "p": "", "word": "", "mark": "", "least": ""}
    word = WORDS.get(str(row.get("conclusion")), "")
    mark = {"better": "better", "no worse": "better", "worse": "worse"}.get(word, "")
    p = row.get("p")
    if word == "better" and (p is None or p >= _SIGNIFICANT):
        word, mark = f"{word}{STAR}", ""
    least = row.get("p_non_inferior")
    return {
        "value": wording.figure(row.get("estimate"), 3, True),
        "span": wording.span(row, 2, True) or "no interval",
        "title": row.get("reason", ""),
        "p": wording.p_value(p),
        "word": word,
        "mark": mark,
        "least": "" if least is None else wording.p_value(least),
    }


def _sentence(
    row: dict[str, Any] | None, judges: Judges, first: str, second: str, margin: float
) -> str:
    if not row:
        return ""
    one, other = judges.label(first), judges.label(second)
    gap = wording.span(row, 2, True)
    said = {
        "superior": f"{one} agrees better than {other}: the whole interval ({gap}) is above 0.",
        "non-inferior": f"{one} is no worse than {other} by more than {margin:g}: the interval "
        f"({gap}) stays above −{margin:g}. It is not shown to be better.",
        "inferior": f"{one} is worse than {other} by more than {margin:g}: the whole interval "
        f"({gap}) is below −{margin:g}.",
        "open": f"{one} against {other} is open: the interval ({gap}) allows a loss that matters. "
        "More queries would narrow it.",
    }
    return said.get(str(row.get("conclusion")), "")
