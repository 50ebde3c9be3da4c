"""Rows of files of grades: TREC qrels and runs, or tables in whatever column names they use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.io.records import iter_lines, iter_records, table_kind

Columns = Mapping[str, str]
"""What a column means (a key of `ALIASES`) and what a file calls it."""

ALIASES: dict[str, tuple[str, ...]] = {
    "query_id": ("query_id", "query-id", "qid", "topic"),
    "document_id": ("document_id", "corpus-id", "doc_id", "docid", "docno"),
    "grade": ("grade", "score", "relevance", "rel", "label"),
    "annotator": ("annotator", "rater", "assessor"),
    "query": ("query", "query_text", "text"),
    "style": ("style",),
    "passage_id": ("passage_id",),
    "design": ("design",),
    "unit": ("unit",),
    "inclusion_probability": ("inclusion_probability",),
    "text_digest": ("text_digest",),
    "probabilities": ("probabilities",),
    "confidence": ("confidence",),
    "cost_usd": ("cost_usd",),
    "seconds": ("seconds",),
}
"""Column names that are understood, the first found counts."""

_QRELS_CELLS, _RUN_CELLS = 4, 6
_STEMS = (".tsv", ".csv", ".jsonl", ".ndjson", ".parquet", ".txt", ".qrels", ".qrel", ".run")
_SHOWN = 20


def grade_rows(
    path: Path, columns: Columns | None = None, runs: bool = False, option: str = "columns"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a file of grades under the names of `ALIASES`.

    Args:
        path: TREC qrels (query, iteration, document, grade, no header), or a `.tsv`, `.csv`,
            `.jsonl` (each also `.gz`) or `.parquet` table.
        columns: What the file calls its columns; the names of `ALIASES` for those not named.
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
    cells = trec_cells(path)
    if cells == _QRELS_CELLS or (cells == _RUN_CELLS and runs):
        yield from _trec_rows(path, cells)
        return
    if cells == _RUN_CELLS:
        raise UserError(f"{path}: is a TREC run, and a run holds no grades; give qrels")
    places: dict[str, str] | None = None
    for number, record in iter_records(path):
        if places is None or not set(places.values()) <= set(record):
            places = _places(path, record, columns or {}, option)
        yield number, {name: record.get(given) for name, given in places.items()}


def trec_cells(path: Path) -> int:
    """4 for TREC qrels, 6 for a run, 0 for a table: by the first line, whatever the suffix."""
    kind = table_kind(path)
    if kind in ("jsonl", "parquet", "csv"):
        return 0
    for _, line in iter_lines(path):
        cells = line.split()
        if len(cells) == _QRELS_CELLS and is_number(cells[3]):
            return _QRELS_CELLS
        if len(cells) == _RUN_CELLS and is_number(cells[3]) and is_number(cells[4]):
            return _RUN_CELLS
        if cells:
            break
    return 0 if kind else _QRELS_CELLS


def _trec_rows(path: Path, width: int) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in iter_lines(path):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != width:
            what = "qrels have 4 (query, iteration, document, grade)"
            if width == _RUN_CELLS:
                what = "runs have 6 (query, Q0, document, rank, score, tag)"
            raise UserError(
                f"{path}, row {number}: {len(cells)} cells where TREC {what}; correct the row"
            )
        value = cells[3] if width == _QRELS_CELLS else cells[4]
        yield number, {"query_id": cells[0], "document_id": cells[2], "grade": value}


def _places(path: Path, record: dict[str, Any], columns: Columns, option: str) -> dict[str, str]:
    has = ", ".join(str(name)[:40] for name in list(record)[:_SHOWN])
    unknown = sorted(set(columns) - set(ALIASES))
    if unknown:
        raise UserError(
            f"{', '.join(f'{option}.{name}' for name in unknown)}: no such column of grades; "
            f"known: {', '.join(ALIASES)}"
        )
    absent = sorted(str(given) for given in columns.values() if str(given) not in record)
    if absent:
        raise UserError(f"{path}: has no column {' or '.join(absent)}; has {has}")
    found = {name: str(given) for name, given in columns.items()}
    taken = set(found.values())
    for name, aliases in ALIASES.items():
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


def newest_version(path: Path) -> Path:
    """The newest version of a versioned table, which is a folder; any other path as it is.

    Raises:
        UserError: The folder holds no version.
    """
    if not (path.is_dir() and path.suffix == ".parquet"):
        return path
    versions = sorted(path.glob(f"*/{path.name}"))
    if not versions:
        raise UserError(f"{path}: holds no version of the table; run the stage that makes it")
    return versions[-1]


def stem_of(path: Path) -> str:
    """A file's name without `.gz` and without the suffix of its format."""
    name = path.name.removesuffix(".gz")
    return next((name[: -len(end)] for end in _STEMS if name.lower().endswith(end)), name)


def distinct_names(paths: list[Path]) -> list[str]:
    """A name for each of several files or folders, none twice.

    A file's own without its suffix; where two agree, with the name of the nearest folder in
    which they differ in front.
    """
    names = [stem_of(path) for path in paths]
    for name in {name for name in names if names.count(name) > 1}:
        alike = [place for place, given in enumerate(names) if given == name]
        parents = [[part.name for part in paths[place].absolute().parents] for place in alike]
        for folders in zip(*parents, strict=False):
            if len(set(folders)) == len(alike):
                for place, folder in zip(alike, folders, strict=True):
                    names[place] = f"{folder}-{name}"
                break
    found: list[str] = []
    for name in names:
        number, fresh = 2, name
        while fresh in found:
            fresh, number = f"{name}-{number}", number + 1
        found.append(fresh)
    return found


def cell_text(value: Any) -> str:
    """A cell as text without blanks around it; empty for a missing one, `7` for 7.0."""
    if value is None:
        return ""
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if value.is_integer():
            value = int(value)
    return str(value).strip()


def is_number(text: str) -> bool:
    """The text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
