"""Wires recalibration: a labeler and grades of a new collection to a labeler that fits it."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.recalibrating import nodes


def create_pipeline() -> Pipeline:
    """The pipeline `recalibrate`."""
    return Pipeline(
        [
            Node(
                func=nodes.recalibrate_labeler,
                inputs=[
                    "graders",
                    "recalibration_judgments",
                    "recalibration_pairs",
                    "evaluation_texts",
                    "stored_queries",
                    "previous_passages",
                    "params:synthesis",
                    "params:recalibrating",
                ],
                outputs=["recalibration", "recalibrated_from"],
                name="recalibrate_labeler",
            ),
            Node(
                func=nodes.write_labeler,
                inputs=["recalibration", "recalibrated_from", "params:recalibrating"],
                outputs="recalibrated_labeler",
                name="write_recalibrated_labeler",
            ),
            Node(
                func=nodes.register_labeler,
                inputs=["recalibrated_labeler", "recalibration", "params:recalibrating"],
                outputs="recalibration_registration",
                name="register_recalibrated_labeler",
            ),
        ]
    )
