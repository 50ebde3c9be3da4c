"""One way to split documents, for the corpus and for whatever is compared with it."""

from __future__ import annotations

from relevance_distillery.documents.passages import Splitter
from relevance_distillery.encoders.base_model import load_token_counter
from relevance_distillery.pipelines.synthesis.parameters import PassageParameters


def splitter_for(settings: PassageParameters) -> Splitter:
    """The splitter that the settings describe."""
    return Splitter(
        count_tokens=load_token_counter(settings.tokenizer),
        max_tokens=settings.max_tokens,
        min_tokens=settings.min_tokens,
        enabled=settings.split,
        tokenizer=settings.tokenizer,
    )
