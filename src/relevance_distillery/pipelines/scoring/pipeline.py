"""Wires scoring: pairs and a grader to graded pairs."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.scoring.nodes import score_pairs


def create_pipeline(**kwargs: Any) -> Pipeline:
    """The pipeline `score`."""
    return Pipeline(
        [
            Node(
                func=score_pairs,
                inputs=["pairs", "grader", "params:scoring"],
                outputs="scored",
                name="score_pairs",
            )
        ]
    )
