"""Parts of a Markdown page: tables, and figures as they stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.reporting.wording import figure

SCORED = tuple(name for name, metric in METRICS.items() if metric.scored)
MANY_JUDGES = 3
"""With more judges, couples and slices are shown by the primary metric alone."""

Names = dict[str, str]
"""How a page calls a judge; a judge that is not in it keeps its name."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def cell(row: dict[str, Any] | None, signed: bool = False, digits: int = 3) -> str:
    """`.581 (.552 to .609)`; the estimate alone without an interval; a dash without either."""
    if not row or row.get("estimate") is None:
        return "–"
    text = figure(row["estimate"], digits, signed)
    if row.get("low") is None or row.get("high") is None:
        return text
    return f"{text} ({figure(row['low'], digits, signed)} to {figure(row['high'], digits, signed)})"


def share(value: float | None) -> str:
    """A share with one decimal of a percent."""
    return "–" if value is None else f"{100 * value:.1f} %"


def graded(agreement: dict[str, Any]) -> list[str]:
    """Judges with grades, in the order of the report."""
    return [name for name in agreement["judges"] if name in agreement["confusion"]]


def zero(metric: str) -> bool:
    """Whether a metric is best at 0, so that its sign matters."""
    return METRICS[metric].better == "zero"
