"""Documents in; passages and queries out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.synthesis import nodes


def create_pipeline() -> Pipeline:
    """Wires the synthesis pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.read_documents,
                inputs=["raw_documents", "benchmark", "forgotten_documents", "params:synthesis"],
                outputs=["documents", "skipped_documents", "documents_report"],
                name="read_documents",
            ),
            Node(
                func=nodes.split_into_passages,
                inputs=["documents", "previous_passages", "previous_origins", "params:synthesis"],
                outputs=["passages", "passage_origins", "passages_report"],
                name="split_into_passages",
            ),
            Node(
                func=nodes.draft_queries,
                inputs=[
                    "passages",
                    "query_log",
                    "query_prompt",
                    "label_ledger",
                    "params:synthesis",
                ],
                outputs=["query_drafts", "query_log_report", "drafting_report"],
                name="draft_queries",
            ),
            Node(
                func=nodes.filter_queries,
                inputs=[
                    "query_drafts",
                    "passages",
                    "benchmark",
                    "documents_report",
                    "passages_report",
                    "query_log_report",
                    "drafting_report",
                    "params:synthesis",
                ],
                outputs=["queries", "synthesis_report"],
                name="filter_queries",
            ),
        ]
    )
