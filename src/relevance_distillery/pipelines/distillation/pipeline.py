"""Wires distillation: labels to splits to a labeler to a registered version."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.distillation import nodes


def create_pipeline() -> Pipeline:
    """The pipeline `distill`."""
    return Pipeline(
        [
            Node(
                func=nodes.split_labels,
                inputs=["labels", "queries", "passages", "benchmark", "params:distillation"],
                outputs=["splits", "exclusions"],
                name="split_labels",
            ),
            Node(
                func=nodes.train_labeler,
                inputs=[
                    "labels",
                    "queries",
                    "passages",
                    "splits",
                    "params:scale",
                    "params:distillation",
                ],
                outputs=["labeler", "training_facts"],
                name="train_labeler",
            ),
            Node(
                func=nodes.register_labeler,
                inputs=["labeler", "training_facts", "params:distillation"],
                outputs="registration",
                name="register_labeler",
            ),
        ]
    )
