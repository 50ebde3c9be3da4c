"""Settings of the report."""

from typing import Literal

from pydantic import Field

from relevance_distillery.judges.settings import TokenEstimates
from relevance_distillery.llm.prices import Price
from relevance_distillery.strict import Intervals


class CostParameters(TokenEstimates):
    """Prices and how speed is measured."""

    usd_per_hour: float = Field(0.1, ge=0)
    """Price of the machine that trained and runs the student."""
    usd_per_hour_source: str = "assumed: about what a cloud asks for two cores"
    """Where that price comes from; the report prints it."""
    teacher_usd_per_hour: float | None = Field(None, ge=0)
    """The same of a teacher that runs in this process; the student's when null."""
    teacher_pairs_per_second: float | None = Field(None, gt=0)
    """Speed of a teacher that cannot be measured here."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """By model or recorded judge, from conf/base/globals.yml; a recorded judge without one has no
    cost."""
    throughput_pairs: int = Field(192, ge=1)
    """Pairs graded in each timed repetition; more is steadier."""
    repeats: int = Field(3, ge=1)
    """Timed repetitions after the warm-up; the median counts."""


class ReportingParameters(Intervals):
    """How the labeler is measured and when it may replace the one in use."""

    judge: str = "embedded"
    """The teacher; in a recorded run the name of its file."""
    base_model: str = "bundled"
    """The untrained model that the student has to beat."""
    language: str = "english"
    """Stemmer of the BM25 row."""
    slice_pairs: int = Field(50, ge=1)
    """A slice with fewer pairs is marked as too small."""
    calibration_pairs: int = Field(400, ge=20)
    """Teacher's labels that fit the untrained model's cut points; more is slower."""
    promotion: Literal["auto", "manual"] = "auto"
    """`manual` leaves every promotion to a person."""
    max_cost_usd: float | None = Field(None, ge=0)
    """Cap on a paid teacher's labels and grades of the benchmark together."""
    margin: float = Field(0.03, gt=0)
    """Loss that does not matter: who is worse by less is called non-inferior."""
    examples: int = Field(12, ge=0)
    """Disagreements with people that the report shows."""
    second_pass: bool = False
    """Measure that [second pass](../pipelines/scoring.md#a-second-pass) too."""
    log_text: bool = False
    """MLflow keeps the report with its examples' texts."""
    cost: CostParameters = Field(default_factory=CostParameters)
    """See CostParameters."""
