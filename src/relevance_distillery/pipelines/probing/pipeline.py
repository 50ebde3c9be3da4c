"""Wires probing: irrelevant pairs and hostile texts to what judges do with them."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.probing import nodes


def create_pipeline() -> Pipeline:
    """The pipeline `probe`."""
    return Pipeline(
        [
            Node(
                func=nodes.probe_graders,
                inputs=[
                    "labels",
                    "queries",
                    "passages",
                    "benchmark",
                    "hostile_attacks",
                    "graders",
                    "recorded_grades",
                    "grading_prompt",
                    "params:probing",
                    "params:labeling",
                    "params:scale",
                ],
                outputs="robustness",
                name="probe_graders",
            )
        ]
    )
