"""Documents and settings in, a plan out; nothing is sent."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.planning import nodes


def create_pipeline() -> Pipeline:
    """Build the planning pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.gather_passages,
                inputs=[
                    "raw_documents",
                    "benchmark",
                    "forgotten_documents",
                    "previous_passages",
                    "previous_origins",
                    "params:synthesis",
                ],
                outputs="planned_passages",
                name="gather_passages",
            ),
            Node(
                func=nodes.plan_queries,
                inputs=[
                    "planned_passages",
                    "query_prompt",
                    "label_ledger",
                    "params:synthesis",
                    "params:planning",
                ],
                outputs="planned_synthesis",
                name="plan_queries",
            ),
            Node(
                func=nodes.plan_labels,
                inputs=[
                    "planned_passages",
                    "query_log",
                    "stored_queries",
                    "stored_candidates",
                    "grading_prompt",
                    "recorded_grades",
                    "benchmark",
                    "stored_cascade_report",
                    "label_ledger",
                    "params:synthesis",
                    "params:mining",
                    "params:labeling",
                    "params:planning",
                    "params:scale",
                ],
                outputs="planned_labeling",
                name="plan_labels",
            ),
            Node(
                func=nodes.report_plan,
                inputs=[
                    "planned_passages",
                    "planned_synthesis",
                    "planned_labeling",
                    "params:synthesis",
                    "params:labeling",
                ],
                outputs="plan",
                name="report_plan",
            ),
        ]
    )
