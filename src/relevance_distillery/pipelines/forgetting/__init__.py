"""The forgetting pipeline."""

from relevance_distillery.pipelines.forgetting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
