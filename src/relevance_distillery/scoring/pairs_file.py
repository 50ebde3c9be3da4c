"""A file of pairs to grade, of any size, read in fixed shards."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from relevance_distillery.errors import UserError
from relevance_distillery.labeler.inference import SHARD_ROWS
from relevance_distillery.scoring.graders import GRADE_COLUMNS
from relevance_distillery.scoring.shards import PairShard, suffix_of

_NEEDED = ("query", "text")
_READ = (
    "query",
    "text",
    "title",
    "heading",
    "path",
    "author",
    "modified",
    "query_id",
    "document_id",
    "passage_id",
)
_LONGEST_FIELD = 64 * 1024 * 1024


class PairsFile:
    """Pairs in Parquet, CSV or JSON lines.

    Attributes:
        name: The file, for messages.
        columns: Its columns; of JSON lines those of the first line.
        digest: Changes with any byte of its content.
        rows: How many pairs it has; for CSV the number of lines, which may be a few more.
    """

    def __init__(self, path: Path) -> None:
        """Look at the file.

        Raises:
            UserError: No such file, a kind that is not known, or a column is missing.
        """
        self.path, self.name = path, str(path)
        if not path.is_file():
            raise UserError(f"pairs={path}: no such file; check the path")
        self.kind = suffix_of(path)
        if self.kind == ".parquet":
            self._parquet = self._open_parquet()
            self.columns = list(self._parquet.schema_arrow.names)
        else:
            self.columns = self._first_line()
        missing = [column for column in _NEEDED if column not in self.columns]
        if missing:
            raise UserError(
                f"{path}: lacks the column {', '.join(missing)}; it has "
                f"{', '.join(self.columns) or 'none'}"
            )
        clash = [column for column in GRADE_COLUMNS if column in self.columns]
        if clash:
            raise UserError(
                f"{path}: already has the column {', '.join(clash)}, which scoring writes; "
                "rename it first"
            )
        self.digest, lines = self._digest()
        if self.kind == ".parquet":
            self.rows = int(self._parquet.metadata.num_rows)
        else:
            self.rows = lines - (1 if self.kind.startswith(".csv") else 0)

    def shards(self, skip: Container[int] = frozenset()) -> Iterator[PairShard]:
        """Shards of 2,048 rows; the last one may be shorter.

        Args:
            skip: Numbers of shards that are passed over.

        Raises:
            UserError: A row cannot be read; the message names it.
        """
        if self.kind == ".parquet":
            tables: Iterator[Any] = self._parquet_tables()
        elif self.kind.startswith(".csv"):
            tables = self._csv_tables()
        else:
            tables = self._json_rows()
        first = 1
        for number, rows in enumerate(tables):
            size = rows.num_rows if isinstance(rows, pa.Table) else len(rows)
            if number not in skip:
                yield PairShard(number, first, _texts(rows), rows)
            first += size

    def _open_parquet(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{self.path}: not a Parquet file; check it") from error

    def _parquet_tables(self) -> Iterator[pa.Table]:
        waiting: list[pa.Table] = []
        held = 0
        # Batches end at row groups, shards must not: they decide nothing, resuming relies on them.
        for batch in self._parquet.iter_batches(batch_size=SHARD_ROWS):
            waiting.append(pa.Table.from_batches([batch]))
            held += batch.num_rows
            while held >= SHARD_ROWS:
                table = pa.concat_tables(waiting)
                yield table.slice(0, SHARD_ROWS)
                waiting = [table.slice(SHARD_ROWS)]
                held -= SHARD_ROWS
        if held:
            yield pa.concat_tables(waiting)

    def _csv_tables(self) -> Iterator[pa.Table]:
        with self._open() as stream:
            reader = csv.reader(stream)
            names = next(reader)
            rows: list[list[str]] = []
            for row in self._guarded(reader):
                if not row:
                    continue
                if len(row) != len(names):
                    raise UserError(
                        f"{self.path}: line {reader.line_num} has {len(row)} fields, the header "
                        f"{len(names)}; correct the line"
                    )
                rows.append(row)
                if len(rows) == SHARD_ROWS:
                    yield _string_table(names, rows)
                    rows = []
            if rows:
                yield _string_table(names, rows)

    def _json_rows(self) -> Iterator[list[dict[str, Any]]]:
        with self._open() as stream:
            rows: list[dict[str, Any]] = []
            for number, line in enumerate(self._guarded(stream), start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise UserError(
                        f"{self.path}: line {number} is not JSON; correct it"
                    ) from error
                if not isinstance(row, dict):
                    raise UserError(f"{self.path}: line {number} is no JSON object; correct it")
                missing = [column for column in _NEEDED if column not in row]
                if missing:
                    raise UserError(f"{self.path}: line {number} lacks {', '.join(missing)}")
                rows.append(row)
                if len(rows) == SHARD_ROWS:
                    yield rows
                    rows = []
            if rows:
                yield rows

    def _guarded(self, lines: Iterator[Any] | IO[str]) -> Iterator[Any]:
        try:
            yield from lines
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path}: not valid UTF-8; convert the file") from error
        except (OSError, EOFError, csv.Error) as error:
            raise UserError(f"{self.path}: cannot be read ({error}); check the file") from error

    def _open(self) -> IO[str]:
        csv.field_size_limit(min(_LONGEST_FIELD, sys.maxsize))
        if self.kind.endswith(".gz"):
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")
        return self.path.open(encoding="utf-8-sig", newline="")

    def _first_line(self) -> list[str]:
        with self._open() as stream:
            if self.kind.startswith(".csv"):
                return next(self._guarded(csv.reader(stream)), [])
            for line in self._guarded(itertools.islice(stream, 1000)):
                if line.strip():
                    try:
                        row = json.loads(line)
                    except ValueError as error:
                        raise UserError(
                            f"{self.path}: its first line is not JSON; give JSON lines"
                        ) from error
                    return list(row) if isinstance(row, dict) else []
        raise UserError(f"{self.path}: holds no pairs")

    def _digest(self) -> tuple[str, int]:
        digest, lines, last = hashlib.blake2b(digest_size=16), 0, b"\n"
        packed = self.kind.endswith(".gz")
        with gzip.open(self.path, "rb") if packed else self.path.open("rb") as stream:
            for block in self._guarded(iter(lambda: stream.read(1 << 20), b"")):
                digest.update(block)
                lines += block.count(b"\n")
                last = block
        return digest.hexdigest(), lines + (not last.endswith(b"\n"))


def _string_table(names: list[str], rows: list[list[str]]) -> pa.Table:
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.Table.from_arrays(columns, names=names)


def _texts(rows: pa.Table | list[dict[str, Any]]) -> pd.DataFrame:
    if isinstance(rows, pa.Table):
        columns = {name: rows[name].to_pylist() for name in _READ if name in rows.column_names}
    else:
        columns = {name: [row.get(name) for row in rows] for name in _READ}
    return pd.DataFrame({name: [_text(v) for v in values] for name, values in columns.items()})


def _text(value: Any) -> str:
    # NaN is the one value that differs from itself.
    return "" if value is None or value != value else str(value)


def text_writer(path: Path, packed: bool) -> IO[str]:
    """A UTF-8 file for writing, gzip where `packed`; the same content gives the same bytes."""
    if packed:
        return io.TextIOWrapper(
            gzip.GzipFile(filename="", mode="wb", fileobj=path.open("wb"), mtime=0),
            encoding="utf-8",
            newline="",
        )
    return path.open("w", encoding="utf-8", newline="")
