"""Queries and passages in, pairs to grade out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.mining import nodes


def create_pipeline() -> Pipeline:
    """Build the mining pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.build_bm25_index,
                inputs=["passages", "params:mining"],
                outputs="bm25_index",
                name="build_bm25_index",
            ),
            Node(
                func=nodes.learn_expansions,
                inputs=["passages", "bm25_index", "params:mining"],
                outputs="expansion_dictionary",
                name="learn_expansions",
            ),
            Node(
                func=nodes.run_channels,
                inputs=[
                    "queries",
                    "passages",
                    "bm25_index",
                    "recorded_grades",
                    "engine_runs",
                    "expansion_dictionary",
                    "params:mining",
                    "params:execution",
                ],
                outputs=["channel_runs", "channel_report"],
                name="run_channels",
            ),
            Node(
                func=nodes.choose_candidates,
                inputs=["queries", "passages", "channel_runs", "channel_report", "params:mining"],
                outputs=["candidates", "mining_report"],
                name="choose_candidates",
            ),
        ]
    )
