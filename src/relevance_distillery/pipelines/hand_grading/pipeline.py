"""Wires hand-grading: pairs to a sheet, and sheets that came back to grades."""

from kedro.pipeline import Node, Pipeline

from relevance_distillery.pipelines.hand_grading import nodes


def create_export_pipeline() -> Pipeline:
    """The pipeline `export_sheet`."""
    return Pipeline(
        [
            Node(
                func=nodes.draw_sheet,
                inputs=[
                    "candidates",
                    "queries",
                    "passages",
                    "labels",
                    "previous_samples",
                    "graders",
                    "recorded_grades",
                    "grading_prompt",
                    "params:hand_grading",
                    "params:labeling",
                    "params:scale",
                ],
                outputs=["grading_sheet", "grading_samples", "grading_sample_report"],
                name="draw_sheet",
            )
        ]
    )


def create_import_pipeline() -> Pipeline:
    """The pipeline `import_sheet`."""
    return Pipeline(
        [
            Node(
                func=nodes.read_sheets,
                inputs=["returned_sheets", "previous_samples", "params:scale"],
                outputs=["human_grades", "human_grades_report"],
                name="read_sheets",
            )
        ]
    )
