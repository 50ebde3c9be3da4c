"""Documents from the rows of a table: JSONL (BEIR's layout too), CSV, Parquet."""

from __future__ import annotations

import json
import math
from collections.abc import Set
from pathlib import Path
from typing import Any

import numpy as np

from relevance_distillery.documents.formats import iso_date, names
from relevance_distillery.errors import UserError
from relevance_distillery.io.records import iter_records

ALIASES: dict[str, tuple[str, ...]] = {
    "document_id": ("document_id", "_id", "id", "doc_id", "docid"),
    "title": ("title",),
    "text": ("text", "body", "content"),
    "path": ("path", "file", "url"),
    "author": ("author", "authors", "owner"),
    "modified": ("modified", "updated", "date"),
}
"""Column names that are understood, the first found counts; also inside `metadata`."""


class TableReader:
    """Reads one document a row.

    Attributes:
        skipped: (path, where, reason) of everything that was left out, as found.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_document_mb: float = 5.0,
        max_unpacked_mb: float = 4_000.0,
    ) -> None:
        """Remember the file.

        Args:
            path: `.jsonl`, `.csv`, `.tsv` (each also `.gz`) or `.parquet`.
            max_document_mb: Longest row in megabytes.
            max_unpacked_mb: Largest file after unpacking.
        """
        self.path = path
        self.max_document_mb = max_document_mb
        self.max_unpacked_mb = max_unpacked_mb
        self.skipped: list[tuple[str, str, str]] = []

    def read(
        self, limit: int | None = None, seed: int = 0, only: Set[str] | None = None
    ) -> list[dict[str, str]]:
        """Documents in the order of the file.

        Args:
            limit: At most so many documents, a uniform sample (reservoir sampling).
            seed: Seed of that sample.
            only: Ids of the documents that are wanted; the others are passed over.

        Returns:
            Rows of the `documents` table.

        Raises:
            UserError: Needed columns are missing, or an id is empty or given twice.
        """
        rng = np.random.default_rng(seed)
        kept: list[tuple[int, dict[str, str]]] = []
        seen: dict[str, int] = {}
        usable = 0
        for number, record in iter_records(
            self.path, self._skip, self.max_document_mb, self.max_unpacked_mb
        ):
            if not seen:
                self._check_columns(record)
            if only is not None and _text(_first(record, {}, "document_id")) not in only:
                continue
            row = self._row(number, record)
            first = seen.setdefault(row["document_id"], number)
            if first != number:
                raise UserError(
                    f"{self.path}, rows {first} and {number}: the same document id "
                    f"'{row['document_id'][:80]}' twice; give every document its own id"
                )
            if not row["title"] and not row["text"]:
                self._skip(number, "title and text are both empty")
                continue
            if len(row["text"]) > self.max_document_mb * 1_000_000:
                self._skip(number, f"larger than {self.max_document_mb:g} MB")
                continue
            usable += 1
            if limit is None or len(kept) < limit:
                kept.append((number, row))
            elif (place := int(rng.integers(usable))) < limit:
                kept[place] = (number, row)
        return [row for _, row in sorted(kept, key=lambda item: item[0])]

    def _skip(self, number: int, reason: str) -> None:
        self.skipped.append((str(self.path), f"row {number}", reason))

    def _check_columns(self, record: dict[str, Any]) -> None:
        has = {target: any(name in record for name in ALIASES[target]) for target in ALIASES}
        missing = [] if has["document_id"] else ["document_id (or _id, id)"]
        if not has["title"] and not has["text"]:
            missing.append("text (or body, content) or title")
        if missing:
            columns = ", ".join(str(name)[:40] for name in list(record)[:20])
            raise UserError(f"{self.path}: needs the column {' and '.join(missing)}; has {columns}")

    def _row(self, number: int, record: dict[str, Any]) -> dict[str, str]:
        metadata = _metadata(record.get("metadata"))
        identifier = _text(_first(record, {}, "document_id"))
        if not identifier:
            raise UserError(f"{self.path}, row {number}: empty document id; give every row an id")
        known = {name for aliases in ALIASES.values() for name in aliases} | {"metadata"}
        extra = {key: value for key, value in record.items() if key not in known}
        return {
            "document_id": identifier,
            "title": " ".join(_text(_first(record, metadata, "title")).split()),
            "text": _text(_first(record, {}, "text")),
            "path": _text(_first(record, metadata, "path")),
            "author": names(_present(_first(record, metadata, "author"))),
            "modified": iso_date(_present(_first(record, metadata, "modified"))),
            "metadata": json.dumps(
                {**extra, **metadata}, ensure_ascii=False, sort_keys=True, default=str
            ),
        }


def _present(value: Any) -> Any:
    """None for what tables use for a missing value."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _text(value: Any) -> str:
    value = _present(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _metadata(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _first(record: dict[str, Any], metadata: dict[str, Any], target: str) -> Any:
    for source in (record, metadata):
        for name in ALIASES[target]:
            if _present(source.get(name)) not in (None, ""):
                return source[name]
    return None
