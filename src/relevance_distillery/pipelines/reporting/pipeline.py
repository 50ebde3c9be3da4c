"""Grades the benchmark with every judge, measures agreement and cost, decides, reports."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.reporting import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """The `report` pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.select_benchmark_pairs,
                inputs=[
                    "benchmark",
                    "passages",
                    "queries",
                    "labels",
                    "splits",
                    "params:synthesis",
                    "params:reporting",
                ],
                outputs=["benchmark_pairs", "benchmark_facts"],
                name="select_benchmark_pairs",
                tags=["reporting"],
            ),
            Node(
                func=nodes.choose_teacher,
                inputs=[
                    "judge_state",
                    "recorded_grades",
                    "grading_prompt",
                    "benchmark",
                    "params:labeling",
                    "params:reporting",
                    "params:scale",
                ],
                outputs="teacher_state",
                name="choose_teacher",
                tags=["reporting"],
            ),
            Node(
                func=nodes.grade_benchmark,
                inputs=[
                    "benchmark",
                    "benchmark_pairs",
                    "labeler",
                    "teacher_state",
                    "label_ledger",
                    "labels",
                    "labeling_report",
                    "splits",
                    "queries",
                    "passages",
                    "params:reporting",
                ],
                outputs=["benchmark_grades", "benchmark_failures", "grading_facts"],
                name="grade_benchmark",
                tags=["reporting"],
            ),
            Node(
                func=nodes.measure_agreement,
                inputs=[
                    "benchmark_grades",
                    "benchmark",
                    "benchmark_facts",
                    "grading_facts",
                    "params:reporting",
                ],
                outputs="agreement",
                name="measure_agreement",
                tags=["reporting"],
            ),
            Node(
                func=nodes.pick_disagreements,
                inputs=["benchmark_grades", "benchmark_pairs", "benchmark", "params:reporting"],
                outputs="disagreements",
                name="pick_disagreements",
                tags=["reporting"],
            ),
            Node(
                func=nodes.measure_cost,
                inputs=[
                    "benchmark_pairs",
                    "labeler",
                    "teacher_state",
                    "labels",
                    "training_facts",
                    "benchmark",
                    "params:reporting",
                ],
                outputs="cost",
                name="measure_cost",
                tags=["reporting"],
            ),
            Node(
                func=nodes.promote_labeler,
                inputs=[
                    "registration",
                    "benchmark_grades",
                    "benchmark_pairs",
                    "benchmark",
                    "agreement",
                    "cost",
                    "params:reporting",
                ],
                outputs="promotion",
                name="promote_labeler",
                tags=["reporting"],
            ),
            _figure_node(),
            Node(
                func=nodes.write_report,
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
    )


def create_grades_pipeline(**kwargs: Any) -> Pipeline:
    """The `report_grades` pipeline: files of grades against people's, with no labeler."""
    return Pipeline(
        [
            Node(
                func=nodes.collect_grades,
                inputs=["judged_benchmark", "judge_files", "params:reporting"],
                outputs=["benchmark_grades", "benchmark_facts", "grading_facts", "judged_texts"],
                name="collect_grades",
                tags=["reporting"],
            ),
            Node(
                func=nodes.measure_grades,
                inputs=[
                    "benchmark_grades",
                    "judged_benchmark",
                    "benchmark_facts",
                    "grading_facts",
                    "params:reporting",
                ],
                outputs="agreement",
                name="measure_grades",
                tags=["reporting"],
            ),
            Node(
                func=nodes.price_grades,
                inputs=["grading_facts", "judged_texts", "params:reporting"],
                outputs="cost",
                name="price_grades",
                tags=["reporting"],
            ),
            Node(
                func=nodes.pick_examples,
                inputs=[
                    "benchmark_grades",
                    "judged_texts",
                    "judged_benchmark",
                    "params:reporting",
                ],
                outputs="disagreements",
                name="pick_examples",
                tags=["reporting"],
            ),
            _figure_node(),
            Node(
                func=nodes.write_grades_report,
                inputs=["agreement", "cost", "benchmark_facts", "disagreements"],
                outputs=["report", "report_without_text"],
                name="write_grades_report",
                tags=["reporting"],
            ),
        ]
    )


def _figure_node() -> Node:
    return Node(
        func=nodes.draw_figures,
        inputs=["agreement", "cost"],
        outputs=[
            "agreement_plot",
            "confusion_plot",
            "grade_distribution_plot",
            "cost_plot",
            "reliability_plot",
        ],
        name="draw_figures",
        tags=["reporting"],
    )
