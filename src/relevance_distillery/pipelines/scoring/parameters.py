"""What can be turned about scoring, and why one would."""

from pydantic import Field

from relevance_distillery.evaluation.drift.comparisons import DriftSettings
from relevance_distillery.strict import Seed, StrictModel


class ScoringParameters(StrictModel):
    """How a file of pairs is graded."""

    batch_size: int = Field(32, ge=1)
    """Pairs read at once by a labeler; larger suits a GPU, smaller saves memory. It changes no
    grade."""
    second_pass: bool = False
    """Grade [again by query](../pipelines/scoring.md#a-second-pass)."""
    drift: DriftSettings = DriftSettings()
    seed: Seed = 20260121
    """Draws the batches that show what chance does to drift."""
