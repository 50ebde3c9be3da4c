"""A file of pairs becomes the same file with grades."""

from relevance_distillery.pipelines.scoring.pipeline import create_pipeline

__all__ = ["create_pipeline"]
