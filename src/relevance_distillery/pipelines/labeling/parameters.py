"""Parameters of the labeling pipeline."""

from __future__ import annotations

from pydantic import Field, field_validator

from relevance_distillery.channels.terms import stemmer_name
from relevance_distillery.errors import UserError
from relevance_distillery.judges.embedded import EmbeddedSettings
from relevance_distillery.judges.labeling import MAX_ATTEMPTS
from relevance_distillery.judges.registry import check_judge
from relevance_distillery.strict import StrictModel


class LabelingParameters(StrictModel):
    """Everything about who grades and how."""

    judge: str = Field(
        "embedded",
        description="Who teaches: embedded needs nothing, recorded reads grades from a file.",
    )
    language: str = Field(
        "english", description="Stemmer of the embedded judge: ISO code or name; none for none."
    )
    embedded: EmbeddedSettings = Field(
        EmbeddedSettings(), description="Settings of the embedded judge."
    )
    max_attempts: int = Field(
        MAX_ATTEMPTS,
        ge=1,
        description="How often a passing failure is tried, over all runs; more is patience.",
    )
    retry_failed: bool = Field(
        False, description="Ask again for failures that are final; after mending their cause."
    )
    seed: int = Field(description="Of the pairs that the embedded judge is fitted on.")

    # Both are asked for again where they are used; here a wrong one fails before any node.
    @field_validator("judge")
    @classmethod
    def _known_judge(cls, name: str) -> str:
        try:
            check_judge(name)
        except UserError as error:
            raise ValueError(str(error)) from error
        return name

    @field_validator("language")
    @classmethod
    def _known_language(cls, language: str) -> str:
        try:
            stemmer_name(language)
        except UserError as error:
            raise ValueError(str(error)) from error
        return language
