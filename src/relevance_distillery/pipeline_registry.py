"""The pipelines by the names that users type."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from relevance_distillery.pipelines import (
    cascading,
    distillation,
    evaluating,
    forgetting,
    hand_grading,
    labeling,
    mining,
    planning,
    probing,
    recalibrating,
    reporting,
    scoring,
    synthesis,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Every pipeline by name; `__default__` makes a labeler from documents.

    Returns:
        Names as typed after `--pipeline=`, in the order in which they feed one another.
    """
    stages = {
        "synthesize": synthesis.create_pipeline(),
        "mine": mining.create_pipeline(),
        "label": labeling.create_pipeline(),
        "distill": distillation.create_pipeline(),
        "report": reporting.create_pipeline(),
    }
    return {
        "__default__": sum(stages.values(), start=Pipeline([])),
        **stages,
        # What `report` becomes where files of grades are given.
        "report_grades": reporting.create_grades_pipeline(),
        "plan": planning.create_pipeline(),
        "score": scoring.create_pipeline(),
        "evaluate": evaluating.create_pipeline(),
        "cascade": cascading.create_pipeline(),
        "forget": forgetting.create_pipeline(),
        "probe": probing.create_pipeline(),
        "recalibrate": recalibrating.create_pipeline(),
        "export_sheet": hand_grading.create_export_pipeline(),
        "import_sheet": hand_grading.create_import_pipeline(),
    }
