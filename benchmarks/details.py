"""The later sections of a page: thresholds, grades, calibration, slices, sample size, costs."""

from __future__ import annotations

from typing import Any

from cells import MANY_JUDGES, Names, cell, graded, share, table, zero

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.reporting.wording import dollars, figure, rate


def thresholds(agreement: dict[str, Any], names: Names) -> str:
    """Agreement on `at least this grade`, for every grade."""
    kinds = ("kappa", "precision", "recall", "f1", "accuracy")
    rows = [
        [
            names.get(name, name),
            f"≥ {entry['from']} {entry['name']}",
            share(entry["people"]),
            share(entry["judge"]),
            *(cell(entry.get(kind)) for kind in kinds),
        ]
        for name, entries in agreement.get("thresholds", {}).items()
        for entry in entries
    ]
    header = ["judge", "from grade", "people", "judge", "κ", *kinds[1:3], "F1", "accuracy"]
    return table(header, rows) if rows else ""


def by_grade(agreement: dict[str, Any], names: Names) -> str:
    """Confusion matrices, people in rows, with recall and precision of each grade."""
    parts = []
    for name, found in agreement["confusion"].items():
        grades = [str(grade) for grade in found["grades"]]
        rows = [
            [
                grade,
                *(f"{count:,}" for count in counts),
                share(found["recall"][place]),
                share(found["precision"][place]),
            ]
            for place, (grade, counts) in enumerate(zip(grades, found["counts"], strict=True))
        ]
        header = ["people ↓ judge →", *grades, "recall", "precision"]
        parts.append(f"{names.get(name, name)}:\n\n{table(header, rows)}")
    return "\n".join(parts)


def calibration(agreement: dict[str, Any], names: Names) -> str:
    """ECE and Brier score, and the bins of the reliability diagram of `relevant`."""
    found = agreement.get("calibration") or {}
    if not found:
        return ""
    rows = [
        [
            names.get(name, name),
            f"{entry['pairs']:,}",
            *(cell(entry[kind]) for kind in ("ece", "brier")),
            *(cell(entry["relevant"][kind]) for kind in ("ece", "brier")),
        ]
        for name, entry in found.items()
    ]
    header = ["judge", "pairs", "ECE, grade", "Brier, grade", "ECE, relevant", "Brier, relevant"]
    parts = [table(header, rows)]
    for name, entry in found.items():
        parts.append(f"\n{names.get(name, name)}, relevant:\n\n")
        bins = [
            [
                figure(part["predicted"], 2),
                figure(part["observed"], 2),
                f"{figure(part['observed_low'], 2)} to {figure(part['observed_high'], 2)}",
                f"{part['pairs']:,}",
            ]
            for part in entry["relevant"]["bins"]
            if part["pairs"]
        ]
        parts.append(table(["predicted", "observed", "95 %", "pairs"], bins))
    return "".join(parts)


def slices(agreement: dict[str, Any], names: Names) -> str:
    """Parts of the benchmark; those too small to conclude from are marked."""
    parts = []
    judges = graded(agreement)
    for slicing, entries in agreement["slices"].items():
        found = [
            name
            for name in METRICS
            if any(name in row for entry in entries for row in entry["judges"].values())
        ]
        few = len(judges) > MANY_JUDGES
        shown = [PRIMARY if PRIMARY in found else "accuracy"] if few else found
        rows = []
        for entry in entries:
            value = f"{entry['value']} *" if entry["small"] else entry["value"]
            sizes = [f"{entry['pairs']:,}", f"{entry['queries']:,}"]
            if few:
                cells = [cell(entry["judges"].get(name, {}).get(shown[0])) for name in judges]
                rows.append([value, *sizes, *cells])
                continue
            for name, row in entry["judges"].items():
                cells = [cell(row.get(metric), zero(metric)) for metric in shown]
                rows.append([value, *sizes, names.get(name, name), *cells])
        titles = [METRICS[metric].title for metric in shown]
        columns = [names.get(name, name) for name in judges] if few else ["judge", *titles]
        lead = f"By {slicing}" + (f", {titles[0]}" if few else "")
        parts.append(f"{lead}:\n\n" + table(["part", "pairs", "queries", *columns], rows))
    small = any(entry["small"] for entries in agreement["slices"].values() for entry in entries)
    if small:
        parts.append("\\* too small to conclude from.\n")
    return "\n".join(parts)


def sample_size(agreement: dict[str, Any], names: Names) -> str:
    """How many human grades an interval of a given width and a conclusion need."""
    found = agreement.get("sample_size") or {}
    if not found.get("by_queries"):
        return f"Not defined: {found['reason']}.\n" if found.get("reason") else ""
    judge, title = names.get(found["judge"], found["judge"]), METRICS[found["metric"]].title
    rows = [
        [
            f"{row['queries']:,}" + (" (projected)" if row["projected"] else ""),
            f"{row['pairs']:,.0f}",
            f"± {figure(row['half_width'])}",
        ]
        for row in found["by_queries"]
    ]
    parts = [f"{title} of {judge}:\n\n" + table(["queries", "pairs", "half width"], rows)]
    rows = [
        [f"{row['pairs_per_query']:g}", f"{row['pairs']:,.0f}", f"± {figure(row['half_width'])}"]
        for row in found.get("by_pairs", [])
    ]
    if rows:
        parts.append("\n" + table(["pairs a query", "pairs", "half width"], rows))
    rows = [
        [f"± {row['half_width']:g}", _whole(row["queries"]), _whole(row["pairs"])]
        for row in found.get("queries_for", [])
    ]
    if rows:
        parts.append("\n" + table(["wanted half width", "queries", "pairs"], rows))
    power = found.get("power") or {}
    if power.get("rows"):
        first, second = (names.get(power[side], power[side]) for side in ("first", "second"))
        parts.append(
            f"\nChance to conclude about {first} minus {second}, margin {power['margin']:g}:\n\n"
        )
        # Being no worse when equal and being better when better by the margin: one distance.
        rows = [[f"{row['queries']:,}", share(row["non_inferior"])] for row in power["rows"]]
        parts.append(table(["queries", "non-inferior if equal, superior if so much better"], rows))
        parts.append(f"\nQueries for 80 %: {_whole(power['queries_for_80'])}.\n")
    return "".join(parts)


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def costs(cost: dict[str, Any], names: Names) -> str:
    """Speed and price with their basis, and what was assumed."""
    rows = [
        [
            names.get(name, name),
            rate(row.get("pairs_per_second")),
            str(row.get("speed_basis") or "–"),
            dollars(row.get("usd_per_1000_labels")),
            str(row.get("usd_basis") or "–"),
        ]
        for name, row in cost["judges"].items()
    ]
    parts = [table(["judge", "pairs/s", "basis", "1,000 labels", "basis"], rows)]
    pays = cost.get("break_even") or {}
    if pays.get("labels") is not None:
        parts.append(f"\nPaid back after {pays['labels']:,} labels: {pays['reason']}.\n")
    for row in cost.get("assumptions", []):
        parts.append(f"\n- {row['name']}: {row['value']:,g} {row['unit']} ({row['source']})")
    return "".join(parts) + "\n"


def remarks(agreement: dict[str, Any], names: Names) -> str:
    """What was left out, what is not defined and why."""
    lines = [f"- {note}" for note in agreement.get("notes", [])]
    lines += [f"- {reason}: {count:,}" for reason, count in items(agreement["excluded"])]
    for name, facts in (agreement.get("sources") or {}).items():
        counts = ", ".join(f"{facts[key]:,} {key}" for key in ("matched", "missing", "unknown"))
        lines.append(f"- {names.get(name, name)}: {facts['pairs_in_file']:,} pairs, {counts}")
    lines += [
        f"- not defined: `{row['where']}`: {row['reason']}" for row in agreement["not_defined"]
    ]
    return "\n".join(lines) + "\n" if lines else ""


def items(found: Any) -> list[tuple[str, Any]]:
    """Keys and values of a dictionary that may be absent."""
    return list((found or {}).items())
