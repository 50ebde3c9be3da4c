"""Runs of search engines become figures that say which one is better, and how sure that is."""

from relevance_distillery.pipelines.evaluating.pipeline import create_pipeline

__all__ = ["create_pipeline"]
