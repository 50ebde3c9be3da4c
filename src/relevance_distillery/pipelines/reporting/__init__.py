from relevance_distillery.pipelines.reporting.pipeline import (
    create_grades_pipeline,
    create_pipeline,
)

__all__ = ["create_grades_pipeline", "create_pipeline"]
