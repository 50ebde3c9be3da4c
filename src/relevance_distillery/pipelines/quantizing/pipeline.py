"""Wires quantization: a labeler and its run's tables to a version in int8."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.quantizing.nodes import (
    accept_labeler,
    quantize_labeler,
    register_labeler,
)


def create_pipeline() -> Pipeline:
    """The pipeline `quantize`."""
    return Pipeline(
        [
            Node(
                func=quantize_labeler,
                inputs=["graders", "labels", "splits", "queries", "passages", "params:quantizing"],
                outputs=["quantization", "quantized_candidate"],
                name="quantize_labeler",
            ),
            Node(
                func=accept_labeler,
                inputs=["quantization", "quantized_candidate"],
                outputs="quantized_labeler",
                name="accept_quantized_labeler",
            ),
            Node(
                func=register_labeler,
                inputs=["quantized_labeler", "quantization", "params:quantizing"],
                outputs="quantization_registration",
                name="register_quantized_labeler",
            ),
        ]
    )
