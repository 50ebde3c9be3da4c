"""Candidates in, labels and failures out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.labeling import nodes


def create_pipeline() -> Pipeline:
    """Build the labeling pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.prepare_teacher,
                inputs=[
                    "passages",
                    "queries",
                    "recorded_grades",
                    "grading_prompt",
                    "benchmark",
                    "params:labeling",
                    "params:scale",
                ],
                outputs="judge_state",
                name="prepare_judge",
            ),
            Node(
                func=nodes.grade_candidates,
                inputs=[
                    "candidates",
                    "queries",
                    "passages",
                    "judge_state",
                    "label_ledger",
                    "synthesis_report",
                    "stored_plan",
                    "params:labeling",
                    "params:scale",
                    "params:execution",
                ],
                outputs=[
                    "graded_labels",
                    "failures",
                    "labeling_report",
                    "judge_labels",
                    "difficulty",
                ],
                name="grade_candidates",
            ),
            Node(
                func=nodes.keep_labels,
                inputs=["graded_labels", "failures", "labeling_report"],
                outputs="labels",
                name="keep_labels",
            ),
        ]
    )
