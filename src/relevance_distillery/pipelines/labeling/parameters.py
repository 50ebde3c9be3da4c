"""Parameters of the labeling pipeline."""

from pydantic import Field

from relevance_distillery.judges.labeling import MAX_ATTEMPTS
from relevance_distillery.judges.settings import JudgeSettings


class LabelingParameters(JudgeSettings):
    """Everything about who grades and how."""

    max_attempts: int = Field(MAX_ATTEMPTS, ge=1)
    """How often a failure that may pass is tried, over all runs."""
    retry_failures: bool = False
    """Ask again for final failures, their cause removed."""
