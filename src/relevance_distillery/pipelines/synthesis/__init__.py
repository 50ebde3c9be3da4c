"""Documents in; passages and queries out."""

from relevance_distillery.pipelines.synthesis.pipeline import create_pipeline

__all__ = ["create_pipeline"]
