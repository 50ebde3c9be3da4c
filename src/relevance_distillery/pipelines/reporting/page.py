"""From results to what a person reads: figures and one page."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node

from relevance_distillery.pipelines.reporting.figures import draw_figures
from relevance_distillery.pipelines.reporting.render import render_report


def write_report(
    agreement: dict[str, Any],
    cost: dict[str, Any],
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    promotion: dict[str, Any],
    labeling_report: dict[str, Any],
    exclusions: dict[str, Any],
    training_facts: dict[str, Any],
) -> str:
    """One self-contained HTML page.

    Returns:
        The page; it holds no text of documents or queries.
    """
    return render_report(
        {
            "agreement": agreement,
            "cost": cost,
            "benchmark": benchmark_facts,
            "grading": grading_facts,
            "promotion": promotion,
            "labeling": labeling_report,
            "exclusions": exclusions,
            "training": training_facts,
        }
    )


def page_nodes() -> list[Node]:
    """The nodes that turn results into pictures and a page."""
    return [
        Node(
            func=draw_figures,
            inputs=["agreement", "cost"],
            outputs=[
                "agreement_plot",
                "confusion_plot",
                "grade_distribution_plot",
                "cost_plot",
            ],
            name="draw_figures",
            tags=["reporting"],
        ),
        Node(
            func=write_report,
            inputs=[
                "agreement",
                "cost",
                "benchmark_facts",
                "grading_facts",
                "promotion",
                "labeling_report",
                "exclusions",
                "training_facts",
            ],
            outputs="report",
            name="write_report",
            tags=["reporting"],
        ),
    ]
