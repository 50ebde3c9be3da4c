"""Rows out of JSONL, CSV and Parquet files within limits on their size, and names of columns."""

import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from relevance_distillery.errors import UserError
from relevance_distillery.io.delimited import Lines, Skip, csv_rows, tsv_rows

MEGABYTE = 1_000_000
DEFAULT_ROW_MB = 5.0
DEFAULT_UNPACKED_MB = 4_000.0
_TABLES = (".tsv", ".csv", ".jsonl", ".parquet")
_STEMS = (*_TABLES, ".ndjson", ".txt", ".qrels", ".qrel", ".run", ".trec", ".trecrun", ".res")

Aliases = Mapping[str, tuple[str, ...]]
"""Names that a column may have in a file, by its own name; the first found counts."""

_ROW_ID = ("_id", "id")
"""Names of a row's own id, as BEIR's layout has them."""

_AS_WRITTEN = (
    *("style", "passage_id", "design", "unit", "inclusion_probability", "text_digest"),
    *("probabilities", "confidence", "cost_usd", "seconds"),
)
"""Columns of grades that have one name alone."""

GRADES: Aliases = {
    "query_id": ("query_id", "query-id", "qid", "topic"),
    "document_id": ("document_id", "corpus-id", "doc_id", "docid", "docno"),
    "grade": ("grade", "rating", "score", "relevance", "rel", "label"),
    "annotator": ("annotator", "rater", "assessor"),
    "query": ("query", "query_text", "text"),
    **{name: (name,) for name in _AS_WRITTEN},
}
RUNS: Aliases = {
    "query_id": (*GRADES["query_id"], "query", "query_text"),
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
        self._stream, self._path, self._left, self._limit = stream, path, limit, limit

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


def iter_lines(path: Path, max_row_mb: float = DEFAULT_ROW_MB) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file, `.gz` or plain, with their numbers from 1.

    Raises:
        UserError: Missing file, broken gzip, more than 4 GB unpacked, or a line that is longer
            than `max_row_mb` megabytes or not UTF-8.
    """
    with open_bytes(path) as stream:
        yield from _lines(stream, _raise(path), max_row_mb)


def iter_records(
    path: Path,
    skip: Skip | None = None,
    max_row_mb: float = DEFAULT_ROW_MB,
    max_unpacked_mb: float = DEFAULT_UNPACKED_MB,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a `.jsonl`, `.csv` or `.tsv` (each also `.gz`) or `.parquet` file.

    Args:
        path: The file; CSV has a header.
        skip: Called for every bad row: too long, not UTF-8, no JSON object, with more cells
            than the header, or with a quoted cell that holds other rows; without it the first
            such row raises.
        max_row_mb: Longest row in megabytes; a longer one is never held in memory.
        max_unpacked_mb: Largest size of the whole file after unpacking.

    Yields:
        The row's number (in CSV the line where it ends) and its cells; blank rows are passed over.

    Raises:
        UserError: Missing file, another suffix, content that does not fit it, over the limit, or
            a bad row without `skip`.
    """
    kind = table_kind(path)
    if not kind:
        raise UserError(
            f"{path}: unknown kind of table; use .jsonl, .csv, .tsv (or .gz) or .parquet"
        )
    if kind == "parquet":
        yield from _parquet_rows(path)
        return
    skip = skip or _raise(path)
    with open_bytes(path, max_unpacked_mb) as stream:
        if kind == "jsonl":
            yield from _json_rows(stream, skip, max_row_mb)
        else:
            lines = Lines(_lines(stream, skip, max_row_mb))
            if lines.headless:
                _raise(path)(1, "the names of columns are not valid UTF-8: save the file as UTF-8")
            if kind == "tsv" or lines.delimiter() == "\t":
                yield from tsv_rows(lines, skip)
            else:
                yield from csv_rows(lines, skip, max_row_mb)


def _lines(stream: IO[bytes], skip: Skip, max_row_mb: float) -> Iterator[tuple[int, str]]:
    longest = int(max_row_mb * MEGABYTE)
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
            skip(row, "is not valid UTF-8: save the file as UTF-8")
            continue
        yield row, text.rstrip("\r\n")


def _json_rows(
    stream: IO[bytes], skip: Skip, max_row_mb: float
) -> Iterator[tuple[int, dict[str, Any]]]:
    for row, line in _lines(stream, skip, max_row_mb):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            skip(row, "is not valid JSON")
            continue
        if isinstance(record, dict):
            yield row, record
        else:
            skip(row, "is not a JSON object")


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        batches = pq.ParquetFile(path).iter_batches(batch_size=2_048)
        records = (record for batch in batches for record in batch.to_pylist())
        for row, record in enumerate(records, start=1):
            yield row, {name: _decoded(path, row, name, cell) for name, cell in record.items()}
    except OSError as error:
        raise UserError(f"{path}: cannot be read; check the path") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: is not a Parquet file; check its format") from error


def _decoded(path: Path, row: int, name: str, cell: Any) -> Any:
    """A cell, text where it is stored as plain BINARY, as Hive and Impala do."""
    if not isinstance(cell, bytes):
        return cell
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, row {row}: {name} is binary and not UTF-8 text; store it as a string"
        ) from error


def table_kind(path: Path) -> str:
    """`jsonl`, `csv`, `tsv` or `parquet` by the file's name, empty for anything else."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix.replace("ndjson", "jsonl")
    return suffix[1:] if suffix in _TABLES else ""


def tables_in(folder: Path) -> dict[str, Path]:
    """The tables of a folder by their names without suffix; the first of two alike."""
    files = (path for path in folder.glob("*") if path.is_file() and table_kind(path))
    found: dict[str, Path] = {}
    for path in sorted(files):
        found.setdefault(stem_of(path), path)
    return found


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
