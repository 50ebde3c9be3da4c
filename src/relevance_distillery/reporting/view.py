"""What the page prints, of a trained labeler or of files of grades."""

from __future__ import annotations

from typing import Any

from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.reporting.sections import (
    agreement as good,
)
from relevance_distillery.reporting.sections import (
    comparisons,
    detail,
    first_screen,
    provenance,
)
from relevance_distillery.reporting.sections.calibration import calibration
from relevance_distillery.reporting.sections.examples import examples
from relevance_distillery.reporting.sections.naming import Judges, judges_of
from relevance_distillery.reporting.sections.prices import prices
from relevance_distillery.reporting.sections.sample_size import sample_size
from relevance_distillery.reporting.verdict import decide_best, decide_verdict


def build_view(results: dict[str, Any], texts: bool = True) -> dict[str, Any]:
    """Everything that the template prints about a trained labeler.

    Args:
        results: agreement, cost, benchmark, grading, promotion, labeling, exclusions, training
            and perhaps disagreements, as the catalog holds them.
        texts: Examples show text of queries and documents.
    """
    agreement, cost = results["agreement"], results["cost"]
    promotion = results["promotion"]
    judges = judges_of(agreement)
    teacher_name = str(results["grading"]["teacher"]["name"])
    version = f"{promotion['name']}, version {promotion['version']}"
    verdict = decide_verdict(agreement, promotion["margin"], teacher_name)
    return _common(results, judges, texts, teacher_name) | {
        "title": f"{verdict.answer}: {promotion['name']} {promotion['version']}",
        "question": f"May I use this labeler? {version}",
        "verdict": verdict,
        "figures": first_screen.student_figures(agreement, cost, judges),
        "lineage": provenance.student_lineage(results),
    }


def build_grades_view(results: dict[str, Any], texts: bool = True) -> dict[str, Any]:
    """Everything that the template prints about files of grades.

    Args:
        results: agreement, cost, benchmark and perhaps disagreements.
        texts: Examples show text of queries and documents.
    """
    agreement = results["agreement"]
    judges = judges_of(agreement)
    verdict = decide_best(agreement)
    several = len(judges.main) > 1
    question = (
        "Which judge agrees with people best?"
        if several
        else f"Does {judges.first or 'this judge'} agree with people?"
    )
    if not agreement["benchmark"]["human"]:
        question = question.replace("people", "the reference grades")
    return _common(results, judges, texts) | {
        "title": f"{verdict.answer}: {agreement['benchmark']['name']}",
        "question": question,
        "verdict": verdict,
        "figures": first_screen.best_figures(agreement, results["cost"], judges),
        "lineage": provenance.grades_lineage(results),
    }


def _common(
    results: dict[str, Any], judges: Judges, texts: bool, teacher_name: str = ""
) -> dict[str, Any]:
    agreement = results["agreement"]
    shown = examples(results.get("disagreements") or [], agreement, judges, texts)
    return {
        "benchmark": agreement["benchmark"],
        "has_student": judges.has_student,
        "picture": first_screen.picture(agreement, judges, teacher_name),
        "others": first_screen.other_benchmarks(agreement),
        "notes": agreement.get("notes") or [],
        "judges": [judges.label(name) for name in judges.main],
        "ceiling": bool(agreement.get("human_ceiling")),
        "metrics": good.metric_rows(agreement, judges),
        "comparisons": comparisons.comparison_tables(agreement, judges),
        "ranking": good.ranking(agreement, judges),
        "one_scale": good.one_scale(agreement, judges),
        "confusions": detail.confusions(agreement, judges),
        "thresholds": detail.thresholds(agreement, judges),
        "slices": detail.slices(agreement, judges),
        "examples": shown,
        "calibration": calibration(agreement, judges),
        "sample_size": sample_size(agreement, judges),
        "cost": prices(agreement, results["cost"], judges, teacher_name),
        "left_out": provenance.left_out(results),
        "sources": provenance.sources(agreement, judges),
        "not_defined": provenance.not_defined(agreement),
        "glossary": list(METRICS.values()),
        "holds_text": bool(shown and shown["texts"]),
    }
