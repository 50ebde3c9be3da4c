"""What can be turned about scoring, and why one would."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ScoringParameters(BaseModel):
    """How a file of pairs is graded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: int = Field(
        default=32,
        ge=1,
        description="Pairs read at once by a labeler; larger suits a GPU, smaller saves memory. "
        "It changes no grade.",
    )
