"""Grades and channels in; a retriever, its index and its report out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.retrieving import nodes
from relevance_distillery.reporting.retrieval import write_page


def create_pipeline() -> Pipeline:
    """The pipeline `train_retriever`."""
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
                    "recorded_grades",
                    "forgotten_documents",
                    "benchmark",
                    "params:synthesis",
                    "params:retrieving",
                    "params:scale",
                ],
                outputs=[
                    "retriever_passages",
                    "retriever_queries",
                    "retriever_grades",
                    "retriever_exclusions",
                ],
                name="gather_grades",
            ),
            Node(
                func=nodes.mine,
                inputs=[
                    "retriever_passages",
                    "retriever_queries",
                    "retriever_grades",
                    "engine_runs",
                    "graders",
                    "params:retrieving",
                    "params:scale",
                    "params:execution",
                ],
                outputs=["retriever_pairs", "retriever_buckets", "retriever_channels"],
                name="fill_buckets",
            ),
            Node(
                func=nodes.train,
                inputs=[
                    "retriever_pairs",
                    "retriever_queries",
                    "retriever_passages",
                    "retriever_grades",
                    "params:retrieving",
                    "params:scale",
                ],
                outputs=["retriever", "retriever_training"],
                name="train_retriever",
            ),
            Node(
                func=nodes.measure,
                inputs=[
                    "retriever_training",
                    "benchmark",
                    "retriever_passages",
                    "retriever_queries",
                    "retriever_pairs",
                    "retriever_buckets",
                    "retriever_channels",
                    "retriever_exclusions",
                    "params:synthesis",
                    "params:retrieving",
                ],
                outputs="retrieval",
                name="measure_retrievers",
            ),
            Node(
                func=write_page, inputs="retrieval", outputs="retrieval_page",
                name="write_retrieval_page",
            ),
            Node(
                func=nodes.index,
                inputs=["retriever", "retriever_passages", "params:retrieving", "params:execution"],
                outputs="retriever_index",
                name="index_passages",
            ),
            Node(
                func=nodes.register,
                inputs=["retriever", "retriever_index", "retrieval", "params:retrieving"],
                outputs="retriever_registration",
                name="register_retriever",
            ),
        ]
    )  # fmt: skip
