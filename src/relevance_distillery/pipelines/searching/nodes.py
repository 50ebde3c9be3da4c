"""The step of searching: queries in, a run out."""

from pathlib import Path

from relevance_distillery.pipelines.searching.parameters import SearchingParameters
from relevance_distillery.retriever.searching import (
    RetrieverShelf,
    Searcher,
    SearchFiles,
    write_run,
)


def search(files: SearchFiles, shelf: RetrieverShelf, parameters: SearchingParameters) -> Path:
    """Answer every query of a file.

    Returns:
        The TREC run.
    """
    queries, path = files.check()
    encoder, index = shelf.find(parameters.retriever, parameters.query_encoder)
    bm25 = shelf.bm25(index) if parameters.fuse else None
    by_document = parameters.unit == "document"
    write_run(Searcher(encoder, index, bm25, by_document, parameters.depth), queries, path)
    return path
