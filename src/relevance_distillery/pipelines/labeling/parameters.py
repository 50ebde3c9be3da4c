"""Parameters of the labeling pipeline."""

from __future__ import annotations

from pydantic import Field

from relevance_distillery.judges.composites.cascade_settings import CascadeSettings
from relevance_distillery.judges.composites.consensus import ConsensusSettings
from relevance_distillery.judges.embedding.embedded import EmbeddedSettings
from relevance_distillery.judges.labeling import MAX_ATTEMPTS
from relevance_distillery.judges.names import JudgeParameter
from relevance_distillery.judges.prompted.llm import LLMJudgeSettings
from relevance_distillery.judges.prompted.transformers_settings import TransformersSettings
from relevance_distillery.llm.prices import Price
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.stemming import StemmerLanguage


class LabelingParameters(StrictModel):
    """Everything about who grades and how."""

    judge: JudgeParameter = Field(
        "embedded",
        description="Who teaches, `KIND` or `KIND:MODEL`: embedded needs nothing, recorded reads "
        "grades from a file, llm asks an API, transformers runs a language model here, labeler is "
        "one that was distilled before.",
    )
    language: StemmerLanguage = Field(
        "english", description="Stemmer of the embedded judge: ISO code or name; none for none."
    )
    embedded: EmbeddedSettings = Field(
        EmbeddedSettings(), description="Settings of the embedded judge."
    )
    llm: LLMJudgeSettings = Field(
        LLMJudgeSettings(), description="Settings of a judge behind an OpenAI-compatible API."
    )
    transformers: TransformersSettings = Field(
        TransformersSettings(), description="Settings of a language model in this process."
    )
    cascade: CascadeSettings = Field(
        CascadeSettings(), description="Which judges a cascade asks, and how it is fitted."
    )
    consensus: ConsensusSettings = Field(
        ConsensusSettings(), description="Which judges a consensus asks, and how they are combined."
    )
    registered_name: str = Field(
        "relevance-labeler", description="Name in the registry that labeler:champion refers to."
    )
    prices: dict[str, Price] = Field(
        default_factory=dict,
        description="What tokens cost, by model; from conf/base/globals.yml.",
    )
    max_attempts: int = Field(
        MAX_ATTEMPTS,
        ge=1,
        description="How often a passing failure is tried, over all runs; more is patience.",
    )
    retry_failures: bool = Field(
        False, description="Ask again for failures that are final; after mending their cause."
    )
    seed: int = Field(description="Of the pairs that the embedded judge is fitted on.")
