"""The report as one page, of a trained labeler or of files of grades, with texts and without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS, PRIMARY
from relevance_distillery.reporting import diagrams, headline, provenance
from relevance_distillery.reporting.charts import dots
from relevance_distillery.reporting.comparisons import comparison_tables
from relevance_distillery.reporting.judge_names import Judges, judges_of
from relevance_distillery.reporting.pages import fill
from relevance_distillery.reporting.verdict import decide_best, decide_verdict

_SLICE_METRICS = ("quadratic_kappa", "accuracy", "within_one", "mean_absolute_error")
_MOST_JUDGES_OF_SLICES = 4


def labeler_report(results: Mapping[str, Any]) -> tuple[str, str]:
    """The page of a trained labeler, self-contained HTML.

    Args:
        results: agreement, cost, benchmark, grading, disagreements, promotion, labeling,
            exclusions and training, as the catalog holds them.

    Returns:
        The page; and the same without any text of documents or queries.
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
        figures=headline.student_figures(agreement, cost),
        lineage=provenance.labeler_lineage(results),
    )


def grades_report(results: Mapping[str, Any]) -> tuple[str, str]:
    """The page of files of grades, self-contained HTML.

    Args:
        results: agreement, cost, benchmark and disagreements.

    Returns:
        The page; and the same without any text of documents or queries.
    """
    agreement = results["agreement"]
    judges = judges_of(agreement)
    verdict = decide_best(agreement)
    question = "Which judge agrees with people best?"
    if len(judges.main) < 2:
        question = f"Does {judges.first or 'this judge'} agree with people?"
    if not agreement["benchmark"]["human"]:
        question = question.replace("people", "the reference grades")
    return _pages(
        results,
        judges,
        "",
        title=f"{verdict.answer}: {agreement['benchmark']['name']}",
        question=question,
        verdict=verdict,
        figures=headline.best_judge_figures(agreement, results["cost"], judges),
        lineage=provenance.benchmark_lineage(results),
    )


def _pages(
    results: Mapping[str, Any], judges: Judges, teacher_name: str, **first_screen: Any
) -> tuple[str, str]:
    agreement, cost = results["agreement"], results["cost"]
    priced = [name for name in judges.main if name in cost["judges"]] or list(cost["judges"])
    values = {
        "agreement": agreement,
        "benchmark": agreement["benchmark"],
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
        "calibration": diagrams.reliability(agreement, judges),
        "widths": diagrams.interval_widths(agreement["sample_size"]),
        "cost": cost,
        "prices": {name: diagrams.known_prices(cost, name) for name in priced},
        "price_picture": diagrams.agreement_against_price(agreement, cost, priced, judges),
        "million": headline.dollars_for_a_million,
        "grade_names": {grade["value"]: grade["name"] for grade in agreement["scale"]},
        "left_out": provenance.left_out(results),
        "not_defined": provenance.not_defined(agreement),
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
        # Where people gave one grade only there is no kappa.
        metric = next(
            (
                name
                for name in _SLICE_METRICS
                if any(row.get(name) for entry in entries for row in entry["judges"].values())
            ),
            None,
        )
        if shown and metric is not None:
            title = "people's grade" if title == "grade" else title
            shown = shown[:_MOST_JUDGES_OF_SLICES]
            found.append({"title": title, "metric": metric, "judges": shown, "entries": entries})
    return found
