"""Parameters of training a retriever."""

from typing import Literal

from pydantic import Field

from relevance_distillery.channels.registry import ChannelName
from relevance_distillery.pipelines.mining.parameters import ChannelParameters
from relevance_distillery.retriever.buckets import BucketSettings
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.strict import Intervals
from relevance_distillery.text.terms import StemmerLanguage


class RetrievingParameters(Intervals, ChannelParameters):
    """Where grades come from, how pairs are found, how the retriever is trained and measured."""

    grades: Literal["stored", "recorded"] = "stored"
    """The labels of the last run, or those of `train_set`."""
    grade_unjudged: bool = True
    """The labeler grades chosen pairs without a grade; else they are left out, drawn ones
    irrelevant."""
    grader: str = "champion"
    """The labeler that does: an alias, a version or a folder."""
    channels: tuple[ChannelName, ...] = Field(("bm25", "dense", "expansion"), min_length=1)
    """Ranking channels whose disagreement is looked at; runs of your own engine join them."""
    buckets: BucketSettings = BucketSettings()
    """How far down channels are read, and how many pairs a query gives."""
    training: RetrieverSettings
    """How each stage is trained."""
    language: StemmerLanguage = "english"
    """Stemmer of BM25 and of token-similar passages."""
    near_duplicate: float = Field(0.8, gt=0, le=1)
    """Share of terms from which a query counts as one of the benchmark, and trains nothing."""
    depth: int = Field(1000, ge=10)
    """Passages that each system ranks for a query of the benchmark."""
    workspace: str = "data/06_models/retriever_checkpoints"
    """Finished stages of a training that is under way."""
    registered_name: str = "relevance-retriever"
    """Its name in the model registry."""
