"""TREC's files, which have no header: qrels, runs and topics; and runs as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from relevance_distillery.errors import UserError
from relevance_distillery.io.columns import RUNS, Aliases, cell_text, is_number, listed_columns
from relevance_distillery.io.tables import iter_lines, iter_records, table_kind

Rows = Iterator[tuple[int, dict[str, Any]]]
"""Row number and cells by column."""


def trec_kind(path: Path) -> Literal["qrels", "run", ""]:
    """What a file of grades holds by its first line, whatever its suffix; empty for a table."""
    kind = table_kind(path)
    if kind in ("jsonl", "parquet", "csv"):
        return ""
    first = next((line.split() for _, line in iter_lines(path) if line.strip()), [])
    if len(first) == 4 and is_number(first[3]):
        return "qrels"
    if len(first) == 6 and is_number(first[3]) and is_number(first[4]):
        return "run"
    return "" if kind else "qrels"


def has_header(path: Path, columns: Aliases) -> bool:
    """Whether the first line of a file of tab-separated lines names a known column."""
    known = {alias for aliases in columns.values() for alias in aliases}
    first = next((line for _, line in iter_lines(path) if line.strip()), "")
    return bool({cell.strip() for cell in first.split("\t")} & known)


def iter_qrels(path: Path) -> Rows:
    """Rows of qrels (query, iteration, document, grade): query_id, document_id, grade as text.

    Raises:
        UserError: A row has another number of cells.
    """
    for number, line in iter_lines(path):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 4:
            raise UserError(
                f"{path}, row {number}: {len(cells)} cells where TREC qrels have 4 (query, "
                "iteration, document, grade); correct the row"
            )
        yield number, {"query_id": cells[0], "document_id": cells[2], "grade": cells[3]}


def iter_run(path: Path) -> Rows:
    """Rows of a run (query, Q0, document, rank, score, tag; the tag may be missing).

    Yields:
        query_id, document_id, score and tag as text; or query_id, document_id, rank where a row
        has only those three.

    Raises:
        UserError: A row has another number of cells.
    """
    for number, line in iter_lines(path):
        cells = line.split(maxsplit=5)
        if len(cells) == 3:
            yield number, {"query_id": cells[0], "document_id": cells[1], "rank": cells[2]}
        elif len(cells) >= 5:
            tag = cells[5] if len(cells) > 5 else ""
            row = {"query_id": cells[0], "document_id": cells[2], "score": cells[4], "tag": tag}
            yield number, row
        elif cells:
            raise UserError(
                f"{path}, row {number}: {len(cells)} cells where TREC runs have 6 (query, Q0, "
                "document, rank, score, tag); correct the row or remove the file"
            )


def iter_topics(path: Path) -> Rows:
    """Rows of topics (id and text, a tab between): query_id and text."""
    for number, line in iter_lines(path):
        if line.strip():
            query_id, _, text = line.partition("\t")
            yield number, {"query_id": query_id, "text": text}


@dataclass
class RunRows:
    """Rows of a run as they are in the file.

    Attributes:
        queries, documents: Ids as text.
        scores: Higher is better; minus the rank in a file that has ranks alone.
        tags: What the file calls its system.
    """

    queries: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)


def read_run(path: Path) -> RunRows:
    """Read one run.

    Args:
        path: TREC's lines, or lines of `query document rank`; or a `.csv`, `.tsv`, `.jsonl` (each
            also `.gz`) or `.parquet` table with a header. Where there is a score, a rank says
            nothing.

    Raises:
        UserError: A row cannot be understood; the message names it.
    """
    rows = RunRows()
    trec = table_kind(path) == "" or (table_kind(path) == "tsv" and not has_header(path, RUNS))
    for number, row in iter_run(path) if trec else _table_rows(path):
        query, document = cell_text(row["query_id"]), cell_text(row["document_id"])
        for name, value in (("query", query), ("document", document)):
            if not value:
                raise UserError(f"{path}, row {number}: empty {name} id; correct the row")
        name = "score" if "score" in row else "rank"
        text = cell_text(row[name])
        if not is_number(text):
            raise UserError(
                f"{path}, row {number}: the {name} {text[:20]!r} is no finite number; "
                "correct the row"
            )
        rows.queries.append(query)
        rows.documents.append(document)
        rows.scores.append(float(text) if name == "score" else -float(text))
        if tag := cell_text(row.get("tag")):
            rows.tags.add(tag)
    if not rows.scores:
        raise UserError(f"{path}: holds no ranked document; give at least one or remove the file")
    return rows


def _table_rows(path: Path) -> Rows:
    names: dict[str, str] = {}
    for number, record in iter_records(path):
        names = names or _run_columns(path, record)
        yield number, {name: record.get(given) for name, given in names.items()}


def _run_columns(path: Path, record: dict[str, Any]) -> dict[str, str]:
    found = {
        name: next(alias for alias in aliases if alias in record)
        for name, aliases in RUNS.items()
        if any(alias in record for alias in aliases)
    }
    missing = [name for name in ("query_id", "document_id") if name not in found]
    if not {"score", "rank"} & set(found):
        missing.append("score (or rank)")
    if missing:
        raise UserError(
            f"{path}: needs the column {' and '.join(missing)}; has {listed_columns(record)}"
        )
    return found
