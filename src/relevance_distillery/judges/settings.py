"""What can be set about judges; apart from their classes, so that reading settings is cheap."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from relevance_distillery.errors import UserError
from relevance_distillery.judges.composites.settings import CascadeSettings, ConsensusSettings
from relevance_distillery.judges.kinds import parse_judge
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.settings import LLMSettings
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.terms import StemmerLanguage


class EmbeddedSettings(StrictModel):
    """How the embedded judge weighs its signals."""

    encoder: str = Field(
        "bundled",
        description="Sentence encoder with mean pooling; another one for another language.",
    )
    max_length: int = Field(
        256, ge=8, description="Tokens of a passage that the encoder reads; more costs time."
    )
    cosine_weight: float = Field(
        0.5, ge=0, description="Weight of meaning; raise it where people paraphrase."
    )
    coverage_weight: float = Field(
        0.5, ge=0, description="Weight of words; raise it where names and numbers matter."
    )
    seed_passage_bonus: float = Field(
        1.0,
        ge=0,
        description="Added, in standard deviations, for the passage a query was written from.",
    )
    seed_document_bonus: float = Field(
        0.25, ge=0, description="Added for other passages of the document it was written from."
    )
    related_quantile: float = Field(
        0.99,
        gt=0,
        lt=1,
        description="Share of random pairs that stay in the lowest grade; higher is stricter.",
    )
    relevant_quantile: float = Field(
        0.25,
        gt=0,
        lt=1,
        description="Share of seed pairs whose text alone falls below the first relevant grade.",
    )
    perfect_quantile: float = Field(
        0.75,
        gt=0,
        lt=1,
        description="Share of seed pairs whose text alone falls below the highest grade.",
    )
    sample: int = Field(
        1000, ge=20, description="Seed pairs, and random pairs, that thresholds are read from."
    )


class LLMJudgeSettings(LLMSettings):
    """How an LLM grades, and what it may see."""

    examples: str | None = Field(
        None,
        description="Few-shot examples: a CSV, TSV or JSONL file with query, text, grade, taken "
        "from validation data; a query of the benchmark among them is refused.",
    )
    never_send: tuple[str, ...] = Field(
        (),
        description="Gitignore-style patterns of paths, or ids, of documents that stay here; "
        "their pairs are failures, `withheld`.",
    )
    redact: str | None = Field(
        None,
        description="`package.module:function` applied to every text before it is sent, such as "
        "`relevance_distillery.llm.redaction:contact_details`.",
    )


class TransformersSettings(StrictModel):
    """A causal language model in this process."""

    model: str | None = Field(
        None, min_length=1, description="A folder or a name on the Hugging Face hub."
    )
    batch_size: int = Field(
        8, ge=1, description="Pairs read at once; larger suits a GPU, smaller saves memory."
    )
    max_tokens: int = Field(
        4096, ge=64, description="Longest request; a longer one is a failure, never cut."
    )
    device: str = Field("auto", description="A torch device; auto takes a GPU when there is one.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto is bf16 on a GPU and fp32 on a CPU."
    )


def _known(name: str) -> str:
    try:
        parse_judge(name)
    except UserError as error:
        raise ValueError(str(error)) from error
    return name


class JudgeSettings(StrictModel):
    """Which judge grades, and the settings of every kind of judge."""

    # Checked here, so that a wrong name fails before any node.
    judge: Annotated[str, AfterValidator(_known)] = Field(
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
    seed: int = Field(0, description="Of the pairs that the embedded judge is fitted on.")
