"""Labels become a labeler."""

from relevance_distillery.pipelines.distillation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
