"""Grades the benchmark with every judge, measures agreement and cost, decides, reports."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.reporting import nodes
from relevance_distillery.reporting.benchmark_agreement import agreement_of_labeler
from relevance_distillery.reporting.benchmark_grades import grade_benchmark
from relevance_distillery.reporting.cost_report import measure_cost, prices_of_files
from relevance_distillery.reporting.figures import draw_figures
from relevance_distillery.reporting.judge_files import agreement_of_files, collect_grades
from relevance_distillery.reporting.promotion import promote
from relevance_distillery.reporting.report import grades_report, labeler_report

_FIGURES = Node(
    func=draw_figures,
    inputs=["agreement", "cost"],
    outputs=[
        "agreement_plot",
        "confusion_plot",
        "grade_distribution_plot",
        "cost_plot",
        "reliability_plot",
    ],
    name="draw_figures",
)


def create_pipeline() -> Pipeline:
    """The `report` pipeline."""
    return Pipeline(
        [
            Node(
                func=nodes.select_benchmark_pairs,
                inputs=[
                    "benchmark",
                    "passages",
                    "queries",
                    "labels",
                    "splits",
                    "documents_report",
                    "params:synthesis",
                    "params:reporting",
                ],
                outputs=["benchmark_pairs", "benchmark_facts"],
                name="select_benchmark_pairs",
            ),
            Node(
                func=nodes.choose_teacher,
                inputs=[
                    "judge_state",
                    "recorded_grades",
                    "grading_prompt",
                    "benchmark",
                    "params:labeling",
                    "params:reporting",
                    "params:scale",
                ],
                outputs="teacher_state",
                name="choose_teacher",
            ),
            Node(
                func=grade_benchmark,
                inputs=[
                    "benchmark",
                    "benchmark_pairs",
                    "labeler",
                    "teacher_state",
                    "label_ledger",
                    "labels",
                    "labeling_report",
                    "splits",
                    "queries",
                    "passages",
                    "params:reporting",
                ],
                outputs=["benchmark_grades", "benchmark_failures", "grading_facts"],
                name="grade_benchmark",
            ),
            Node(
                func=agreement_of_labeler,
                inputs=[
                    "benchmark_grades",
                    "benchmark",
                    "benchmark_facts",
                    "grading_facts",
                    "params:reporting",
                ],
                outputs="agreement",
                name="measure_agreement",
            ),
            Node(
                func=nodes.pick_disagreements,
                inputs=["benchmark_grades", "benchmark_pairs", "benchmark", "params:reporting"],
                outputs="disagreements",
                name="pick_disagreements",
            ),
            Node(
                func=measure_cost,
                inputs=[
                    "benchmark_pairs",
                    "labeler",
                    "teacher_state",
                    "labels",
                    "labeling_report",
                    "training_facts",
                    "benchmark",
                    "params:reporting",
                ],
                outputs="cost",
                name="measure_cost",
            ),
            Node(
                func=promote,
                inputs=[
                    "registration",
                    "benchmark_grades",
                    "benchmark_pairs",
                    "benchmark",
                    "agreement",
                    "cost",
                    "params:reporting",
                ],
                outputs="promotion",
                name="promote_labeler",
            ),
            _FIGURES,
            Node(
                func=labeler_report,
                inputs={
                    "agreement": "agreement",
                    "cost": "cost",
                    "benchmark": "benchmark_facts",
                    "grading": "grading_facts",
                    "disagreements": "disagreements",
                    "promotion": "promotion",
                    "labeling": "labeling_report",
                    "exclusions": "exclusions",
                    "training": "training_facts",
                },
                outputs=["report", "report_without_text"],
                name="write_report",
            ),
        ]
    )


def create_grades_pipeline() -> Pipeline:
    """The `report_grades` pipeline: files of grades against people's, with no labeler."""
    return Pipeline(
        [
            Node(
                func=collect_grades,
                inputs=["judged_benchmark", "judge_files"],
                outputs=["benchmark_grades", "benchmark_facts", "grading_facts", "judged_texts"],
                name="collect_grades",
            ),
            Node(
                func=agreement_of_files,
                inputs=[
                    "benchmark_grades",
                    "judged_benchmark",
                    "benchmark_facts",
                    "grading_facts",
                    "params:reporting",
                ],
                outputs="agreement",
                name="measure_grades",
            ),
            Node(
                func=prices_of_files,
                inputs=["grading_facts", "judged_texts", "params:reporting"],
                outputs="cost",
                name="price_grades",
            ),
            Node(
                func=nodes.pick_examples,
                inputs=["benchmark_grades", "judged_texts", "judged_benchmark", "params:reporting"],
                outputs="disagreements",
                name="pick_examples",
            ),
            _FIGURES,
            Node(
                func=grades_report,
                inputs={
                    "agreement": "agreement",
                    "cost": "cost",
                    "benchmark": "benchmark_facts",
                    "disagreements": "disagreements",
                },
                outputs=["report", "report_without_text"],
                name="write_grades_report",
            ),
        ]
    )
