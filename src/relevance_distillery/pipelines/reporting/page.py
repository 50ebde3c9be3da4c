"""From results to what a person reads: figures and one page, with texts and without."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node

from relevance_distillery.reporting.figures import draw_figures
from relevance_distillery.reporting.pages import fill
from relevance_distillery.reporting.view import build_grades_view, build_view

PLOTS = [
    "agreement_plot",
    "confusion_plot",
    "grade_distribution_plot",
    "cost_plot",
    "reliability_plot",
]


def write_report(
    agreement: dict[str, Any],
    cost: dict[str, Any],
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    disagreements: list[dict[str, Any]],
    promotion: dict[str, Any],
    labeling_report: dict[str, Any],
    exclusions: dict[str, Any],
    training_facts: dict[str, Any],
) -> tuple[str, str]:
    """The page of a trained labeler, self-contained HTML.

    Returns:
        The page; and the same without any text of documents or queries.
    """
    results = {
        "agreement": agreement,
        "cost": cost,
        "benchmark": benchmark_facts,
        "grading": grading_facts,
        "disagreements": disagreements,
        "promotion": promotion,
        "labeling": labeling_report,
        "exclusions": exclusions,
        "training": training_facts,
    }
    return _page(build_view(results)), _page(build_view(results, texts=False))


def write_grades_report(
    agreement: dict[str, Any],
    cost: dict[str, Any],
    benchmark_facts: dict[str, Any],
    disagreements: list[dict[str, Any]],
) -> tuple[str, str]:
    """The page of files of grades, self-contained HTML.

    Returns:
        The page; and the same without any text of documents or queries.
    """
    results = {
        "agreement": agreement,
        "cost": cost,
        "benchmark": benchmark_facts,
        "disagreements": disagreements,
    }
    return _page(build_grades_view(results)), _page(build_grades_view(results, texts=False))


def _page(view: dict[str, Any]) -> str:
    return fill("report.html.jinja2", **view)


def _figure_node() -> Node:
    return Node(
        func=draw_figures,
        inputs=["agreement", "cost"],
        outputs=PLOTS,
        name="draw_figures",
        tags=["reporting"],
    )


def page_nodes() -> list[Node]:
    """The nodes that turn a labeler's results into pictures and a page."""
    return [
        _figure_node(),
        Node(
            func=write_report,
            inputs=[
                "agreement",
                "cost",
                "benchmark_facts",
                "grading_facts",
                "disagreements",
                "promotion",
                "labeling_report",
                "exclusions",
                "training_facts",
            ],
            outputs=["report", "report_without_text"],
            name="write_report",
            tags=["reporting"],
        ),
    ]


def grades_page_nodes() -> list[Node]:
    """The nodes that turn results of files of grades into pictures and a page."""
    return [
        _figure_node(),
        Node(
            func=write_grades_report,
            inputs=["agreement", "cost", "benchmark_facts", "disagreements"],
            outputs=["report", "report_without_text"],
            name="write_grades_report",
            tags=["reporting"],
        ),
    ]
