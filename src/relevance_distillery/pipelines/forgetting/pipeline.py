"""A document's id in; the document out of everything that is stored."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.forgetting import nodes


def create_pipeline() -> Pipeline:
    """Build the forgetting pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.forget_document,
                inputs=["stored_files", "label_ledger", "forgotten_documents", "params:forgetting"],
                outputs=None,
                name="forget_document",
            )
        ]
    )
