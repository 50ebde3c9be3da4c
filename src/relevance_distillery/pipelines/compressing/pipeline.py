"""A retriever in; query encoders over its index, their report and the chosen one out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.compressing import nodes
from relevance_distillery.reporting.retrieval import write_page


def create_pipeline() -> Pipeline:
    """The pipeline `compress_retriever`."""
    return Pipeline(
        [
            Node(
                nodes.gather,
                [
                    "previous_passages", "stored_queries", "stored_labels", "raw_documents",
                    "query_log", "forgotten_documents", "benchmark", "params:synthesis",
                    "params:compressing", "params:scale",
                ],
                [
                    "compression_passages", "compression_targets", "compression_benchmark",
                    "compression_pairs", "compression_strings",
                ],
                name="gather_strings",
            ),
            Node(
                nodes.open_reference,
                ["retrievers", "compression_passages", "params:compressing"],
                ["reference_retriever", "reference_index"],
                name="open_reference",
            ),
            Node(
                nodes.train,
                [
                    "reference_retriever", "reference_index", "compression_strings",
                    "compression_pairs", "params:compressing",
                ],
                "query_encoder_ladder",
                name="train_query_encoders",
            ),
            Node(
                nodes.measure,
                [
                    "query_encoder_ladder", "reference_retriever", "reference_index",
                    "compression_targets", "compression_benchmark", "compression_strings",
                    "stored_retrieval", "params:compressing",
                ],
                ["retrieval", "query_encoder"],
                name="measure_query_encoders",
            ),
            Node(write_page, "retrieval", "retrieval_page", name="write_compression_page"),
            Node(
                nodes.register,
                ["query_encoder", "reference_index", "retrieval", "params:compressing"],
                "query_encoder_registration",
                name="register_query_encoder",
            ),
        ]
    )  # fmt: skip
