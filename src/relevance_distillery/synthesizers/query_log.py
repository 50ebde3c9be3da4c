"""People's own queries, from a search log with or without frequencies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from relevance_distillery.documents.source import set_prefixes, table_at
from relevance_distillery.errors import UserError
from relevance_distillery.io import tables
from relevance_distillery.io.files import named_paths
from relevance_distillery.synthesizers.base import digest, query_table

_MAX_LENGTH = 1_000


@dataclass(frozen=True)
class QueryLog:
    """Query logs that are read when asked for: files, or BEIR folders with `queries.jsonl[.gz]`.

    No location means no log.
    """

    locations: tuple[Path, ...] = ()

    @classmethod
    def parse(cls, filepath: str | Path | None = None) -> Self:
        """From one path, several separated by `;`, or None for no log."""
        return cls(tuple(named_paths(filepath)))

    def read(self) -> tuple[pd.DataFrame, dict[str, int]]:
        """The queries of all logs.

        Equal texts (but for case and spaces) are merged and their frequencies added, except
        where the log gives its queries ids of their own, which other files may refer to.

        Returns:
            A `queries` table, style `real` and without seed, most frequent first; and counts:
            `rows` read, `blank` rows, `too_long` rows, `merged` rows.

        Raises:
            UserError: A file is missing or has no column of queries, a frequency is no
                positive number, an id is given twice, or no query is left.
        """
        counts = {"rows": 0, "blank": 0, "too_long": 0, "merged": 0}
        found: dict[str, tuple[str, int, str]] = {}
        prefixes = set_prefixes(self.locations) if self.locations else []
        for location, prefix in zip(self.locations, prefixes, strict=True):
            is_text = location.is_file() and _is_text(location)
            path = location if is_text else table_at(location, "queries")
            if path is None:
                raise UserError(
                    f"{location}: has no queries.jsonl or queries.jsonl.gz; give a file"
                )
            seen: dict[str, int] = {}
            for row, text, frequency, identifier in _rows(path):
                counts["rows"] += 1
                text = " ".join(text.split())
                if not text:
                    counts["blank"] += 1
                    continue
                if len(text) > _MAX_LENGTH:
                    counts["too_long"] += 1
                    continue
                if identifier:
                    if identifier in seen:
                        raise UserError(
                            f"{path}, rows {seen[identifier]} and {row}: the same query id "
                            f"'{identifier[:80]}' twice; give every query its own id"
                        )
                    seen[identifier] = row
                    found[f"id:{prefix}{identifier}"] = (prefix + identifier, frequency, text)
                    continue
                key = text.casefold()
                if key in found:
                    counts["merged"] += 1
                    _, total, text = found[key]
                    frequency += total
                found[key] = (f"r-{digest(key)}", frequency, text)
        if self.locations and not found:
            places = "; ".join(str(location) for location in self.locations)
            raise UserError(f"{places}: holds no query ({counts['blank']} blank rows)")
        rows = [(name, text, "", count, "real", "log", "") for name, count, text in found.values()]
        table = query_table(rows).sort_values("frequency", ascending=False, kind="stable")
        return table.reset_index(drop=True), counts


def _is_text(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".txt", ".text", ".log"))


def _rows(path: Path) -> Iterator[tuple[int, str, int, str]]:
    """(row, text, frequency, id) of every row, blank ones included."""
    if _is_text(path):
        for row, line in tables.iter_lines(path):
            yield row, line, 1, ""
        return
    column = ""
    for row, record in tables.iter_records(path):
        if not column:
            column = next((name for name in tables.QUERY_LOG["text"] if name in record), "")
        if not column:
            has = tables.listed_columns(record)
            raise UserError(f"{path}: needs the column query (or text); has {has}")
        identifier = tables.cell_text(tables.first_cell(record, tables.QUERY_LOG["query_id"]))
        yield row, tables.cell_text(record.get(column)), _frequency(path, row, record), identifier


def _frequency(path: Path, row: int, record: dict[str, Any]) -> int:
    name = next((name for name in tables.QUERY_LOG["frequency"] if name in record), "")
    value = record.get(name)
    if tables.cell_text(value) in ("", "nan"):
        return 1
    try:
        number = float(str(value))
    except (TypeError, ValueError):
        number = 0.0
    if not (number >= 1 and number.is_integer()):
        raise UserError(f"{path}, row {row}: {name} must be a whole number from 1 on")
    return int(number)
