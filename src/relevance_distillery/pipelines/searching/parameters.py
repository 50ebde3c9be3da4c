"""What can be turned about searching, and why one would."""

from typing import Literal

from pydantic import Field

from relevance_distillery.strict import StrictModel


class SearchingParameters(StrictModel):
    """How queries are answered."""

    retriever: str = "champion"
    """Who answers: an alias, a version number, or a retriever's folder."""
    query_encoder: str | None = None
    """What reads queries in its place: an alias, a version number, or a query encoder's folder."""
    unit: Literal["document", "passage"] = "document"
    """What a run names: documents, each where its best passage stands, or passages."""
    depth: int = Field(100, ge=1)
    """Documents, or passages, that a query gets."""
    fuse: bool = False
    """Fuse with BM25 over the stored passages by reciprocal ranks."""
