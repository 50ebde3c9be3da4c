"""Parameters of the synthesis pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from relevance_distillery.llm.prices import Price
from relevance_distillery.strict import Seed, StrictModel
from relevance_distillery.synthesizers.settings import DEFAULT_STYLES, SynthesisLLMSettings

if TYPE_CHECKING:
    import pandas as pd

    from relevance_distillery.documents.passages import Splitter


class ReadingParameters(StrictModel):
    """How documents are read."""

    include: tuple[str, ...] = ()
    """Gitignore-style patterns of the only files to read."""
    exclude: tuple[str, ...] = ()
    """Gitignore-style patterns of files to leave out: drafts, archives."""
    max_document_mb: float = Field(5.0, gt=0)
    """Longest document in MB of text; a longer one, a dump, is skipped and listed."""
    max_unpacked_mb: float = Field(4_000.0, gt=0)
    """Largest corpus file in MB after unpacking, against gzip bombs."""
    file_dates: bool = False
    """Take a file's time as its date where the document names none; off, since copies and checkouts
    reset it, which changes every label."""


class CleaningParameters(StrictModel):
    """What is taken out of and away from the documents."""

    boilerplate_share: float | None = Field(0.3, gt=0, le=1)
    """Lines that open or close at least this share of documents (navigation, footers) are removed;
    null keeps all."""
    deduplicate: bool = True
    """Keep one copy of each document; off for collections whose ids others judged."""
    near_duplicate: float | None = Field(0.95, gt=0, le=1)
    """Jaccard similarity of trigrams from which documents with the same numbers are copies; null
    finds exact ones only."""


class PassageParameters(StrictModel):
    """How documents are split."""

    split: bool = True
    """Off makes one passage of every document, as benchmarks need it."""
    max_tokens: int = Field(160, ge=16)
    """Longer passages cost more to grade and mix subjects, shorter ones lose context."""
    min_tokens: int = Field(60, ge=0)
    """Shorter sections are joined with their neighbours where they fit."""
    tokenizer: str = "bundled"
    """Whose tokens are counted. Not the base model's by itself, since another one would move every
    passage and make paid labels worthless."""

    def splitter(self) -> Splitter:
        """One way to split documents, for the corpus and for whatever is compared with it."""
        from relevance_distillery.documents.passages import Splitter
        from relevance_distillery.encoders.base_model import load_token_counter

        return Splitter(
            count_tokens=load_token_counter(self.tokenizer),
            max_tokens=self.max_tokens,
            min_tokens=self.min_tokens,
            enabled=self.split,
            tokenizer=self.tokenizer,
        )


class FilterParameters(StrictModel):
    """Which synthetic queries are dropped."""

    round_trip_k: int | None = Field(20, ge=1)
    """The seed document must be among so many passages of BM25; smaller is stricter, null switches
    the test off."""
    max_document_share: float = Field(0.1, gt=0, le=1)
    """A query is dropped when a larger share of the documents holds all its words."""
    max_documents_at_least: int = Field(20, ge=1)
    """So many are never too many, so that small corpora keep short queries."""
    benchmark_overlap: float = Field(0.8, gt=0, le=1)
    """Jaccard similarity of stems from which a query, real or not, counts as the benchmark's and is
    dropped."""
    max_copied_words: int | None = Field(6, ge=1)
    """An LLM's query is dropped when it copies more words in a row from its passage; null keeps
    all."""


class SynthesisParameters(StrictModel):
    """Everything that a user can turn in the synthesis pipeline."""

    language: str = "english"
    """Of documents and queries: stop words, stems, wording of questions."""
    seed: Seed = 0
    """Everything random follows from it."""
    limit: int | None = Field(None, ge=1)
    """A trial: at most so many documents and so many queries; null for all."""
    reading: ReadingParameters = ReadingParameters()
    cleaning: CleaningParameters = CleaningParameters()
    passages: PassageParameters = PassageParameters()
    synthesizer: Literal["extractive", "llm", "log"] = "extractive"
    """Who writes queries: `extractive` needs nothing, `llm` asks an OpenAI-compatible API, `log`
    takes people's own queries alone."""
    llm: SynthesisLLMSettings = SynthesisLLMSettings()
    prices: dict[str, Price] = Field(default_factory=dict)
    """What tokens cost, by model; from conf/base/globals.yml."""
    queries_per_passage: int = Field(1, ge=1, le=20)
    """Queries for one seed passage at most; an LLM writes one in each style."""
    max_queries: int = Field(420, ge=1)
    """Synthetic queries that are kept; each costs some eleven labels."""
    max_real_queries: int | None = Field(1_000, ge=1)
    """Real queries that are kept, the most frequent first; null for all."""
    oversampling: float = Field(1.6, ge=1)
    """Queries drafted for one that is kept, since the filters drop some."""
    styles: dict[str, Annotated[float, Field(ge=0)]] = Field(dict(DEFAULT_STYLES))
    """How often each style is tried; match it to the queries of your people."""
    typo_share: float = Field(0.06, ge=0, le=1)
    """Share of queries with one keyboard typo."""
    filters: FilterParameters = FilterParameters()

    def split(self, documents: pd.DataFrame) -> pd.DataFrame:
        """Passages of documents, split as those of the corpus."""
        from relevance_distillery.documents.passages import split_documents

        return split_documents(documents, self.passages.splitter())[0]
