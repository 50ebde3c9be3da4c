"""Graded pairs in, a fitted cascade and its report out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.cascading import nodes
from relevance_distillery.reporting.cascade import draw_frontier, fill_page


def create_pipeline() -> Pipeline:
    """Build the cascading pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.ask_judges,
                inputs=[
                    "cascade_train_set",
                    "cascade_benchmark",
                    "grading_prompt",
                    "label_ledger",
                    "params:labeling",
                    "params:scale",
                ],
                outputs=["cascade_pairs", "cascade_labels", "cascade_judges"],
                name="ask_judges",
            ),
            Node(
                func=nodes.fit,
                inputs=[
                    "cascade_pairs",
                    "cascade_labels",
                    "cascade_judges",
                    "params:labeling",
                    "params:cascading",
                    "params:scale",
                ],
                outputs=["cascade", "cascade_report"],
                name="fit_cascade",
            ),
            Node(
                func=draw_frontier,
                inputs="cascade_report",
                outputs="cascade_plot",
                name="draw_cascade",
            ),
            Node(
                func=fill_page,
                inputs="cascade_report",
                outputs="cascade_page",
                name="write_cascade_page",
            ),
        ]
    )
