"""Parameters of the mining pipeline."""

from typing import Self

from pydantic import Field, model_validator

from relevance_distillery.channels.candidates import Band
from relevance_distillery.channels.dense import DenseSettings
from relevance_distillery.channels.expansion import ExpansionSettings
from relevance_distillery.channels.registry import ChannelName
from relevance_distillery.strict import Seed, StrictModel
from relevance_distillery.text.terms import StemmerLanguage


class BM25Parameters(StrictModel):
    """How BM25 ranks and which ranks are graded."""

    k1: float = Field(1.2, ge=0)
    """Higher rewards repetition of a term longer."""
    b: float = Field(0.75, ge=0, le=1)
    """Length penalty; lower where long passages are good ones."""
    depth: int = Field(100, ge=1)
    """How far down a ranking is read for candidates; the tail band ends here."""
    bands: tuple[Band, ...] = (
        Band(first=1, last=5, take=4),
        Band(first=6, last=20, take=3),
        Band(first=21, last=100, take=2),
    )
    """Head for what is relevant, middle for hard cases, tail for easy ones."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        ranks = [rank for band in self.bands for rank in (band.first, band.last)]
        if ranks != sorted(ranks) or any(
            left.last == right.first
            for left, right in zip(self.bands, self.bands[1:], strict=False)
        ):
            raise ValueError("bands must follow one another without overlap")
        if self.bands and self.bands[-1].first > self.depth:
            raise ValueError(f"the last band begins below depth={self.depth}: raise depth")
        return self


class ChannelParameters(StrictModel):
    """Which channels are asked, and how."""

    channels: tuple[ChannelName, ...] = Field(("bm25", "random"), min_length=1)
    """Ways of finding candidates."""
    language: StemmerLanguage = "english"
    """Stemmer of the index: ISO code or name; none for no stemming."""
    dense: DenseSettings = DenseSettings()
    """The dense channel."""
    expansion: ExpansionSettings = ExpansionSettings()
    """The expansion channel."""
    seed: Seed
    """Of all draws; another one gives other candidates."""


class MiningParameters(ChannelParameters):
    """Everything about how candidates are found."""

    depth: int = Field(500, ge=1)
    """How many passages of every ranking `channel_runs` keeps for a query, at least `bm25.depth`;
    candidates are drawn from the first `bm25.depth` alone."""
    bm25: BM25Parameters = BM25Parameters()
    """The lexical channel."""
    random_passages: int = Field(2, ge=0)
    """Random passages a query: what no retriever finds, mostly irrelevant."""
