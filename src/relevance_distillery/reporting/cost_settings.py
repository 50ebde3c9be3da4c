"""Prices and assumptions that the cost of a label is computed from."""

from __future__ import annotations

from pydantic import Field

from relevance_distillery.llm.prices import Price
from relevance_distillery.strict import StrictModel


class CostParameters(StrictModel):
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
    prompt_tokens: int = Field(
        default=300,
        ge=0,
        description="tokens of the instructions before query and passage, where labels do not "
        "say how many were read",
    )
    output_tokens: int = Field(
        default=10, ge=0, description="tokens of an answer, where labels do not say"
    )
    characters_per_token: float = Field(
        default=4.0, gt=0, description="turns the length of query and passage into tokens"
    )
    throughput_pairs: int = Field(
        default=192, ge=1, description="pairs graded in each timed repetition; more is steadier"
    )
    repeats: int = Field(
        default=3, ge=1, description="timed repetitions after the warm-up; the median counts"
    )
