"""One file of a run: TREC's six columns, or a table with a score or a rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.io.grade_rows import ALIASES, cell_text, is_number
from relevance_distillery.io.records import iter_lines, iter_records, table_kind

_COLUMNS: dict[str, tuple[str, ...]] = {
    "query": ALIASES["query_id"],
    "document": (*ALIASES["document_id"], "passage_id"),
    "score": ("score", "similarity", "sim"),
    "rank": ("rank", "position"),
    "tag": ("tag", "run", "system"),
}


@dataclass
class RunRows:
    """Rows of a run as they stand in the file.

    Attributes:
        queries, documents: Ids as text.
        scores: Higher is better; minus the rank in a file that has ranks alone.
        tags: What the file calls its system.
    """

    queries: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)


def read_run_file(path: Path) -> RunRows:
    """Read one file.

    Args:
        path: Lines of `query Q0 document rank score tag` (the tag may be missing), or of `query
            document rank`; or a `.csv`, `.tsv`, `.jsonl` (each also `.gz`) or `.parquet` table
            with a header. Where there is a score, a rank says nothing.

    Raises:
        UserError: A row cannot be understood; the message names it.
    """
    rows = RunRows()
    for number, query, document, score, tag in _rows(path):
        for name, value in (("query", query), ("document", document)):
            if not value:
                raise UserError(f"{path}, row {number}: empty {name} id; correct the row")
        rows.queries.append(query)
        rows.documents.append(document)
        rows.scores.append(score)
        if tag:
            rows.tags.add(tag)
    if not rows.scores:
        raise UserError(f"{path}: holds no ranked document; give at least one or remove the file")
    return rows


def _rows(path: Path) -> Iterator[tuple[int, str, str, float, str]]:
    """Row number, query, document, score and tag."""
    kind = table_kind(path)
    if kind in ("", "tsv") and not _has_header(path):
        yield from _lines(path)
        return
    names: dict[str, str] = {}
    for number, record in iter_records(path):
        names = names or _columns(path, record)
        key = "score" if "score" in names else "rank"
        score = _number(path, number, key, record.get(names[key]))
        yield (
            number,
            cell_text(record.get(names["query"])),
            cell_text(record.get(names["document"])),
            score if key == "score" else -score,
            cell_text(record.get(names["tag"])) if "tag" in names else "",
        )


def _lines(path: Path) -> Iterator[tuple[int, str, str, float, str]]:
    for number, line in iter_lines(path):
        cells = line.split(maxsplit=5)
        if not cells:
            continue
        if len(cells) == 3:
            yield number, cells[0], cells[1], -_number(path, number, "rank", cells[2]), ""
        elif len(cells) >= 5:
            score = _number(path, number, "score", cells[4])
            yield number, cells[0], cells[2], score, cells[5] if len(cells) > 5 else ""
        else:
            raise UserError(
                f"{path}, row {number}: {len(cells)} cells where a TREC run has 6 (query, Q0, "
                "document, rank, score, tag); correct the row or remove the file"
            )


def _has_header(path: Path) -> bool:
    if not table_kind(path):
        return False
    known = {alias for aliases in _COLUMNS.values() for alias in aliases}
    for _, line in iter_lines(path):
        if line.strip():
            return bool({cell.strip() for cell in line.split("\t")} & known)
    return False


def _columns(path: Path, record: dict[str, Any]) -> dict[str, str]:
    found = {
        name: next(alias for alias in aliases if alias in record)
        for name, aliases in _COLUMNS.items()
        if any(alias in record for alias in aliases)
    }
    missing = [f"{name}_id" for name in ("query", "document") if name not in found]
    if not {"score", "rank"} & set(found):
        missing.append("score (or rank)")
    if missing:
        given = ", ".join(str(name)[:40] for name in list(record)[:20])
        raise UserError(f"{path}: needs the column {' and '.join(missing)}; has {given}")
    return found


def _number(path: Path, number: int, name: str, value: Any) -> float:
    text = cell_text(value)
    if not is_number(text):
        raise UserError(
            f"{path}, row {number}: the {name} {text[:20]!r} is no finite number; correct the row"
        )
    return float(text)
