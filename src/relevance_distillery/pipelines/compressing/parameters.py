"""What can be turned about compressing a retriever's query tower, and why one would."""

from pydantic import Field

from relevance_distillery.query_encoders.settings import LadderSettings, StringSettings
from relevance_distillery.strict import Intervals
from relevance_distillery.text.terms import StemmerLanguage


class CompressingParameters(Intervals):
    """Which model becomes smaller, how, and which of the smaller ones is served."""

    reference: str = Field("champion", coerce_numbers_to_str=True)
    """A retriever's alias, version or folder; or a model: `bundled`, a hub id or a folder."""
    query_prompt: str | None = None
    """One of the model's prompts, by name, which it reads before each query."""
    max_length: int = Field(192, ge=8)
    """Tokens that a model reads; a trained retriever has its own."""
    max_latency_ms: float | None = Field(None, gt=0)
    """Serve what keeps most within this median time of a query."""
    min_kept: float | None = Field(None, gt=0)
    """Serve the fastest that keeps this share of nDCG@10; 0.98 where neither is set."""
    strings: StringSettings = StringSettings()
    """Unlabelled strings that stand for queries."""
    benchmark_documents: bool = True
    """Align on strings of the benchmark's documents too, never on its queries."""
    ladder: LadderSettings = LadderSettings()
    """Which rungs are made, and how."""
    int8: bool = True
    """Make rungs in int8 of transformers too, by the extra `fast`."""
    timed: int = Field(200, ge=20)
    """Queries that are timed."""
    depth: int = Field(1000, ge=10)
    """Passages that each rung ranks for a query of the benchmark."""
    language: StemmerLanguage = "english"
    """Stemmer of these terms."""
    near_duplicate: float = Field(0.8, gt=0, le=1)
    """Share of terms from which a query counts as one of the benchmark, and trains nothing."""
    workspace: str = "data/06_models/compression"
    """Finished rungs and the reference's vectors."""
    registered_name: str = "relevance-query-encoder"
    """Its name in the model registry."""
