"""Candidates in, labels and failures out."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.labeling.nodes import grade_candidates, prepare_teacher


def create_pipeline(**kwargs: object) -> Pipeline:
    """Build the labeling pipeline."""
    return Pipeline(
        [
            Node(
                func=prepare_teacher,
                inputs=[
                    "passages",
                    "queries",
                    "recorded_grades",
                    "params:labeling",
                    "params:scale",
                ],
                outputs="judge_state",
                name="prepare_judge",
                tags=["labeling"],
            ),
            Node(
                func=grade_candidates,
                inputs=[
                    "candidates",
                    "queries",
                    "passages",
                    "judge_state",
                    "label_ledger",
                    "params:labeling",
                    "params:scale",
                ],
                outputs=["labels", "failures", "labeling_report"],
                name="grade_candidates",
                tags=["labeling"],
            ),
        ]
    )
