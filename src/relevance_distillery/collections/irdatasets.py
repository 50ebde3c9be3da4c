"""Benchmarks by their identifier in ir_datasets (MacAvaney et al., 2021).

The library and its catalog come with the extra `ir-datasets`; what it downloads stays in its own
folder (`IR_DATASETS_HOME`, by default `~/.ir_datasets`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from relevance_distillery.collections.judgments import GradeCollector, GradeFile
from relevance_distillery.collections.queries import query_table
from relevance_distillery.documents.source import DOCUMENT_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale

PREFIX = "ir_datasets:"


def identifier(location: str) -> str | None:
    """The identifier in `ir_datasets:IDENTIFIER`, None for anything else.

    Kedro takes a location for a path and may have put the project's folder in front.
    """
    _, prefix, name = location.rpartition(PREFIX)
    return name.strip().strip("/") if prefix else None


def read_catalog(
    name: str, scale: GradeScale, texts_needed: bool = True
) -> tuple[GradeFile, pd.DataFrame, pd.DataFrame | None, str]:
    """Read a data set of the catalog, which may download it.

    The name is such as `msmarco-passage/trec-dl-2019/judged`; grades below 0 are the lowest; unless
    queries and documents must be there (`texts_needed`), grades are enough.

    Returns:
        Grades; queries (columns query_id, text, style); the judged documents, of which no others
        are kept in memory, or None, and then why there are none.

    Raises:
        UserError: The extra is not installed, there is no such data set, it has no grades (or
            lacks the texts that are needed), or it cannot be downloaded.
    """
    where = f"{PREFIX}{name}"
    data = _load(name, where)
    if not data.has_qrels():
        raise UserError(f"{where}: has no qrels; name a part that people judged, such as a test")
    for kind in ("queries", "docs") if texts_needed else ():
        if not data.has(kind):
            raise UserError(f"{where}: has no {kind}; it can be measured with grades=FILE only")
    rows = (
        (number, {"query_id": row.query_id, "document_id": row.doc_id, "grade": row.relevance})
        for number, row in enumerate(_guarded(data.qrels_iter, where, "qrels"), start=1)
    )
    found = GradeCollector(where, scale, "leave out", junk=True).collect(rows)
    texts: dict[str, tuple[str, str]] = {}
    if data.has("queries"):
        wanted = set(found.grades["query_id"])
        for query in _guarded(data.queries_iter, where, "queries"):
            text = _first(query, ("text", "title", "query"))
            if query.query_id in wanted and text:
                texts[query.query_id] = (text, "")
    queries = query_table(texts)
    if not data.has("docs"):
        return found, queries, None, "the data set has no documents"
    try:
        return found, queries, _documents(data, where, found.grades["document_id"].unique()), ""
    except UserError as error:
        if texts_needed:
            raise
        return found, queries, None, str(error)


def _load(name: str, where: str) -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise UserError(
            f"{where}: needs the extra `ir-datasets`: "
            "pip install 'relevance-distillery[ir-datasets]'"
        ) from error
    try:
        return ir_datasets.load(name)
    except KeyError as error:
        raise UserError(
            f"{where}: there is no such data set; https://ir-datasets.com lists them"
        ) from error


def _guarded(read: Any, where: str, what: str) -> Iterator[Any]:
    """What a reader yields; whatever fails in the library or on the way is one line."""
    try:
        yield from read()
    except Exception as error:
        # Its own errors carry a sentence first, then whatever they have at hand.
        message = next((part for part in error.args if isinstance(part, str)), str(error))
        said = " ".join(message.split())[:200]
        raise UserError(
            f"{where}: its {what} cannot be read ({type(error).__name__}: {said}); "
            "check the network, or the data set's page on https://ir-datasets.com"
        ) from error


def _documents(data: Any, where: str, wanted: Iterable[str]) -> pd.DataFrame:
    def read() -> Iterator[Any]:
        store = data.docs_store() if hasattr(data, "docs_store") else None
        if store is not None:
            yield from store.get_many_iter(list(wanted))
            return
        known = set(wanted)
        yield from (document for document in data.docs_iter() if document.doc_id in known)

    rows = {
        document.doc_id: {
            "document_id": document.doc_id,
            "title": " ".join(str(getattr(document, "title", "") or "").split()),
            "text": _first(document, ("text", "body", "abstract")),
            "path": str(getattr(document, "url", "") or ""),
        }
        for document in _guarded(read, where, "documents")
    }
    table = pd.DataFrame(rows.values(), columns=DOCUMENT_COLUMNS).fillna("").astype(str)
    full = (table["title"] != "") | (table["text"] != "")
    return table[full].reset_index(drop=True)


def _first(record: Any, names: tuple[str, ...]) -> str:
    """The first of some fields that is filled, else the record's own idea of its text."""
    for name in names:
        text = str(getattr(record, name, "") or "").strip()
        if text:
            return text
    return str(record.default_text() if hasattr(record, "default_text") else "").strip()
