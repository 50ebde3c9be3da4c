"""Documents: read, cleaned, deduplicated and split into passages."""

from relevance_distillery.documents.cleaning import clean_documents
from relevance_distillery.documents.deduplication import deduplicate, text_digest
from relevance_distillery.documents.passages import Splitter, split_documents
from relevance_distillery.documents.source import DocumentSource, Reading
from relevance_distillery.io.records import iter_jsonl, iter_records

__all__ = [
    "DocumentSource",
    "Reading",
    "Splitter",
    "clean_documents",
    "deduplicate",
    "iter_jsonl",
    "iter_records",
    "split_documents",
    "text_digest",
]
