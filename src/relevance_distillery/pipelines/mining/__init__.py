"""The mining pipeline."""

from relevance_distillery.pipelines.mining.pipeline import create_pipeline

__all__ = ["create_pipeline"]
