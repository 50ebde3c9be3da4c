"""Runs in, graded pool, figures and a page out."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.evaluating import nodes
from relevance_distillery.reporting.system_evaluation import write_page


def create_pipeline() -> Pipeline:
    """The pipeline `evaluate`."""
    return Pipeline(
        [
            Node(
                func=nodes.pool_runs,
                inputs=[
                    "runs",
                    "evaluation_benchmark",
                    "judge_files",
                    "evaluation_texts",
                    "stored_queries",
                    "params:evaluating",
                ],
                outputs=["evaluation_runs", "evaluation_pool", "evaluation_facts"],
                name="pool_runs",
            ),
            Node(
                func=nodes.grade_pool,
                inputs=[
                    "evaluation_pool",
                    "evaluation_benchmark",
                    "judge_files",
                    "evaluation_texts",
                    "stored_queries",
                    "previous_passages",
                    "previous_evaluation_passages",
                    "graders",
                    "grading_prompt",
                    "params:labeling",
                    "params:synthesis",
                    "params:evaluating",
                    "params:scale",
                ],
                outputs=["evaluation_grades", "evaluation_passages", "evaluation_judges"],
                name="grade_pool",
            ),
            Node(
                func=nodes.measure,
                inputs=[
                    "evaluation_runs",
                    "evaluation_grades",
                    "evaluation_facts",
                    "evaluation_judges",
                    "params:evaluating",
                    "params:scale",
                ],
                outputs="system_evaluation",
                name="measure_systems",
            ),
            Node(
                func=write_page,
                inputs="system_evaluation",
                outputs="system_evaluation_page",
                name="write_evaluation_page",
            ),
        ]
    )
