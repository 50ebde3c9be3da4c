"""The cascading pipeline: fits a cascade of judges on graded pairs and measures it."""

from relevance_distillery.pipelines.cascading.pipeline import create_pipeline

__all__ = ["create_pipeline"]
