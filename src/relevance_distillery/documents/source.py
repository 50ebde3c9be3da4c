"""Where documents come from: a folder, a table, a BEIR folder, or several of them."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.documents.folder import FolderReader
from relevance_distillery.documents.formats import iso_date, names
from relevance_distillery.errors import UserError
from relevance_distillery.io.tables import (
    DOCUMENTS,
    cell_text,
    first_cell,
    iter_records,
    listed_columns,
    table_kind,
)

DOCUMENT_COLUMNS = ("document_id", "title", "text", "path", "author", "modified", "metadata")
SKIPPED_COLUMNS = ("path", "where", "reason")


@dataclass(frozen=True)
class Reading:
    """What came out of a source.

    Attributes:
        documents: The `documents` table.
        skipped: Columns path, where (`file` or `row N`), reason; one row for everything
            that was left out.
    """

    documents: pd.DataFrame
    skipped: pd.DataFrame


@dataclass(frozen=True)
class DocumentSource:
    """A handle on documents that are read when asked for.

    Attributes:
        locations: Files and folders; ids of several are prefixed with the location's name.
    """

    locations: tuple[Path, ...]

    @classmethod
    def parse(cls, filepath: str | Path | None) -> DocumentSource:
        """From one path, or several separated by `;`; None for a path that was not given.

        Raises:
            UserError: No path was given.
        """
        parts = [part.strip() for part in str(filepath or "").split(";")]
        paths = tuple(Path(part).expanduser() for part in parts if part)
        if not paths:
            raise UserError(
                'no documents were given; pass --params="documents=PATH", or in the '
                'recorded environment --params="train_set=DIR"'
            )
        return cls(paths)

    def read(
        self,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        max_document_mb: float = 5.0,
        max_unpacked_mb: float = 4_000.0,
        file_dates: bool = False,
        limit: int | None = None,
        seed: int = 0,
    ) -> Reading:
        """Read everything.

        Args:
            include: gitignore-style patterns of the files to read in a folder; all when empty.
            exclude: gitignore-style patterns of the files not to read.
            max_document_mb: Longest document; a longer one is skipped and listed.
            max_unpacked_mb: Largest table after unpacking.
            file_dates: Use file times where a document of a folder names no date.
            limit: At most so many documents, sampled at random.
            seed: Seed of the sample.

        Raises:
            UserError: A location is missing or of an unknown kind, ids are empty or given
                twice, or nothing readable was found.
        """
        prefixes = set_prefixes(self.locations)
        rows: list[dict[str, str]] = []
        skipped: list[tuple[str, str, str]] = []
        for location, prefix in zip(self.locations, prefixes, strict=True):
            reader: FolderReader | TableReader
            table = table_at(location, "corpus")
            if table is not None:
                reader = TableReader(
                    table,
                    max_document_mb=max_document_mb,
                    max_unpacked_mb=max_unpacked_mb,
                )
            else:
                reader = FolderReader(
                    location,
                    include=include,
                    exclude=exclude,
                    max_document_mb=max_document_mb,
                    file_dates=file_dates,
                )
            found = reader.read(limit, seed)
            rows += [{**row, "document_id": prefix + row["document_id"]} for row in found]
            skipped += reader.skipped
        if not rows:
            places = "; ".join(str(location) for location in self.locations)
            raise UserError(
                f"{places}: no readable document found ({len(skipped)} skipped); "
                "check the path and the patterns of `synthesis.reading`"
            )
        documents = pd.DataFrame(rows, columns=list(DOCUMENT_COLUMNS)).astype(str)
        if limit is not None and len(documents) > limit:
            documents = documents.sample(limit, random_state=seed).sort_index(ignore_index=True)
        return Reading(documents, pd.DataFrame(skipped, columns=list(SKIPPED_COLUMNS)).astype(str))


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
            if only is not None and _id(record) not in only:
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
        has = {target: any(name in record for name in DOCUMENTS[target]) for target in DOCUMENTS}
        missing = [] if has["document_id"] else ["document_id (or _id, id)"]
        if not has["title"] and not has["text"]:
            missing.append("text (or body, content) or title")
        if missing:
            raise UserError(
                f"{self.path}: needs the column {' and '.join(missing)}; "
                f"has {listed_columns(record)}"
            )

    def _row(self, number: int, record: dict[str, Any]) -> dict[str, str]:
        metadata = _metadata(record.get("metadata"))
        identifier = _id(record)
        if not identifier:
            raise UserError(f"{self.path}, row {number}: empty document id; give every row an id")
        cells = {
            name: first_cell(record, aliases)
            if first_cell(record, aliases) is not None
            else first_cell(metadata, aliases)
            for name, aliases in DOCUMENTS.items()
        }
        known = {name for aliases in DOCUMENTS.values() for name in aliases} | {"metadata"}
        extra = {key: value for key, value in record.items() if key not in known}
        return {
            "document_id": identifier,
            "title": " ".join(cell_text(cells["title"]).split()),
            "text": cell_text(first_cell(record, DOCUMENTS["text"])),
            "path": cell_text(cells["path"]),
            "author": names(cells["author"]),
            "modified": iso_date(cells["modified"]),
            "metadata": json.dumps(
                {**extra, **metadata}, ensure_ascii=False, sort_keys=True, default=str
            ),
        }


def _id(record: dict[str, Any]) -> str:
    return cell_text(first_cell(record, DOCUMENTS["document_id"]))


def _metadata(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def set_prefixes(locations: Sequence[Path]) -> list[str]:
    """`NAME/` for each of several locations, an empty prefix for a single one.

    Raises:
        UserError: Two locations have the same name.
    """
    if len(locations) == 1:
        return [""]
    named = [location.name for location in locations]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise UserError(f"two sets are named '{twice[0]}'; rename one, their ids would collide")
    return [f"{name}/" for name in named]


def table_at(location: Path, stem: str) -> Path | None:
    """The table at a location: the file itself, or `STEM.jsonl[.gz]` of a BEIR folder.

    Returns:
        None for a folder without such a file.

    Raises:
        UserError: The location does not exist or is a file of an unknown kind.
    """
    if location.is_dir():
        for suffix in (".jsonl", ".jsonl.gz"):
            if (location / f"{stem}{suffix}").is_file():
                return location / f"{stem}{suffix}"
        return None
    if not location.exists():
        raise UserError(f"{location}: no such file or folder; check the path")
    if not table_kind(location):
        raise UserError(
            f"{location}: not a kind of file that is read; give a folder of documents, or a "
            ".jsonl, .csv, .tsv (each also .gz) or .parquet file"
        )
    return location
