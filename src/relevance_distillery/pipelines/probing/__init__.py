"""Hostile documents are planted, and what judges do with them is measured."""

from relevance_distillery.pipelines.probing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
