"""Parameters of the planning pipeline."""

from pydantic import Field

from relevance_distillery.strict import StrictModel


class PlanningParameters(StrictModel):
    """What a plan assumes, and how much of the work it does itself."""

    latency_seconds: float = Field(1.5, gt=0)
    """Assumed time of an answer, for the hours. Raise it for a large or reasoning model."""
    count_at_most: int = Field(20_000, ge=1)
    """Of more requests tokens are counted on an even sample of so many, about a millisecond
    each."""
    sample_passages: int = Field(2_000, ge=10)
    """Without the run's candidates, pairs are mined among so many passages; more is closer and
    slower."""
    sample_queries: int = Field(200, ge=1)
    """Without the run's queries, so many are made up."""
