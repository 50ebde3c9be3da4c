"""What an LLM would cost, before a cent is spent."""

from relevance_distillery.pipelines.planning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
