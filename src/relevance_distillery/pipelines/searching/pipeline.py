"""Wires searching: queries and a retriever to a run."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.searching import nodes


def create_pipeline() -> Pipeline:
    """The pipeline `search`."""
    return Pipeline(
        [
            Node(
                func=nodes.search,
                inputs=["search_files", "retrievers", "params:searching"],
                outputs="search_run",
                name="search",
            )
        ]
    )
