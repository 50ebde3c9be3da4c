"""Where documents come from: folders of files, tables, BEIR folders, or several of them."""

import datetime as dt
import gzip
import json
import os
import zlib
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from unicodedata import normalize

import numpy as np
import pandas as pd
import pathspec

from relevance_distillery.documents import formats
from relevance_distillery.errors import UserError
from relevance_distillery.io.files import named_paths
from relevance_distillery.io.tables import (
    DOCUMENTS,
    MEGABYTE,
    cell_text,
    first_cell,
    iter_records,
    listed_columns,
    table_kind,
)

DOCUMENT_COLUMNS = ["document_id", "title", "text", "path", "author", "modified", "metadata"]

_NAMED = 3
_WHOLE = ("file", "text")
_CONTAINER_FACTOR = 10
"""A PDF or DOCX file may be this many times as large as a text: most of it is pictures."""


@dataclass(frozen=True)
class Reading:
    """The `documents` table, and what was left out: path, where (`file` or `row N`), reason."""

    documents: pd.DataFrame
    skipped: pd.DataFrame


@dataclass(frozen=True)
class DocumentSource:
    """Files and folders of documents that are read when asked for.

    Ids of several locations are prefixed with the location's name.
    """

    locations: tuple[Path, ...]

    @classmethod
    def parse(cls, filepath: str | Path | None) -> Self:
        """From one path, or several separated by `;`; UserError where none was given."""
        paths = named_paths(filepath)
        if not paths:
            raise UserError(
                'no documents were given; pass --params="documents=PATH", or in the '
                'recorded environment --params="train_set=DIR"'
            )
        return cls(tuple(paths))

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
        """Read everything, or at most `limit` documents, sampled at random.

        Patterns are gitignore's, `include` for all when empty; a document longer than
        `max_document_mb` is skipped and listed, a table larger than `max_unpacked_mb` once
        unpacked refused; `file_dates` are for documents of a folder that name no date.

        Raises:
            UserError: A location is missing or of an unknown kind, ids are empty or given
                twice, or nothing readable was found.
        """
        rows: list[dict[str, str]] = []
        skipped: list[tuple[str, str, str]] = []
        for location, prefix in zip(self.locations, set_prefixes(self.locations), strict=True):
            table = table_at(location, "corpus")
            if table is None:
                folder = _Folder(location, include, exclude, max_document_mb, file_dates, skipped)
                found = folder.read(limit, seed)
            else:
                limits = (max_document_mb, max_unpacked_mb)
                found = _table_rows(table, skipped, *limits, limit=limit, seed=seed)
            rows += [{**row, "document_id": prefix + row["document_id"]} for row in found]
        left_out = pd.DataFrame(skipped, columns=["path", "where", "reason"]).astype(str)
        if not rows:
            places = "; ".join(map(str, self.locations))
            reasons = "; ".join(named_reasons(left_out)) or "nothing is there"
            raise UserError(
                f"{places}: no readable document found ({reasons}); "
                "check the path and the patterns of `synthesis.reading`"
            )
        documents = _documents(rows)
        if limit is not None and len(documents) > limit:
            documents = documents.sample(limit, random_state=seed).sort_index(ignore_index=True)
        return Reading(documents, left_out)


def _documents(rows: list[dict[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=DOCUMENT_COLUMNS).astype(str)


def named_reasons(skipped: pd.DataFrame) -> list[str]:
    """A line for every reason in `Reading.skipped`, with the first three that it befell."""
    places: dict[str, list[str]] = {}
    for path, where, reason in skipped.itertuples(index=False, name=None):
        copy = where.startswith("copy of")
        place = f"{path} ({where})" if copy else path if where in _WHOLE else f"{path}, {where}"
        found = places.setdefault(reason, [])
        found.append(where if found and found[0].startswith(f"{path}, ") else place)
    lines: list[str] = []
    for reason, found in places.items():
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        lines.append(f"{', '.join(found[:_NAMED])}{more}: {reason}")
    return lines


def read_wanted(table: Path, wanted: Set[str]) -> pd.DataFrame:
    """Those documents of a table, perhaps none, that are wanted; all may not fit in memory.

    Errors are those of `DocumentSource.read`.
    """
    # Letters may be composed here and decomposed there.
    spelt = {normalize(form, name) for form in ("NFC", "NFD") for name in wanted}
    return _documents(_table_rows(table, [], only=wanted | spelt))


@dataclass
class _Folder:
    """One document a file; `document_id` is the path relative to the folder."""

    folder: Path
    include: Sequence[str]
    exclude: Sequence[str]
    max_document_mb: float
    file_dates: bool
    skipped: list[tuple[str, str, str]]

    def read(self, limit: int | None, seed: int) -> list[dict[str, str]]:
        """Rows of the `documents` table, sorted by path; a random sample with a `limit`."""
        files = self._files()
        if limit is not None and limit < len(files):
            files = [files[place] for place in np.random.default_rng(seed).permutation(len(files))]
        rows: list[dict[str, str]] = []
        for name in files:
            if len(rows) == limit:
                break
            try:
                rows.append(self._read_file(name))
            except formats.UnreadableError as error:
                self._skip(name, str(error))
        return sorted(rows, key=lambda row: row["document_id"])

    def _skip(self, name: str, reason: str) -> None:
        self.skipped.append((name, "file", reason))

    def _files(self) -> list[str]:
        """Relative paths of the files to read, sorted; folders reached by links are not entered."""

        def fail(error: OSError) -> None:
            raise UserError(f"{error.filename}: cannot be listed ({error.strerror})") from error

        included = pathspec.GitIgnoreSpec.from_lines(self.include or ["*"])
        excluded = pathspec.GitIgnoreSpec.from_lines(self.exclude)
        found: list[str] = []
        for parent, folders, files in os.walk(self.folder, followlinks=False, onerror=fail):
            here = Path(parent).relative_to(self.folder)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                if Path(parent, name).is_symlink():
                    self._skip((here / name).as_posix(), "link to a folder, not followed")
            for name in sorted(name for name in files if not name.startswith(".")):
                relative = (here / name).as_posix()
                if excluded.match_file(relative) or not included.match_file(relative):
                    continue
                if _kind(name) in formats.PARSERS:
                    found.append(relative)
                elif table_kind(Path(name)):
                    self._skip(relative, "a table, not a document; give it as documents=FILE")
                else:
                    self._skip(relative, f"'{_kind(name) or name}' files are not read")
        return sorted(found)

    def _read_file(self, name: str) -> dict[str, str]:
        path = self.folder / name
        if path.is_symlink() and not path.resolve().is_relative_to(self.folder.resolve()):
            raise formats.UnreadableError("link that leaves the folder, not followed")
        parsed = formats.parse(self._content(path), _kind(name))
        text = parsed.text.strip()
        if reason := _unusable(parsed.title, text, self.max_document_mb):
            raise formats.UnreadableError(reason)
        if parsed.note:
            self._skip(name, parsed.note)
        written = dt.date.fromtimestamp(path.stat().st_mtime).isoformat()
        folder, _, file_name = name.rpartition("/")
        stem = file_name.removesuffix(".gz").rsplit(".", 1)[0]
        metadata = {**parsed.metadata, "file_name": file_name, "folder": folder}
        return {
            "document_id": name,
            "title": parsed.title or " ".join(stem.replace("-", " ").replace("_", " ").split()),
            "text": text,
            "path": name,
            "author": parsed.author,
            "modified": parsed.modified or (written if self.file_dates else ""),
            "metadata": json.dumps(metadata, ensure_ascii=False, sort_keys=True),
        }

    def _content(self, path: Path) -> bytes:
        factor = _CONTAINER_FACTOR if _kind(path.name) in formats.CONTAINERS else 1
        longest = int(self.max_document_mb * MEGABYTE * factor)
        try:
            with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as stream:
                content = stream.read(longest + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise formats.UnreadableError("is not a whole gzip file") from error
        except OSError as error:
            raise formats.UnreadableError(f"cannot be opened ({error.strerror})") from error
        if len(content) > longest:
            raise formats.UnreadableError(f"larger than {longest / MEGABYTE:g} MB")
        return bytes(content)


def _table_rows(
    path: Path,
    skipped: list[tuple[str, str, str]],
    max_document_mb: float = 5.0,
    max_unpacked_mb: float = 4_000.0,
    *,
    limit: int | None = None,
    seed: int = 0,
    only: Set[str] | None = None,
) -> list[dict[str, str]]:
    """Rows of the `documents` table, one a row of a file, in its order.

    The limits are those of `DocumentSource.read`; `limit` gives a uniform sample (reservoir
    sampling), `only` the documents of some ids. What is left out goes into `skipped`.

    Raises:
        UserError: Needed columns are missing, or an id is empty or given twice.
    """

    def skip(number: int, reason: str) -> None:
        skipped.append((str(path), f"row {number}", reason))

    rng = np.random.default_rng(seed)
    kept: list[tuple[int, dict[str, str]]] = []
    seen: dict[str, int] = {}
    usable = 0
    for number, record in iter_records(path, skip, max_document_mb, max_unpacked_mb):
        if not seen:
            _check_columns(path, record)
        identifier = cell_text(first_cell(record, DOCUMENTS["document_id"]))
        if only is not None and identifier not in only:
            continue
        if not identifier:
            raise UserError(f"{path}, row {number}: empty document id; give every row an id")
        first = seen.setdefault(identifier, number)
        if first != number:
            raise UserError(
                f"{path}, rows {first} and {number}: the same document id "
                f"'{identifier[:80]}' twice; give every document its own id"
            )
        row = _table_row(identifier, record)
        if reason := _unusable(row["title"], row["text"], max_document_mb):
            skip(number, reason)
            continue
        usable += 1
        if limit is None or len(kept) < limit:
            kept.append((number, row))
        elif (place := int(rng.integers(usable))) < limit:
            kept[place] = (number, row)
    return [row for _, row in sorted(kept, key=lambda item: item[0])]


def _check_columns(path: Path, record: dict[str, Any]) -> None:
    has = {name for name, aliases in DOCUMENTS.items() if {*aliases} & {*record}}
    missing = [] if "document_id" in has else ["document_id (or _id, id)"]
    if not has & {"title", "text"}:
        missing.append("text (or body, content) or title")
    if missing:
        raise UserError(
            f"{path}: needs the column {' and '.join(missing)}; has {listed_columns(record)}"
        )


def _unusable(title: str, text: str, max_mb: float) -> str:
    """Why a document cannot be used; empty where it can."""
    if len(text) > max_mb * MEGABYTE:
        return f"larger than {max_mb:g} MB"
    return "" if title or text else "title and text are both empty"


def _table_row(identifier: str, record: dict[str, Any]) -> dict[str, str]:
    metadata = record.get("metadata")
    if isinstance(metadata, str) and metadata.strip().startswith("{"):
        with suppress(ValueError):
            metadata = json.loads(metadata)
    metadata = metadata if isinstance(metadata, dict) else {}

    def cell(name: str) -> Any:
        own = first_cell(record, DOCUMENTS[name])
        return own if own is not None else first_cell(metadata, DOCUMENTS[name])

    known = {name for aliases in DOCUMENTS.values() for name in aliases} | {"metadata"}
    extra = {key: value for key, value in record.items() if key not in known} | metadata
    return {
        "document_id": identifier,
        "title": " ".join(cell_text(cell("title")).split()),
        "text": cell_text(first_cell(record, DOCUMENTS["text"])),
        "path": cell_text(cell("path")),
        "author": formats.names(cell("author")),
        "modified": formats.iso_date(cell("modified")),
        "metadata": json.dumps(extra, ensure_ascii=False, sort_keys=True, default=str),
    }


def _kind(name: str) -> str:
    lower = name.lower().removesuffix(".gz")
    return "." + lower.rsplit(".", 1)[1] if "." in lower else ""


def set_prefixes(locations: Sequence[Path]) -> list[str]:
    """`NAME/` for each of several locations, empty for one; UserError where two names are alike."""
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
        inside = (location / f"{stem}{suffix}" for suffix in (".jsonl", ".jsonl.gz"))
        return next((path for path in inside if path.is_file()), None)
    if not location.exists():
        raise UserError(f"{location}: no such file or folder; check the path")
    if not table_kind(location):
        raise UserError(
            f"{location}: not a kind of file that is read; give a folder of documents, or a "
            ".jsonl, .csv, .tsv (each also .gz) or .parquet file"
        )
    return location
