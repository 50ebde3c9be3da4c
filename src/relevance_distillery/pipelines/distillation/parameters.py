"""What can be turned about distillation, and why one would."""

from typing import Self

from pydantic import Field, model_validator

from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.strict import StrictModel


class SplitParameters(StrictModel):
    """Shares of labelled pairs; whole groups of queries go to one split."""

    train: float = Field(0.7, gt=0)
    """Pairs to learn from."""
    early_stopping: float = Field(0.1, gt=0)
    """Pairs that decide when to stop; more with few queries."""
    calibration: float = Field(0.1, gt=0)
    """Pairs for calibrators and cut points."""
    test: float = Field(0.1, ge=0)
    """Pairs for a benchmark where there is none; 0 when you have people's grades."""

    @model_validator(mode="after")
    def _sum(self) -> Self:
        total = self.train + self.early_stopping + self.calibration + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the splits sum to {total:g}, they must sum to 1")
        return self

    def shares(self) -> dict[str, float]:
        """Share of each split by name."""
        return {name: float(value) for name, value in self.model_dump().items()}


class DistillationParameters(StrictModel):
    """Everything about splits, training and registration."""

    language: str = "english"
    """Stemmer for finding near-duplicates of benchmark queries."""
    near_duplicate: float = Field(0.8, gt=0, le=1)
    """Jaccard similarity of stems from which a query counts as the benchmark's; lower keeps more
    out."""
    workspace: str
    """Checkpoints, from which a killed training resumes."""
    registered_name: str = "relevance-labeler"
    """Name in the registry."""
    splits: SplitParameters = SplitParameters()
    training: TrainingSettings = TrainingSettings()
