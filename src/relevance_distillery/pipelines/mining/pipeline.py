"""Queries and passages in, pairs to grade out."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.mining.nodes import build_bm25_index, mine_candidates


def create_pipeline(**kwargs: object) -> Pipeline:
    """Build the mining pipeline."""
    return Pipeline(
        [
            Node(
                func=build_bm25_index,
                inputs=["passages", "params:mining"],
                outputs="bm25_index",
                name="build_bm25_index",
                tags=["mining"],
            ),
            Node(
                func=mine_candidates,
                inputs=["queries", "passages", "bm25_index", "recorded_grades", "params:mining"],
                outputs=["candidates", "mining_report"],
                name="mine_candidates",
                tags=["mining"],
            ),
        ]
    )
