"""Files of pairs: where they are, and their content in fixed shards, whatever their size."""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from relevance_distillery.errors import UserError
from relevance_distillery.io.delimited import Lines
from relevance_distillery.io.tables import iter_lines, iter_records, open_bytes
from relevance_distillery.scoring.graders import GRADE_COLUMNS
from relevance_distillery.scoring.shards import PairShard

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")
_NEEDED = ("query", "text")
_FIELDS = ("title", "heading", "path", "author", "modified")
_READ = (*_NEEDED, *_FIELDS, "query_id", "document_id", "passage_id")
_LONGEST_ROW_MB = 64.0


def suffix_of(path: Path) -> str:
    """The kind of a file of pairs, one of SUFFIXES; UserError where it is none of them."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return suffix
    raise UserError(f"{path}: give a file that ends with {', '.join(SUFFIXES)}")


@dataclass(frozen=True)
class GivenPairs:
    """A file of pairs that may have been named; nothing is read yet."""

    path: str | None = None

    def open(self, command: str = "pairs=FILE,scored=FILE") -> PairsFile:
        """The file, looked at but not read.

        Args:
            command: What to type where none was named.

        Raises:
            UserError: None was named, or as `PairsFile`.
        """
        if not self.path:
            raise UserError(f'give a file of pairs: --params="{command}"')
        return PairsFile(Path(str(self.path)).expanduser())


@dataclass(frozen=True)
class ScoringOutput:
    """Where graded pairs go; nothing is written yet.

    Attributes:
        filepath: The file; its ending chooses Parquet, CSV or JSON lines, `.gz` included.
        qrels: TREC qrels to write besides; needs query_id and document_id.
    """

    filepath: str | None = None
    qrels: str | None = None

    @property
    def path(self) -> Path:
        """The file of graded pairs; UserError where none was named, or its ending is not known."""
        if self.filepath is None:
            raise UserError('say where to write: --params="pairs=FILE,scored=FILE"')
        path = Path(str(self.filepath)).expanduser()
        suffix_of(path)
        return path

    def check(self, pairs: PairsFile) -> None:
        """UserError where pairs, graded pairs and qrels are not three different files."""
        written = {"scored": self.path, "qrels": self.qrels_path(pairs)}
        taken = {"pairs": pairs.path.resolve()}
        for name, path in written.items():
            for other, place in taken.items():
                if path is not None and path.resolve() == place:
                    raise UserError(f"{name}={path}: is the file of {other}; name another one")
            if path is not None:
                taken[name] = path.resolve()

    def qrels_path(self, pairs: PairsFile) -> Path | None:
        """The file of qrels or None; UserError where the pairs lack the ids that qrels name."""
        if self.qrels is None:
            return None
        missing = [name for name in ("query_id", "document_id") if name not in pairs.columns]
        if missing:
            raise UserError(
                f"qrels={self.qrels}: {pairs.name} lacks {', '.join(missing)}, which qrels name"
            )
        return Path(str(self.qrels)).expanduser()


class PairsFile:
    """Pairs in Parquet, CSV or JSON lines.

    Attributes:
        name: The file, for messages.
        columns: Its columns; of JSON lines those of the first line.
        digest: Changes with any byte of its content.
        rows: How many pairs it has; for CSV the number of lines, which may be a few more.
    """

    def __init__(self, path: Path) -> None:
        """Look at the file; UserError where it is missing, of no known kind, or lacks a column."""
        self.path, self.name = path, str(path)
        if not path.is_file():
            raise UserError(f"pairs={path}: no such file; check the path")
        self.kind = suffix_of(path)
        if self.kind == ".parquet":
            try:
                # A buffer, else whole columns of a row group, a million rows, are read at once.
                self._parquet = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
            except (OSError, pa.ArrowInvalid) as error:
                raise UserError(f"{path}: not a Parquet file; check it") from error
            schema = self._parquet.schema_arrow
            # Bytes in any layout: large, of a fixed size, in a dictionary.
            binary = [field.name for field in schema if "binary" in str(field.type)]
            if binary:
                raise UserError(
                    f"{path}: {', '.join(binary)} is stored as plain binary; store it as a string"
                )
            self.columns = list(schema.names)
        elif self.kind.startswith(".csv"):
            lines = Lines(iter_lines(path))
            mark = lines.delimiter()
            self.columns = next(csv.reader([lines.take() or ""], delimiter=mark), [])
        else:
            first = next(self._records(), None)
            if first is None:
                raise UserError(f"{path}: holds no pairs")
            self.columns = list(first[1])
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
        # Here, since the labeler loads torch.
        from relevance_distillery.labeler.inference import SHARD_ROWS

        is_parquet = self.kind == ".parquet"
        tables = self._parquet_tables(SHARD_ROWS) if is_parquet else self._row_tables(SHARD_ROWS)
        for number, (row_numbers, table) in enumerate(tables):
            if number not in skip:
                yield PairShard(number, row_numbers, _texts(table), table)

    def _parquet_tables(self, size: int) -> Iterator[tuple[Sequence[int], pa.Table]]:
        waiting, first = self._parquet.schema_arrow.empty_table(), 1
        # Batches end at row groups, shards must not: resuming relies on their numbers.
        for batch in self._parquet.iter_batches(batch_size=size):
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
            while waiting.num_rows >= size:
                yield range(first, first + size), waiting.slice(0, size)
                waiting, first = waiting.slice(size), first + size
        if waiting.num_rows:
            yield range(first, first + waiting.num_rows), waiting

    def _row_tables(self, size: int) -> Iterator[tuple[Sequence[int], list[dict[str, Any]]]]:
        rows = self._rows()
        while numbered := list(itertools.islice(rows, size)):
            yield [number for number, _ in numbered], [row for _, row in numbered]

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        return iter_records(self.path, max_row_mb=_LONGEST_ROW_MB, max_unpacked_mb=math.inf)

    def _rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        is_csv = self.kind.startswith(".csv")
        for number, row in self._records():
            if is_csv:
                lacking = [name for name, cell in row.items() if cell is None]
            else:
                lacking = [name for name in _NEEDED if name not in row]
            if lacking:
                raise UserError(f"{self.path}, row {number}: lacks {', '.join(lacking)}; add it")
            nested = [name for name in _READ if isinstance(row.get(name), (dict, list))]
            if nested:
                raise UserError(
                    f"{self.path}, row {number}: {', '.join(nested)} is a list or an object, not a "
                    "text; correct the row"
                )
            yield number, row

    def _digest(self) -> tuple[str, int]:
        digest, lines, last = hashlib.blake2b(digest_size=16), 0, b"\n"
        with open_bytes(self.path, math.inf) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                lines += block.count(b"\n")
                last = block
        return digest.hexdigest(), lines + (not last.endswith(b"\n"))


def _texts(rows: pa.Table | list[dict[str, Any]]) -> pd.DataFrame:
    if isinstance(rows, pa.Table):
        rows = rows.select([name for name in _READ if name in rows.column_names]).to_pylist()
    return pd.DataFrame({name: [_text(row.get(name)) for row in rows] for name in _READ})


def _text(value: Any) -> str:
    # NaN is the one value that differs from itself.
    return "" if value is None or value != value else str(value)
