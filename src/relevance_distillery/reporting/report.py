"""The report as one page, of a trained labeler or of files of grades, with texts and without."""

import re
from collections.abc import Mapping
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.reporting import figures, headline
from relevance_distillery.reporting.charts import dots
from relevance_distillery.reporting.comparisons import comparison_tables
from relevance_distillery.reporting.formats import count, figure
from relevance_distillery.reporting.judge_names import Judges, judges_of, truth_of
from relevance_distillery.reporting.pages import fill
from relevance_distillery.reporting.verdict import decide_best, decide_verdict, state_of

_SLICE_METRICS = ("quadratic_kappa", "accuracy", "within_one", "mean_absolute_error")
_MOST_JUDGES_OF_SLICES = 4
_LISTED = 8
_IDS = 5


def labeler_report(**results: Any) -> tuple[str, str]:
    """The page of a trained labeler, and the same without any text of documents or queries.

    `results` are agreement, cost, benchmark, grading, disagreements, promotion, labeling,
    exclusions and training, as the catalog holds them.
    """
    agreement, cost, promotion = results["agreement"], results["cost"], results["promotion"]
    teacher_name = str(results["grading"]["teacher"]["name"])
    verdict = decide_verdict(agreement, promotion["margin"], teacher_name)
    return _pages(
        results,
        judges_of(agreement),
        teacher_name,
        title=f"{verdict.answer}: {promotion['name']} {promotion['version']}",
        question=f"May I use this labeler? {promotion['name']}, version {promotion['version']}",
        verdict=verdict,
        state=state_of(promotion, verdict),
        figures=headline.student_figures(agreement, cost),
        lineage=_labeler_lineage(results),
    )


def grades_report(**results: Any) -> tuple[str, str]:
    """As `labeler_report` of files of grades: agreement, cost, benchmark and disagreements."""
    agreement = results["agreement"]
    judges = judges_of(agreement)
    verdict = decide_best(agreement)
    truth = truth_of(agreement["benchmark"]).noun
    question = f"Which judge agrees with {truth} best?"
    if len(judges.main) < 2:
        question = f"Does {judges.first or 'this judge'} agree with {truth}?"
    return _pages(
        results,
        judges,
        "",
        title=f"{verdict.answer}: {agreement['benchmark']['name']}",
        question=question,
        verdict=verdict,
        state="",
        figures=headline.best_judge_figures(agreement, results["cost"], judges),
        lineage=_benchmark_lineage(results),
    )


def _pages(
    results: Mapping[str, Any], judges: Judges, teacher_name: str, **first_screen: Any
) -> tuple[str, str]:
    agreement, cost = results["agreement"], results["cost"]
    priced = [name for name in judges.main if name in cost["judges"]] or list(cost["judges"])
    values = {
        "agreement": agreement,
        "benchmark": agreement["benchmark"],
        "truth": truth_of(agreement["benchmark"]),
        "judges": judges,
        "every_judge": (*judges.main, *judges.scores),
        "teacher_name": teacher_name,
        "metrics": METRICS,
        "primary": PRIMARY,
        "ceiling": agreement["human_ceiling"],
        "picture": headline.picture(agreement, judges, teacher_name),
        "others": headline.other_benchmarks(agreement),
        "comparisons": comparison_tables(agreement, judges),
        "with_people": _with_people(agreement, judges),
        "slices": _slices(agreement, judges),
        "calibration": figures.reliability(agreement, judges),
        "widths": figures.interval_widths(agreement["sample_size"]),
        "cost": cost,
        "prices": {name: figures.known_prices(cost, name) for name in priced},
        "price_picture": figures.agreement_against_price(agreement, cost, priced, judges),
        "million": headline.dollars_for_a_million,
        "grade_names": {grade["value"]: grade["name"] for grade in agreement["scale"]},
        "left_out": _left_out(results),
        "not_defined": _not_defined(agreement),
        **first_screen,
    }
    examples = results["disagreements"]
    without_text = [one | {"query": [], "title": [], "excerpt": []} for one in examples]
    return (
        fill("report.html.jinja2", examples=_ordered(examples, judges), **values),
        fill("report.html.jinja2", examples=_ordered(without_text, judges), **values),
    )


def _ordered(examples: list[dict[str, Any]], judges: Judges) -> list[dict[str, Any]]:
    """The examples with their grades in the order of the report's judges."""
    return [
        one
        | {
            "grades": {
                name: one["grades"][name]
                for name in dict.fromkeys((*judges.main, *one["grades"]))
                if name in one["grades"]
            }
        }
        for one in examples
    ]


def _with_people(agreement: Mapping[str, Any], judges: Judges) -> dict[str, Any]:
    """Each person and each judge against the same other people."""
    found = agreement["one_scale"]
    rows = [("people", str(name), row, None) for name, row in found.get("raters", {}).items()]
    for name, row in found.get("judges", {}).items():
        minus = found["judge_minus_people"].get(name, {}).get(PRIMARY)
        rows.append((judges.tone(name), judges.label(name), row, minus))
    return {
        "rows": rows,
        "picture": dots((tone, label, "", row[PRIMARY]) for tone, label, row, _ in rows),
        "skipped": found.get("skipped", {}),
    }


def _slices(agreement: Mapping[str, Any], judges: Judges) -> list[dict[str, Any]]:
    """Each slicing with a metric that its slices have, and the judges that it shows."""
    found = []
    for title, entries in agreement["slices"].items():
        present = {name for entry in entries for name in entry["judges"]}
        shown = [name for name in judges.main if name in present and name != "base"]
        # Where all right grades are the same there is no kappa.
        metric = next(
            (
                name
                for name in _SLICE_METRICS
                if any(row.get(name) for entry in entries for row in entry["judges"].values())
            ),
            None,
        )
        if shown and metric is not None:
            if title == "grade":
                title = f"{truth_of(agreement['benchmark']).of} grade"
            shown = shown[:_MOST_JUDGES_OF_SLICES]
            found.append({"title": title, "metric": metric, "judges": shown, "entries": entries})
    return found


def _left_out(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """What was excluded or failed, from every stage that the report knows of."""
    rows = [
        (f"benchmark {facts['name']}", *_skipped(reason, list(ids)))
        for facts in _benchmarks(results)
        for reason, ids in facts["skipped"].items()
    ]
    counted = {
        "metrics": results["agreement"]["excluded"],
        "teacher on the benchmark": results.get("grading", {}).get("teacher", {}).get("failures"),
        "labeling": results.get("labeling", {}).get("failures"),
    }
    for where, reasons in counted.items():
        rows += [(where, str(what), count(number)) for what, number in (reasons or {}).items()]
    for reason, numbers in results.get("exclusions", {}).get("reasons", {}).items():
        if numbers["pairs"]:
            number = f"{numbers['pairs']:,} pairs, {numbers['queries']:,} queries"
            rows.append(("kept out of training", str(reason).replace("_", " "), number))
    return [dict(zip(("where", "what", "count"), row, strict=True)) for row in rows]


def _skipped(reason: str, ids: list[str]) -> tuple[str, str]:
    """A reason with the first ids, and how many there are; a long list ends in `and 12 more`."""
    more = re.fullmatch(r"and (\d+) more", str(ids[-1])) if ids else None
    number = len(ids) - 1 + int(more[1]) if more else len(ids)
    what, _, rows = reason.rpartition(": ")
    if rows.isdecimal():
        number = int(rows)
    else:
        what = reason
    shown = ", ".join(str(one) for one in ids[:_IDS]) + (", …" if len(ids) > _IDS else "")
    return f"{what}: {shown}" if shown else what, count(number)


def _not_defined(agreement: Mapping[str, Any]) -> list[dict[str, str]]:
    """Missing figures by their reason."""
    by_reason: dict[str, list[str]] = {}
    for row in agreement["not_defined"]:
        by_reason.setdefault(str(row["reason"]), []).append(str(row["where"]))
    return [
        {
            "reason": reason,
            "where": ", ".join(places[:_LISTED]),
            "more": count(len(places) - _LISTED) if len(places) > _LISTED else "",
        }
        for reason, places in by_reason.items()
    ]


def _labeler_lineage(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Version, decision, model, teacher and benchmark of a trained labeler's report."""
    promotion, student = results["promotion"], results["grading"]["student"]
    labeling, training = results["labeling"], results["training"]
    teacher = results["grading"]["teacher"]
    rows = [
        ("version", f"{promotion['name']} {promotion['version']}"),
        (
            "decision",
            ("promoted: " if promotion["promoted"] else "not promoted: ") + promotion["reason"],
        ),
        ("champion", promotion["champion"] or "none"),
        ("base model", student["base_model"]),
        ("architecture", f"{student['architecture']}, {student['precision']}, {student['device']}"),
        ("artifact", student["digest"]),
        ("teacher", f"{teacher['name']} {labeling.get('model', '')}".strip()),
        ("teacher's labels", count(labeling.get("labelled"))),
        ("training", f"{training.get('seconds', 0):,.0f} s"),
        *_benchmark_lineage(results),
        ("taken off for each ln(passages)", figure(student["length_slope"], 3)),
    ]
    return [(name, str(value)) for name, value in rows]


def _benchmark_lineage(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and digest of each benchmark."""
    facts = _benchmarks(results)
    return [
        ("benchmark" if place == 0 else "another benchmark", f"{one['name']} {one['digest']}")
        for place, one in enumerate(facts)
    ]


def _benchmarks(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    facts = results["benchmark"]
    return [facts, *(facts.get("others") or [])]
