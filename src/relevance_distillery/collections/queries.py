"""Files of queries: JSONL, tables, TREC topics."""

import logging
from pathlib import Path

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.io.tables import QUERIES, cell_text, first_cell, iter_records, table_kind
from relevance_distillery.io.trec import has_header, iter_topics

logger = logging.getLogger(__name__)


def read_queries(path: Path, skip_empty: bool = False) -> pd.DataFrame:
    """The queries of a table with ids and texts, or of TREC topics (id, tab, text; no header).

    With `skip_empty` queries without a text are left out, counted and logged, not refused.

    Returns:
        Columns query_id, text, style (empty where not stated).

    Raises:
        UserError: No such file, a query lacks its id or its text, or an id has two texts.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of queries; check the path")
    topics = table_kind(path) in ("", "tsv") and not has_header(path, QUERIES)
    rows: dict[str, tuple[str, str]] = {}
    empty: list[str] = []
    for number, record in iter_topics(path) if topics else iter_records(path):
        inner = record.get("metadata")
        cells = {name: cell_text(first_cell(record, names)) for name, names in QUERIES.items()}
        if not cells["style"] and isinstance(inner, dict):
            cells["style"] = cell_text(inner.get("style"))
        query_id, text = cells["query_id"], cells["text"]
        if skip_empty and query_id and not text:
            empty.append(query_id)
            continue
        if not query_id or not text:
            lacking = "text" if query_id else "id"
            raise UserError(f"{path}, row {number}: the query has no {lacking}; add it")
        if query_id in rows and rows[query_id][0] != text:
            raise UserError(f"{path}, row {number}: query id {query_id[:80]} twice; keep one")
        rows[query_id] = (text, cells["style"])
    if empty:
        said = "%s: %d queries without a text, such as %s, are left out"
        logger.warning(said, path, len(empty), empty[0][:80])
    return query_table(rows)


def query_table(rows: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Columns query_id, text, style from text and style by id."""
    table = [(query_id, *values) for query_id, values in rows.items()]
    return pd.DataFrame(table, columns=["query_id", "text", "style"]).astype(str)
