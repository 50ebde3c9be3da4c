"""Graded shards on disk: a part a shard, kept over a kill, joined whole at the end."""

import csv
import gzip
import io
import json
import math
import shutil
import sqlite3
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relevance_distillery.errors import UserError
from relevance_distillery.io.files import replacing, write_text
from relevance_distillery.labeler.inference import SHARD_ROWS
from relevance_distillery.learning.second_pass import Seen
from relevance_distillery.scoring.graders import GRADE_COLUMNS, Grader
from relevance_distillery.scoring.pairs_file import SUFFIXES, PairsFile, suffix_of
from relevance_distillery.scoring.shards import GradedShard

LISTED = 10
"""Failures of which the reason is kept, of a part and of a file."""
_FORMAT = 2
_IDS = ("query_id", "document_id")


class ScoredParts:
    """The folder of parts beside the output, `FILE.parts/`.

    A shard becomes three files, of which its part appears last and whole: `part-N` with the
    graded rows, `facts-N.json` with counts and failures, `ids-N.parquet` for qrels. What a second
    pass needs goes into `seen`, all shards in one file, each at its place.
    """

    def __init__(self, path: Path, pairs: PairsFile, grader: Grader, passes: int = 1) -> None:
        """Keep the parts of an earlier run of the same input, grader and passes, drop others."""
        self.path, self.kind = path, suffix_of(path)
        self.folder = path.with_name(path.name + ".parts")
        self.columns = [*pairs.columns, *GRADE_COLUMNS]
        self.expected = math.ceil(pairs.rows / SHARD_ROWS)
        manifest = {
            "format": _FORMAT,
            "pairs": pairs.digest,
            "grader": grader.digest,
            "shard_rows": SHARD_ROWS,
            **({} if passes == 1 else {"passes": passes}),
        }
        try:
            found = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if found != manifest:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            write_text(self.folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")

    def finished(self) -> set[int]:
        """Numbers of the shards whose part is whole, with or without gaps."""
        return {int(part.name[5:13]) for part in self.folder.glob(f"part-*{self.kind}")}

    def drop_if_none(self) -> None:
        """Remove the folder where no part is whole: there is nothing to resume."""
        if not self.finished():
            shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, graded: GradedShard, observed: dict[str, Any] | None = None) -> None:
        """Write a shard and what was observed of it, or None for what was written before.

        UserError where rows do not fit the kind.
        """
        number = graded.shard.number
        if observed is None:
            observed = json.loads(self._facts(number).read_text(encoding="utf-8"))["watch"]
        if graded.seen is not None:
            place = self.folder / "seen"
            place.touch()
            with place.open("r+b") as stream:
                stream.seek(number * SHARD_ROWS * graded.seen.itemsize)
                stream.write(graded.seen.tobytes())
        facts = {
            "rows": len(graded.grades),
            "failed": len(graded.failures),
            "reasons": [
                f"row {row}: {why}" for row, why in islice(graded.failures.items(), LISTED)
            ],
            "watch": observed,
        }
        if set(_IDS) <= set(self.columns):
            ids = graded.shard.texts[list(_IDS)].assign(grade=graded.grades["grade"])
            ids.to_parquet(self.folder / f"ids-{number:08d}.parquet")
        write_text(self._facts(number), json.dumps(facts))
        with replacing(self.folder / f"part-{number:08d}{self.kind}") as partial:
            if self.kind == ".parquet":
                pq.write_table(_table(graded), partial)
            elif self.kind.startswith(".csv"):
                self._write_csv(partial, graded)
            else:
                with _text_writer(partial, self.kind.endswith(".gz")) as stream:
                    for row in _rows(graded):
                        stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

    def facts(self) -> list[dict[str, Any]]:
        """Rows, failures and observations of every finished part, in order of shards."""
        files = [self._facts(number) for number in sorted(self.finished())]
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def seen(self, kind: np.dtype[np.void]) -> Seen:
        """What was seen of every row, read from the disk as it is used."""
        return np.memmap(self.folder / "seen", kind, "r")

    def join(self) -> None:
        """Join the parts in order, put the result in place, remove the parts.

        Raises:
            UserError: Rows of different parts do not fit one Parquet column.
        """
        parts = sorted(self.folder.glob(f"part-*{self.kind}"))
        with replacing(self.path) as partial:
            if self.kind == ".parquet":
                _join_parquet(parts, partial)
            else:
                with partial.open("wb") as stream:
                    if self.kind.startswith(".csv"):
                        head = self.folder / f"head{self.kind}"
                        with _text_writer(head, self.kind.endswith(".gz")) as text:
                            csv.writer(text, lineterminator="\n").writerow(self.columns)
                        parts = [head, *parts]
                    # Members of a gzip file may simply follow one another.
                    for part in parts:
                        with part.open("rb") as source:
                            shutil.copyfileobj(source, stream)
        # Without a manifest, a folder that is removed by half is never taken for one to resume.
        (self.folder / "manifest.json").unlink()
        shutil.rmtree(self.folder)

    def write_qrels(self, path: Path) -> None:
        """TREC qrels with a document's best grade; UserError where an id is empty or has blanks."""
        # On disk, since the pairs of a large file do not fit in memory.
        store = self.folder / "qrels.sqlite"
        store.unlink(missing_ok=True)
        with sqlite3.connect(store) as table:
            table.execute("create table q (q text, d text, g int, primary key (q, d))")
            for part in sorted(self.folder.glob("ids-*.parquet")):
                rows = pq.read_table(part).to_pylist()
                if any(len(row[column].split()) != 1 for row in rows for column in _IDS):
                    raise UserError(
                        f"qrels={path}: an id is empty or has blanks in it, which qrels cannot "
                        "hold; leave qrels out or change the ids"
                    )
                table.executemany(
                    "insert into q values (:query_id, :document_id, :grade) "
                    "on conflict do update set g = max(g, excluded.g)",
                    [row for row in rows if row["grade"] is not None],
                )
            with replacing(path) as partial, partial.open("w", encoding="utf-8") as stream:
                for query, document, grade in table.execute("select q, d, g from q order by rowid"):
                    stream.write(f"{query} 0 {document} {grade}\n")
        table.close()

    def _write_csv(self, path: Path, graded: GradedShard) -> None:
        with _text_writer(path, self.kind.endswith(".gz")) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            for number, row in enumerate(_rows(graded)):
                unknown = [name for name in row if name not in self.columns]
                if unknown:
                    raise UserError(
                        f"row {graded.shard.row_numbers[number]} has the key {unknown[0]}, which "
                        f"the first row lacks; write .jsonl instead of {self.path.name}"
                    )
                cells = (row.get(name) for name in self.columns)
                writer.writerow(
                    [json.dumps(cell) if isinstance(cell, (list, dict)) else cell for cell in cells]
                )

    def _facts(self, number: int) -> Path:
        return self.folder / f"facts-{number:08d}.json"


def _grades_table(graded: GradedShard) -> pa.Table:
    types = (pa.int64(), pa.float64(), pa.float64(), pa.list_(pa.float64()))
    schema = pa.schema(zip(GRADE_COLUMNS, types, strict=True))
    # A column without any list has another type.
    grades = graded.grades.astype({"probabilities": object})
    return pa.Table.from_pandas(grades, schema, preserve_index=False)


def _table(graded: GradedShard) -> pa.Table:
    rows = graded.shard.rows
    try:
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    except pa.ArrowException as error:
        raise UserError(
            f"rows from {graded.shard.row_numbers[0]} on hold values of several types, which "
            f"Parquet cannot; write {' or '.join(s for s in SUFFIXES if 'jsonl' in s)} instead"
        ) from error
    for name, column in zip(GRADE_COLUMNS, _grades_table(graded).columns, strict=True):
        table = table.append_column(name, column)
    return table


def _rows(graded: GradedShard) -> list[dict[str, Any]]:
    rows = graded.shard.rows
    originals = rows.to_pylist() if isinstance(rows, pa.Table) else rows
    return [
        {**{key: _plain(value) for key, value in row.items()}, **grades}
        for row, grades in zip(originals, _grades_table(graded).to_pylist(), strict=True)
    ]


def _plain(value: Any) -> Any:
    """None for NaN, which differs from itself; everything else as it is."""
    return None if value != value else value


def _join_parquet(parts: list[Path], target: Path) -> None:
    try:
        schema = pa.unify_schemas(
            [pq.read_schema(part) for part in parts], promote_options="permissive"
        )
        with pq.ParquetWriter(target, schema) as writer:
            for part in parts:
                tables = [schema.empty_table(), pq.read_table(part)]
                table = pa.concat_tables(tables, promote_options="permissive")
                writer.write_table(table.cast(schema))
    except pa.ArrowException as error:
        raise UserError(
            "the rows hold values of several types in one column, which Parquet cannot; write "
            ".jsonl instead, the grades are kept"
        ) from error


def _text_writer(path: Path, packed: bool) -> IO[str]:
    """A UTF-8 file for writing, gzip where `packed`; the same content gives the same bytes."""
    stream: Any = path.open("wb")
    if packed:
        stream = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
    return io.TextIOWrapper(stream, encoding="utf-8", newline="")
