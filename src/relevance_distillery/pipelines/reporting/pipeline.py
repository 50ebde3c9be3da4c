"""Grades the benchmark with every judge, measures agreement and cost, decides, reports."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.reporting import nodes
from relevance_distillery.pipelines.reporting.page import page_nodes


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
            *page_nodes(),
        ]
    )
