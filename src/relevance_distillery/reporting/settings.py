"""Settings of the report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from relevance_distillery.judges.settings import TokenEstimates
from relevance_distillery.llm.prices import Price
from relevance_distillery.strict import Intervals


class CostParameters(TokenEstimates):
    """Prices and how speed is measured."""

    usd_per_hour: float = Field(
        default=0.1,
        ge=0,
        description="price of the machine that runs the student and trained it: yours, not ours",
    )
    usd_per_hour_source: str = Field(
        default="assumed: about what a cloud asks for two cores",
        description="where that price comes from; the report prints it",
    )
    teacher_usd_per_hour: float | None = Field(
        default=None,
        ge=0,
        description="price of the machine of a teacher that runs in this process; the "
        "student's when null",
    )
    teacher_pairs_per_second: float | None = Field(
        default=None,
        gt=0,
        description="speed of a teacher that cannot be measured here, when you know it",
    )
    prices: dict[str, Price] = Field(
        default_factory=dict,
        description="list prices by model or recorded judge, from conf/base/globals.yml; a "
        "recorded judge without one has no cost",
    )
    throughput_pairs: int = Field(
        default=192, ge=1, description="pairs graded in each timed repetition; more is steadier"
    )
    repeats: int = Field(
        default=3, ge=1, description="timed repetitions after the warm-up; the median counts"
    )


class ReportingParameters(Intervals):
    """How the labeler is measured and when it may replace the one in use."""

    judge: str = Field(
        default="embedded", description="the teacher; in a recorded run the name of its file"
    )
    base_model: str = Field(
        default="bundled", description="the untrained model that the student has to beat"
    )
    language: str = Field(default="english", description="stemmer of the BM25 row")
    slice_pairs: int = Field(
        default=50, ge=1, description="a slice with fewer pairs is marked as too small"
    )
    calibration_pairs: int = Field(
        default=400,
        ge=20,
        description="teacher's labels that fit the untrained model's cut points; more is slower",
    )
    promotion: Literal["auto", "manual"] = Field(
        default="auto", description="manual leaves every promotion to a person"
    )
    max_cost_usd: float | None = Field(
        default=None,
        ge=0,
        description="cap on what a paid teacher's labels and its grades of the benchmark cost "
        "together",
    )
    margin: float = Field(
        default=0.03,
        gt=0,
        description="loss that does not matter: of two judges, or two versions, the one that is "
        "worse by less is called non-inferior",
    )
    examples: int = Field(
        default=12,
        ge=0,
        description="disagreements with people that the report shows as examples; 0 for none",
    )
    log_text: bool = Field(
        default=False,
        description="MLflow keeps the report with the texts of its examples; else without them",
    )
    cost: CostParameters = Field(default_factory=CostParameters, description="see CostParameters")
