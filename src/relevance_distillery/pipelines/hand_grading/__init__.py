"""Pairs go out to people as a sheet, and come back with grades."""

from relevance_distillery.pipelines.hand_grading.pipeline import (
    create_export_pipeline,
    create_import_pipeline,
)

__all__ = ["create_export_pipeline", "create_import_pipeline"]
