"""Settings of the judge that runs a language model in this process; apart, to load no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from relevance_distillery.strict import StrictModel


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
