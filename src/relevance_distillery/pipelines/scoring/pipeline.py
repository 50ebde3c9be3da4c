"""Wires scoring: pairs and a grader to graded pairs and their drift."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.scoring import nodes


def create_pipeline() -> Pipeline:
    """The pipeline `score`."""
    return Pipeline(
        [
            Node(
                func=nodes.choose_grader,
                inputs=[
                    "grader",
                    "recorded_grades",
                    "grading_prompt",
                    "params:labeling",
                    "params:scale",
                ],
                outputs="ready_grader",
                name="choose_grader",
            ),
            Node(
                func=nodes.score_pairs,
                inputs=[
                    "pairs",
                    "ready_grader",
                    "scoring_output",
                    "params:scoring",
                    "params:execution",
                ],
                outputs=["scored", "drift"],
                name="score_pairs",
            ),
        ]
    )
