"""Wires quantization: a labeler and its run's tables to a version in int8."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.quantizing import nodes


def create_pipeline() -> Pipeline:
    """The pipeline `quantize`."""
    return Pipeline(
        [
            Node(
                func=nodes.quantize_labeler,
                inputs=["graders", "labels", "splits", "queries", "passages", "params:quantizing"],
                outputs=["quantization", "quantized_candidate"],
                name="quantize_labeler",
            ),
            Node(
                func=nodes.accept_labeler,
                inputs=["quantization", "quantized_candidate"],
                outputs="quantized_labeler",
                name="accept_quantized_labeler",
            ),
            Node(
                func=nodes.register_labeler,
                inputs=["quantized_labeler", "quantization", "params:quantizing"],
                outputs="quantization_registration",
                name="register_quantized_labeler",
            ),
        ]
    )
