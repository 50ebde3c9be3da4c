"""Files of queries: JSONL, tables, TREC topics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.io.grade_rows import cell_text
from relevance_distillery.io.records import iter_lines, iter_records, table_kind

QUERY_ID = ("query_id", "_id", "id", "qid")
QUERY_TEXT = ("text", "query", "title")
"""Column names of a file of queries, the first found counts."""

QUERY_COLUMNS = ["query_id", "text", "style"]


def read_queries(path: Path) -> pd.DataFrame:
    """The queries of a file.

    Args:
        path: `.jsonl`, `.csv`, `.tsv` (each also `.gz`) or `.parquet` with ids and texts, or
            TREC topics: id and text, a tab between, no header.

    Returns:
        Columns query_id, text, style (empty where not stated).

    Raises:
        UserError: No such file, a query lacks its id or its text, or an id has two texts.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of queries; check the path")
    rows: dict[str, tuple[str, str]] = {}
    for number, record in _query_rows(path):
        inner = record.get("metadata") if isinstance(record.get("metadata"), dict) else {}
        query_id = _first(record, QUERY_ID)
        text = _first(record, QUERY_TEXT)
        if not query_id or not text:
            lacking = "text" if query_id else "id"
            raise UserError(f"{path}, row {number}: the query has no {lacking}; add it")
        if query_id in rows and rows[query_id][0] != text:
            raise UserError(f"{path}, row {number}: query id {query_id[:80]} twice; keep one")
        rows[query_id] = (text, _first(record, ("style",)) or _first(inner or {}, ("style",)))
    return query_table(rows)


def query_table(rows: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Columns query_id, text, style from text and style by id."""
    table = [(query_id, *values) for query_id, values in rows.items()]
    return pd.DataFrame(table, columns=QUERY_COLUMNS).astype(str)


def _query_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a table of queries, or of TREC topics: id and text, a tab between, no header."""
    if table_kind(path) in ("", "tsv"):
        lines = [(number, line.strip("\r\n")) for number, line in iter_lines(path)]
        filled = [(number, line) for number, line in lines if line.strip()]
        header = {cell.strip() for cell in filled[0][1].split("\t")} if filled else set()
        if not header & {*QUERY_ID, *QUERY_TEXT}:
            for number, line in filled:
                query_id, _, text = line.partition("\t")
                yield number, {"query_id": query_id, "text": text}
            return
    yield from iter_records(path)


def _first(record: dict[str, object], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := cell_text(record.get(name)))), "")
