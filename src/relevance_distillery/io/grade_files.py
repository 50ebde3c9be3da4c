"""Rows of files of grades: TREC qrels and runs, or tables in whatever column names they use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.io.columns import GRADES, listed_columns
from relevance_distillery.io.tables import iter_records
from relevance_distillery.io.trec import iter_qrels, iter_run, trec_kind

Columns = Mapping[str, str]
"""What a column means (a key of `columns.GRADES`) and what a file calls it."""


def grade_rows(
    path: Path, columns: Columns | None = None, runs: bool = False, option: str = "columns"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a file of grades under the names of `columns.GRADES`.

    Args:
        path: TREC qrels (query, iteration, document, grade, no header), or a `.tsv`, `.csv`,
            `.jsonl` (each also `.gz`) or `.parquet` table.
        columns: What the file calls its columns; the known names for those not named.
        runs: TREC runs (query, Q0, document, rank, score, tag) are read as well, their scores
            as grades.
        option: The parameter by which a user gives `columns`, for messages.

    Yields:
        The row's number, and its cells as they are.

    Raises:
        UserError: No such file, a column is missing, or a row is torn.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of grades; check the path")
    kind = trec_kind(path)
    if kind == "qrels":
        yield from iter_qrels(path)
        return
    if kind == "run":
        if not runs:
            raise UserError(f"{path}: is a TREC run, and a run holds no grades; give qrels")
        for number, row in iter_run(path):
            ids = {name: row[name] for name in ("query_id", "document_id")}
            yield number, {**ids, "grade": row.get("score", "")}
        return
    places: dict[str, str] | None = None
    for number, record in iter_records(path):
        if places is None or not set(places.values()) <= set(record):
            places = _places(path, record, columns or {}, option)
        yield number, {name: record.get(given) for name, given in places.items()}


def _places(path: Path, record: dict[str, Any], columns: Columns, option: str) -> dict[str, str]:
    """What the file calls each column that it has."""
    has = listed_columns(record)
    unknown = sorted(set(columns) - set(GRADES))
    if unknown:
        raise UserError(
            f"{', '.join(f'{option}.{name}' for name in unknown)}: no such column of grades; "
            f"known: {', '.join(GRADES)}"
        )
    absent = sorted(str(given) for given in columns.values() if str(given) not in record)
    if absent:
        raise UserError(f"{path}: has no column {' or '.join(absent)}; has {has}")
    found = {name: str(given) for name, given in columns.items()}
    taken = set(found.values())
    for name, aliases in GRADES.items():
        free = [alias for alias in aliases if alias in record and alias not in taken]
        if name not in found and free:
            found[name] = free[0]
    missing = [name for name in ("document_id", "grade") if name not in found]
    if "passage_id" in found and "document_id" in missing:
        missing.remove("document_id")
    if "query_id" not in found and "query" not in found:
        missing.append("query (or query_id)")
    if missing:
        raise UserError(
            f"{path}: needs the column {' and '.join(missing)}; has {has}; other names can be "
            f'given, such as --params="{option}.{missing[0].split()[0]}=NAME"'
        )
    return found
