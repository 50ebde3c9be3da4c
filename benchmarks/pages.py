"""agreement.json and cost.json as the short Markdown of a result page.

A page holds the answer, every metric, people and judges on one scale where there are raters, and
costs. The full report of a run is its report.html, which stays in the project of the run: on
licensed collections it shows texts that may not be published.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from relevance_distillery.encoders.devices import choose_precision
from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.reporting.formats import dollars, figure, rate

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "results"
BENCHMARKS = Path(os.environ.get("BENCHMARKS", "benchmarks/data")).resolve()
"""The folder of the sets."""

LEFT_OUT = (
    "accuracy", "within_one", "mean_absolute_error", "gwet_ac2", "ndcg", "krippendorff_alpha",
    "spearman",
)  # fmt: skip
"""Metrics that a page leaves to the report: high on easy pairs, or near another."""

SCORED = tuple(name for name, one in METRICS.items() if one.scored and name not in LEFT_OUT)
MANY_JUDGES = 3
"""With more judges, a page does not list what each couple's difference is."""

Names = dict[str, str]
"""How a page calls a judge; a judge that is not in it keeps its name."""


def short_report(
    agreement: dict[str, Any],
    cost: dict[str, Any] | None = None,
    names: Names | None = None,
    level: int = 3,
) -> str:
    """The sections of a result page that have content.

    Args:
        agreement: The content of agreement.json.
        cost: The content of cost.json; no section on costs when None.
        names: How judges are called where not by their names.
        level: Depth of the headings.

    Returns:
        Markdown: the answer without a heading, then a heading and a body a section.
    """
    called = names or {}
    sections = [
        ("Metrics", metrics_of(agreement, called)),
        ("People and judges on one scale", one_scale(agreement, called)),
        ("Cost and speed", costs(cost, called) if cost and cost.get("judges") else ""),
    ]
    parts = [answer(agreement, called, alone=False)]
    for title, body in sections:
        if body.strip():
            parts.append(f"{'#' * level} {title}\n\n{body.strip()}\n")
    return "\n".join(parts)


def answer(agreement: dict[str, Any], names: Names, alone: bool = True) -> str:
    """Whose grades, how many, and what the primary metric says of each couple.

    Of each judge as well where the answer stands `alone`, without the table of metrics.
    """
    benchmark = agreement["benchmark"]
    who = "graded by people" if benchmark.get("human") else "**not** graded by people"
    lines = []
    for name in graded(agreement) if alone else []:
        lines.append(f"- {names.get(name, name)}: {cell(agreement['judges'][name][PRIMARY])}")
    ceiling = agreement["human_ceiling"].get(PRIMARY)
    if ceiling and alone:
        lines.append(f"- people with each other: {cell(ceiling)}")
    couples = agreement["comparisons"]
    for couple in couples if len(couples) <= MANY_JUDGES else []:
        row = couple["metrics"].get(PRIMARY, {})
        first, second = (names.get(couple[side], couple[side]) for side in ("first", "second"))
        lines.append(
            f"- {first} minus {second}: {cell(row, signed=True)}, "
            f"**{row.get('conclusion') or 'not defined'}** at a margin of {couple['margin']:g}"
        )
    said = "Intervals are 95 %, over queries."
    if lines:
        said = f"In {METRICS[PRIMARY].title}, with 95 % intervals over queries:\n"
    lead = f"{benchmark['pairs']:,} pairs of {benchmark['queries']:,} queries, {who} "
    return "\n".join([f"{lead}(`{benchmark.get('name', '')}`). {said}", *lines]) + "\n"


def metrics_of(agreement: dict[str, Any], names: Names) -> str:
    """Metrics of judges with grades, and the rank metrics of those with scores."""
    judges, ceiling = graded(agreement), agreement["human_ceiling"]
    people = ["people with each other"] if ceiling else []
    rows = []
    for metric in (one for one in METRICS.values() if one.name not in LEFT_OUT):
        signed = zero(metric.name)
        cells = [cell(agreement["judges"][name].get(metric.name), signed) for name in judges]
        cells += [cell(ceiling.get(metric.name), signed) for _ in people]
        rows.append([metric.title, *cells])
    parts = [table(["metric", *(names.get(name, name) for name in judges), *people], rows)]
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, found in agreement["judges"].items():
        if name not in judges:
            cells = tuple(cell(found.get(metric)) for metric in SCORED)
            alike.setdefault(cells, []).append(f"`{names.get(name, name)}`")
    if alike:
        parts.append("\nRows that rank by a score without ties:\n\n")
        header = ["score", *(METRICS[metric].title for metric in SCORED)]
        parts.append(table(header, [[", ".join(said), *cells] for cells, said in alike.items()]))
    return "".join(parts)


def one_scale(agreement: dict[str, Any], names: Names) -> str:
    """The primary metric of every person and every judge against the other persons."""
    found = agreement.get("one_scale") or {}
    if not found.get("raters"):
        return ""
    sides = list(found["raters"].items())
    sides += [(f"**{names.get(name, name)}**", row) for name, row in found["judges"].items()]
    header = ["metric", *(name for name, _ in sides)]
    row = [METRICS[PRIMARY].title, *(cell(row.get(PRIMARY)) for _, row in sides)]
    lead = f"Each against the (other) persons, on {found['pairs']:,} pairs:\n\n"
    return lead + table(header, [row])


def costs(cost: dict[str, Any], names: Names) -> str:
    """Speed and price with their basis, and when the labeler has paid for itself."""
    rows = [
        [
            names.get(name, name),
            rate(row.get("pairs_per_second")),
            str(row.get("speed_basis") or "–"),
            dollars(row.get("usd_per_1000_labels")),
            str(row.get("usd_basis") or "–"),
        ]
        for name, row in cost["judges"].items()
        if _known(row)
    ]
    found = table(["judge", "pairs/s", "basis", "1,000 labels", "basis"], rows) if rows else ""
    unknown = [names.get(name, name) for name, row in cost["judges"].items() if not _known(row)]
    if unknown:
        found += f"\nNeither speed nor price is known of {', '.join(unknown)}.\n"
    pays = cost.get("break_even") or {}
    if pays.get("labels") is not None:
        found += f"\nPaid back after {pays['labels']:,} labels: {pays['reason']}.\n"
    return found


def _known(row: dict[str, Any]) -> bool:
    return not (row.get("pairs_per_second") is None and row.get("usd_per_1000_labels") is None)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    first, *rest = (
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n"
        for line in (header, *rows)
    )
    return "".join([first, "|---" * len(header) + "|\n", *rest])


def cell(row: dict[str, Any] | None, signed: bool = False, digits: int = 3) -> str:
    """`.581 (.552 to .609)`; the estimate alone without an interval; a dash without either."""
    if not row or row.get("estimate") is None:
        return "–"
    text = figure(row["estimate"], digits, signed)
    if row.get("low") is None or row.get("high") is None:
        return text
    return f"{text} ({figure(row['low'], digits, signed)} to {figure(row['high'], digits, signed)})"


def graded(agreement: dict[str, Any]) -> list[str]:
    """Judges with grades, in the order of the report."""
    return [name for name in agreement["judges"] if name in agreement["confusion"]]


def zero(metric: str) -> bool:
    """Whether a metric is best at 0, so that its sign matters."""
    return METRICS[metric].better == "zero"


def write(page: Path, parts: Sequence[str]) -> str:
    """Write a page from its parts, with the notes of its `.notes` file at the end; its text."""
    notes = PAGES / f"{page.stem}.notes"
    if notes.is_file():
        parts = [*parts, notes.read_text(encoding="utf-8")]
    text = "\n".join(parts).rstrip() + "\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return text


def machine() -> str:
    """Processor, cores that this process may use, precision of a labeler on it, memory."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    processor = names[0] if names else platform.processor()
    return f"{processor}, {cores} cores, {choose_precision('cpu')}, {memory:.0f} GB"
