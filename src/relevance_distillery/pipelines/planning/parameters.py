"""Parameters of the planning pipeline."""

from pydantic import Field

from relevance_distillery.strict import StrictModel


class PlanningParameters(StrictModel):
    """What a plan assumes, and how much of the work it does itself."""

    latency_seconds: float = Field(1.5, gt=0)
    """Assumed time of one answer; with the requests in flight it gives the hours. Raise it for a
    large or reasoning model, or take your own measurement."""
    count_at_most: int = Field(20_000, ge=1)
    """Tokens of more requests than this are counted on an even sample of so many; counting takes
    about a millisecond each."""
    sample_passages: int = Field(2_000, ge=10)
    """Where the run's candidates do not exist yet, pairs are mined among so many passages; more is
    closer and slower."""
    sample_queries: int = Field(200, ge=1)
    """Where the run's queries do not exist yet, so many are made up; more is closer and slower."""
