"""What can be set about pricing and measuring a cascade; apart, so that reading it is cheap."""

from __future__ import annotations

from pydantic import Field

from relevance_distillery.strict import StrictModel


class MeasurementSettings(StrictModel):
    """How a cascade is priced and measured; its judges are set under labeling.cascade."""

    judges_usd_per_1000: str | None = Field(
        None,
        description="Dollars for 1,000 answers of a judge that has no price here, as "
        "`NAME:USD;NAME:USD`; the report names them as assumptions.",
    )
    usd_per_hour: float = Field(
        0.1, ge=0, description="Price of this machine, for judges that run on it."
    )
    prompt_tokens: int = Field(
        300,
        ge=0,
        description="Tokens of the instructions, where a judge with a token price has not "
        "counted them.",
    )
    output_tokens: int = Field(10, ge=0, description="Tokens of an answer, likewise.")
    characters_per_token: float = Field(
        4.0, gt=0, description="Turns the length of query and document into tokens, likewise."
    )
    resamples: int = Field(1000, ge=100, description="Resamples of queries for each interval.")
    permutations: int = Field(
        2000, ge=100, description="Swaps for each p-value; 1 / (permutations + 1) is the smallest."
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1.0, description="Nominal coverage of the intervals."
    )
    seed: int = Field(0, ge=0, description="Of folds, resamples and swaps.")
