"""A labeler's calibration and cut points are fitted to another collection."""

from relevance_distillery.pipelines.recalibrating.pipeline import create_pipeline

__all__ = ["create_pipeline"]
