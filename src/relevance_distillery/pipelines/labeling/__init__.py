"""The labeling pipeline."""

from relevance_distillery.pipelines.labeling.pipeline import create_pipeline

__all__ = ["create_pipeline"]
