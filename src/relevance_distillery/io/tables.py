"""Rows out of JSONL, CSV and Parquet files within limits on their size, and names of columns."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from relevance_distillery.errors import UserError

Skip = Callable[[int, str], None]
"""Called with a row's number (1 for the first line) and the reason why it was skipped."""

MEGABYTE = 1_000_000
DEFAULT_ROW_MB = 5.0
DEFAULT_UNPACKED_MB = 4_000.0
_STEMS = (".tsv", ".csv", ".jsonl", ".ndjson", ".parquet", ".txt", ".qrels", ".qrel", ".run")

Aliases = Mapping[str, tuple[str, ...]]
"""Names that a column may have in a file, by its own name; the first found counts."""

_ROW_ID = ("_id", "id")
"""Names of a row's own id, as BEIR's layout has them."""

GRADES: Aliases = {
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
RUNS: Aliases = {
    "query_id": GRADES["query_id"],
    "document_id": (*GRADES["document_id"], "passage_id"),
    "score": ("score", "similarity", "sim"),
    "rank": ("rank", "position"),
    "tag": ("tag", "run", "system"),
}
QUERIES: Aliases = {
    "query_id": ("query_id", *_ROW_ID, "qid"),
    "text": ("text", "query", "title"),
    "style": ("style",),
}
QUERY_LOG: Aliases = {
    "query_id": ("query_id", *_ROW_ID, "qid"),
    "text": ("query", "text", "q"),
    "frequency": ("frequency", "count", "freq", "hits"),
}
DOCUMENTS: Aliases = {
    "document_id": ("document_id", *_ROW_ID, "doc_id", "docid"),
    "title": ("title",),
    "text": ("text", "body", "content"),
    "path": ("path", "file", "url"),
    "author": ("author", "authors", "owner"),
    "modified": ("modified", "updated", "date"),
}
"""Of documents also inside a JSON object `metadata`."""


class _Bounded(io.RawIOBase):
    """A byte stream that refuses to give more than `limit` bytes, against gzip bombs."""

    def __init__(self, stream: IO[bytes], path: Path, limit: float) -> None:
        self._stream, self._path, self._left, self._limit = stream, path, int(limit), limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{self._path}: is not a whole gzip file; write it again") from error
        self._left -= len(data)
        if self._left < 0:
            raise UserError(
                f"{self._path}: holds more than {self._limit / MEGABYTE:,.0f} MB; "
                "raise `synthesis.reading.max_unpacked_mb` or split the file"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_bytes(path: Path, max_unpacked_mb: float = DEFAULT_UNPACKED_MB) -> io.BufferedReader:
    """Open a file for reading, unpacking `.gz`, with a limit on what comes out.

    Raises:
        UserError: The file is missing or unreadable; while reading: it is a broken gzip
            file or holds more than the limit.
    """
    try:
        stream: Any = gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return io.BufferedReader(_Bounded(stream, path, max_unpacked_mb * MEGABYTE), 1 << 18)


def _raise(path: Path) -> Skip:
    def fail(row: int, reason: str) -> None:
        raise UserError(f"{path}, row {row}: {reason}; correct or remove this row")

    return fail


def iter_lines(
    path: Path,
    skip: Skip | None = None,
    max_row_mb: float = DEFAULT_ROW_MB,
    max_unpacked_mb: float = DEFAULT_UNPACKED_MB,
) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file with their numbers from 1, without line ends.

    Args:
        path: The file, `.gz` or plain.
        skip: Called for every line that is too long or not UTF-8; without it the first
            such line raises.
        max_row_mb: Longest line in megabytes; a longer one is never held in memory.
        max_unpacked_mb: Largest size of the whole file after unpacking.

    Raises:
        UserError: Missing file, broken gzip, over the limit, or a bad line without `skip`.
    """
    skip = skip or _raise(path)
    longest = int(max_row_mb * MEGABYTE)
    with open_bytes(path, max_unpacked_mb) as stream:
        row = 0
        while line := stream.readline(longest + 1):
            row += 1
            if len(line) > longest and not line.endswith(b"\n"):
                while (rest := stream.readline(longest)) and not rest.endswith(b"\n"):
                    pass
                skip(row, f"larger than {max_row_mb:g} MB")
                continue
            try:
                text = line.decode("utf-8-sig" if row == 1 else "utf-8")
            except UnicodeDecodeError:
                skip(row, "is not valid UTF-8")
                continue
            yield row, text.rstrip("\r\n")


def iter_jsonl(
    path: Path,
    skip: Skip | None = None,
    max_row_mb: float = DEFAULT_ROW_MB,
    max_unpacked_mb: float = DEFAULT_UNPACKED_MB,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with their row numbers; blank lines are passed over.

    Args and Raises as `iter_lines`; a line that is not a JSON object is a bad line.
    """
    fail = skip or _raise(path)
    for row, line in iter_lines(path, skip, max_row_mb, max_unpacked_mb):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            fail(row, "is not valid JSON")
            continue
        if not isinstance(record, dict):
            fail(row, "is not a JSON object")
            continue
        yield row, record


def iter_csv(
    path: Path,
    skip: Skip | None = None,
    delimiter: str = ",",
    max_row_mb: float = DEFAULT_ROW_MB,
    max_unpacked_mb: float = DEFAULT_UNPACKED_MB,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV file with a header; the number is the line where the row ends.

    Args and Raises as `iter_lines`; a row with more cells than the header is a bad row.
    """
    skip = skip or _raise(path)
    csv.field_size_limit(int(max_row_mb * MEGABYTE))
    with open_bytes(path, max_unpacked_mb) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        rows = csv.DictReader(text, delimiter=delimiter)
        while True:
            try:
                record = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"larger than {max_row_mb:g} MB" if "limit" in str(error) else "broken CSV"
                skip(rows.line_num, reason)
                continue
            if None in record:
                skip(rows.line_num, "has more cells than the header")
                continue
            if any(_has_surrogate(value) for value in record.values()):
                skip(rows.line_num, "is not valid UTF-8")
                continue
            yield rows.line_num, dict(record)


def _has_surrogate(value: str | None) -> bool:
    return value is not None and any("\ud800" <= char <= "\udfff" for char in value)


def iter_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a Parquet file, a batch in memory at a time.

    Raises:
        UserError: The file is missing or is no Parquet file.
    """
    try:
        file = pq.ParquetFile(path)
        row = 0
        for batch in file.iter_batches(batch_size=2_048):
            for record in batch.to_pylist():
                row += 1
                yield row, record
    except OSError as error:
        raise UserError(f"{path}: cannot be read; check the path") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: is not a Parquet file; check its format") from error


def iter_records(
    path: Path,
    skip: Skip | None = None,
    max_row_mb: float = DEFAULT_ROW_MB,
    max_unpacked_mb: float = DEFAULT_UNPACKED_MB,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a `.jsonl`, `.csv` or `.tsv` (each also `.gz`) or `.parquet` file.

    Raises:
        UserError: The suffix is another one, or as the reader of that format.
    """
    kind = table_kind(path)
    if kind == "jsonl":
        return iter_jsonl(path, skip, max_row_mb, max_unpacked_mb)
    if kind in ("csv", "tsv"):
        delimiter = "," if kind == "csv" else "\t"
        return iter_csv(path, skip, delimiter, max_row_mb, max_unpacked_mb)
    if kind == "parquet":
        return iter_parquet(path)
    raise UserError(f"{path}: unknown kind of table; use .jsonl, .csv, .tsv (or .gz) or .parquet")


def table_kind(path: Path) -> str:
    """`jsonl`, `csv`, `tsv` or `parquet` by the file's name, empty for anything else."""
    name = path.name.lower().removesuffix(".gz")
    for kind, suffixes in {
        "jsonl": (".jsonl", ".ndjson"),
        "csv": (".csv",),
        "tsv": (".tsv",),
        "parquet": (".parquet",),
    }.items():
        if name.endswith(suffixes):
            return kind
    return ""


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


def first_cell(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first cell that is not empty among some columns; None where all are."""
    return next((record[name] for name in names if cell_text(record.get(name))), None)


def listed_columns(record: Iterable[str]) -> str:
    """The names of a file's first 20 columns, for messages."""
    return ", ".join(str(name)[:40] for name in list(record)[:20])


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
