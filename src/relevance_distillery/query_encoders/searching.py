"""Which query encoder answers a search, and in which index."""

from pathlib import Path

from relevance_distillery.model_registry import load_registered
from relevance_distillery.query_encoders.encoder import COMPRESS, FACTS_FILE, QueryEncoder
from relevance_distillery.retriever.index import INDEX_FILE, PassageIndex
from relevance_distillery.retriever.searching import RetrieverShelf


def find_query_encoder(
    name: str, shelf: RetrieverShelf, retriever: str
) -> tuple[QueryEncoder, PassageIndex]:
    """A query encoder by alias, version number or folder, and an index that is its reference's.

    A registered one brings its index, a folder's searches that of `retriever`. UserError where
    there is none, or another model made the index.
    """
    folder = Path(name).expanduser()
    if (folder / FACTS_FILE).is_file():
        index = shelf.places(retriever)[1]
    else:
        registered, files = f"{shelf.registered_query_encoder}-search", [FACTS_FILE, INDEX_FILE]
        folder, index = load_registered(registered, name, "query encoder", COMPRESS, files)
    found = QueryEncoder.load(folder), PassageIndex.load(index)
    found[0].require(found[1])
    return found
