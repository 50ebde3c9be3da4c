"""What can be turned about drift, and why one would."""

from __future__ import annotations

from pydantic import Field, model_validator

from relevance_distillery.strict import StrictModel


class Limits(StrictModel):
    """From where on a difference matters, however well it is measured."""

    watch: float = Field(ge=0, description="From here on the verdict is `watch`.")
    distrust: float = Field(ge=0, description="From here on the verdict is `distrust`.")

    @model_validator(mode="after")
    def _order(self) -> Limits:
        if self.distrust < self.watch:
            raise ValueError(f"distrust={self.distrust:g} is below watch={self.watch:g}")
        return self


class DriftSettings(StrictModel):
    """When a scored batch is too unlike training to be trusted."""

    sample: int = Field(
        default=10_000,
        ge=0,
        description="Pairs whose texts are read once more to count lengths and unknown words, "
        "drawn evenly over the file; 0 turns the comparison with training off.",
    )
    fewest_pairs: int = Field(
        default=200,
        ge=1,
        description="A batch with fewer graded pairs is too small to tell.",
    )
    fewest_queries: int = Field(
        default=10,
        ge=2,
        description="A batch with fewer queries is too small to tell, since pairs of one query "
        "are alike.",
    )
    false_alarms: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of batches like training that chance may call `watch`; a fifth of it "
        "for `distrust`.",
    )
    resamples: int = Field(
        default=2000,
        ge=200,
        description="Batches drawn from the training profile to see what chance does.",
    )
    distribution: Limits = Field(
        default=Limits(watch=0.1, distrust=0.25),
        description="Population stability index of grades, expected grades and lengths.",
    )
    confidence: Limits = Field(
        default=Limits(watch=0.05, distrust=0.1),
        description="How far mean confidence fell.",
    )
    unknown_words: Limits = Field(
        default=Limits(watch=0.08, distrust=0.16),
        description="How far the share of words rose that training had not.",
    )
    common_words: Limits = Field(
        default=Limits(watch=0.1, distrust=0.2),
        description="How far the share of the commonest words of training moved; it falls in "
        "another language and in lists of keywords.",
    )
    fields: Limits = Field(
        default=Limits(watch=0.25, distrust=0.5),
        description="How far the share of pairs with a title, path, … moved.",
    )
    truncated: Limits = Field(
        default=Limits(watch=0.15, distrust=0.3),
        description="How far the share of pairs rose that do not fit and are cut.",
    )
