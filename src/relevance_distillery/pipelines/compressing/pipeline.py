"""A retriever in; query encoders over its index, their report and the chosen one out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.compressing import nodes
from relevance_distillery.reporting.retrieval import write_page


def create_pipeline() -> Pipeline:
    """The pipeline `compress_retriever`."""
    return Pipeline(
        [
            Node(
                func=nodes.gather,
                inputs=[
                    "previous_passages",
                    "stored_queries",
                    "stored_labels",
                    "raw_documents",
                    "query_log",
                    "forgotten_documents",
                    "benchmark",
                    "params:synthesis",
                    "params:compressing",
                    "params:scale",
                ],
                outputs=[
                    "compression_passages",
                    "compression_targets",
                    "compression_queries",
                    "compression_grades",
                    "compression_pairs",
                    "compression_strings",
                ],
                name="gather_strings",
            ),
            Node(
                func=nodes.open_reference,
                inputs=["retrievers", "compression_passages", "params:compressing"],
                outputs=["reference_retriever", "reference_index"],
                name="open_reference",
            ),
            Node(
                func=nodes.train,
                inputs=[
                    "reference_retriever",
                    "reference_index",
                    "compression_strings",
                    "compression_pairs",
                    "params:compressing",
                ],
                outputs="query_encoder_ladder",
                name="train_query_encoders",
            ),
            Node(
                func=nodes.measure,
                inputs=[
                    "query_encoder_ladder",
                    "reference_retriever",
                    "reference_index",
                    "compression_targets",
                    "compression_queries",
                    "compression_grades",
                    "compression_strings",
                    "benchmark",
                    "stored_retrieval",
                    "params:compressing",
                    "params:scale",
                ],
                outputs=["retrieval", "query_encoder"],
                name="measure_query_encoders",
            ),
            Node(
                func=write_page, inputs="retrieval", outputs="retrieval_page",
                name="write_compression_page",
            ),
            Node(
                func=nodes.register,
                inputs=["query_encoder", "reference_index", "retrieval", "params:compressing"],
                outputs="query_encoder_registration",
                name="register_query_encoder",
            ),
        ]
    )  # fmt: skip
