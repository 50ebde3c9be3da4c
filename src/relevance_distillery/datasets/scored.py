"""Graded pairs, written shard by shard, resumed after a kill, joined whole at the end."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset

from relevance_distillery.datasets.pairs import SUFFIXES, suffix_of, text_writer
from relevance_distillery.errors import UserError
from relevance_distillery.labeler.inference import SHARD_ROWS
from relevance_distillery.scoring.grading_job import (
    GRADE_COLUMNS,
    GradedShard,
    GradingJob,
)
from relevance_distillery.scoring.progress import ScoringProgress

logger = logging.getLogger(__name__)
_LISTED = 10
_FORMAT = 1


@dataclass(frozen=True)
class ScoredFile:
    """What a scoring left.

    Attributes:
        path: The graded pairs.
        conclusion: Of the job's watch; empty when the file was written by another run.
    """

    path: Path
    conclusion: dict[str, Any]


class ScoredDataset(AbstractDataset[GradingJob, ScoredFile]):
    """Where `scored=FILE` says: the same rows, in order, with their grades.

    Saving a `GradingJob` does the grading: every shard of 2,048 rows becomes a file in
    `FILE.parts/`, with a manifest of input and grader; a killed run goes on behind the last
    whole part. The joined file appears under its name only when it is complete.

    Example:
        ```yaml
        scored:
          type: relevance_distillery.datasets.scored.ScoredDataset
          filepath: ${runtime_params:scored, null}
          qrels: ${runtime_params:qrels, null}
        ```
    """

    def __init__(
        self,
        *,
        filepath: str | None,
        qrels: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """See the example.

        Args:
            filepath: Output; its ending chooses Parquet, CSV or JSON lines, `.gz` included.
            qrels: TREC qrels to write besides; needs query_id and document_id.
            metadata: For plugins, not read here.
        """
        self._filepath = Path(str(filepath)).expanduser() if filepath is not None else None
        self._qrels = Path(str(qrels)).expanduser() if qrels is not None else None
        self.metadata = metadata
        self._conclusion: dict[str, Any] = {}

    def load(self) -> ScoredFile:
        """Where the graded pairs are, and what the watch concluded in this run."""
        return ScoredFile(self._path(), self._conclusion)

    def save(self, data: GradingJob) -> None:
        """Grade and write.

        Raises:
            UserError: Bad names or columns, or not one pair could be graded.
        """
        path = self._path()
        if self._qrels is not None:
            needed = [c for c in ("query_id", "document_id") if c not in data.source.columns]
            if needed:
                raise UserError(
                    f"qrels={self._qrels}: {data.source.name} lacks {', '.join(needed)}, which "
                    "qrels name"
                )
        parts = Parts(path, data)
        started, fresh = time.perf_counter(), 0
        with ScoringProgress(
            data.source.rows, min(parts.done * SHARD_ROWS, data.source.rows)
        ) as bar:
            for graded in data.graded(parts.done):
                parts.write(graded, data.watch.observe(graded))
                fresh += len(graded.grades)
                bar.advance(len(graded.grades))
        seconds = max(time.perf_counter() - started, 1e-9)
        facts = parts.facts()
        ungraded = sum(len(f["failures"]) for f in facts)
        total = sum(f["rows"] for f in facts)
        if total and ungraded == total:
            first = next(reason for f in facts for reason in f["failures"].values())
            raise UserError(
                f"{data.source.name}: none of {total} pairs could be graded, the first because: "
                f"{first}"
            )
        if self._qrels is not None:
            parts.write_qrels(self._qrels)
        self._conclusion = data.watch.conclude([f.get("watch", {}) for f in facts])
        parts.join()
        if ungraded:
            listed = [f"row {row}: {why}" for f in facts for row, why in f["failures"].items()]
            logger.warning(
                "%d of %d pairs got no grade: %s%s",
                ungraded,
                total,
                "; ".join(listed[:_LISTED]),
                "; …" if ungraded > _LISTED else "",
            )
        if "line" in self._conclusion:
            logger.info("%s", self._conclusion["line"])
        before = f" ({total - fresh} more from before the interruption)" if fresh < total else ""
        logger.info(
            "scored %d pairs%s in %.1f s, %.1f pairs/s → %s",
            fresh,
            before,
            seconds,
            fresh / seconds,
            path,
        )

    def _path(self) -> Path:
        if self._filepath is None:
            raise UserError('say where to write: --params="pairs=FILE,scored=FILE"')
        suffix_of(self._filepath)
        return self._filepath

    def _exists(self) -> bool:
        return self._filepath is not None and self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "qrels": self._qrels}


class Parts:
    """The folder of parts beside the output.

    Attributes:
        done: Whole parts that are there already.
    """

    def __init__(self, path: Path, job: GradingJob) -> None:
        """Keep the parts of an earlier run of the same input and grader, drop others."""
        self.path, self.kind = path, suffix_of(path)
        self.folder = path.with_name(path.name + ".parts")
        manifest = {
            "format": _FORMAT,
            "pairs": job.source.digest,
            "grader": job.grader.digest,
            "shard_rows": SHARD_ROWS,
        }
        self.columns = [*job.source.columns, *GRADE_COLUMNS]
        if self._manifest() != manifest:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            _write(self.folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        self.done = 0
        while self._part(self.done).is_file():
            self.done += 1
        if self.done:
            logger.info("going on behind %d parts of an interrupted run", self.done)

    def write(self, graded: GradedShard, observed: dict[str, Any]) -> None:
        """Write one shard and what was observed of it; the part appears last and whole."""
        number = graded.shard.number
        facts = {
            "rows": len(graded.grades),
            "failures": {str(row): why for row, why in graded.failures.items()},
            "watch": observed,
        }
        _write(self._facts(number), json.dumps(facts))
        part = self._part(number)
        partial = part.with_name(part.name + ".tmp")
        if self.kind == ".parquet":
            pq.write_table(_table(graded), partial)
        elif self.kind.startswith(".csv"):
            self._write_csv(partial, graded)
        else:
            with text_writer(partial, self.kind.endswith(".gz")) as stream:
                for row in _rows(graded):
                    stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        texts = graded.shard.texts
        if {"query_id", "document_id"} <= set(texts.columns):
            ids = texts[["query_id", "document_id"]].assign(grade=graded.grades["grade"])
            ids.to_parquet(self.folder / f"ids-{number:08d}.parquet")
        os.replace(partial, part)

    def facts(self) -> list[dict[str, Any]]:
        """Rows, failures and observations of every part."""
        numbers = range(len(list(self.folder.glob("facts-*.json"))))
        return [json.loads(self._facts(n).read_text(encoding="utf-8")) for n in numbers]

    def join(self) -> None:
        """Join the parts in order, put the result in place, remove the parts."""
        parts = sorted(self.folder.glob(f"part-*{self.kind}"))
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        try:
            if self.kind == ".parquet":
                _join_parquet(parts, partial)
            else:
                with partial.open("wb") as stream:
                    if self.kind.startswith(".csv"):
                        head = self.folder / f"head{self.kind}"
                        with text_writer(head, self.kind.endswith(".gz")) as text:
                            csv.writer(text, lineterminator="\n").writerow(self.columns)
                        parts = [head, *parts]
                    # Members of a gzip file may simply follow one another.
                    for part in parts:
                        with part.open("rb") as source:
                            shutil.copyfileobj(source, stream)
            os.replace(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)
        shutil.rmtree(self.folder)

    def write_qrels(self, path: Path) -> None:
        """TREC qrels; a document that occurs twice for a query gets its best grade."""
        # On disk, since the pairs of a large file do not fit in memory.
        store = self.folder / "qrels.sqlite"
        store.unlink(missing_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(store) as table:
            table.execute("create table q (q text, d text, g int, primary key (q, d))")
            for part in sorted(self.folder.glob("ids-*.parquet")):
                rows = pq.read_table(part).to_pylist()
                for row in rows:
                    if any(len(row[c].split()) != 1 for c in ("query_id", "document_id")):
                        raise UserError(
                            f"qrels={path}: an id is empty or has blanks in it, which qrels cannot "
                            "hold; leave qrels out or change the ids"
                        )
                table.executemany(
                    "insert into q values (?, ?, ?) "
                    "on conflict do update set g = max(g, excluded.g)",
                    [
                        (row["query_id"], row["document_id"], row["grade"])
                        for row in rows
                        if row["grade"] is not None
                    ],
                )
            with partial.open("w", encoding="utf-8") as stream:
                for query, document, grade in table.execute("select q, d, g from q order by rowid"):
                    stream.write(f"{query} 0 {document} {grade}\n")
        table.close()
        os.replace(partial, path)

    def _write_csv(self, path: Path, graded: GradedShard) -> None:
        with text_writer(path, self.kind.endswith(".gz")) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            for number, row in enumerate(_rows(graded)):
                strange = [name for name in row if name not in self.columns]
                if strange:
                    raise UserError(
                        f"row {graded.shard.first_row + number} has the key {strange[0]}, which "
                        f"the first row lacks; write .jsonl instead of {self.path.name}"
                    )
                writer.writerow([_cell(row.get(name)) for name in self.columns])

    def _manifest(self) -> dict[str, Any] | None:
        try:
            content = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:08d}{self.kind}"

    def _facts(self, number: int) -> Path:
        return self.folder / f"facts-{number:08d}.json"


def _grades_table(graded: GradedShard) -> pa.Table:
    grades = graded.grades
    types = (pa.int64(), pa.float64(), pa.float64(), pa.list_(pa.float64()))
    return pa.table(
        {
            name: pa.array([_plain(v) for v in grades[name]], kind)
            for name, kind in zip(GRADE_COLUMNS, types, strict=True)
        }
    )


def _table(graded: GradedShard) -> pa.Table:
    rows = graded.shard.rows
    try:
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    except pa.ArrowException as error:
        raise UserError(
            f"rows from {graded.shard.first_row} on hold values of several types, which Parquet "
            f"cannot; write {' or '.join(s for s in SUFFIXES if 'jsonl' in s)} instead"
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
    """None for every kind of missing value; lists and the rest as they are."""
    if value is None or isinstance(value, (str, list, dict)):
        return value
    if type(value).__name__ == "NAType" or value != value:
        return None
    return value


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _join_parquet(parts: list[Path], target: Path) -> None:
    try:
        schema = pa.unify_schemas(
            [pq.read_schema(part) for part in parts], promote_options="permissive"
        )
        with pq.ParquetWriter(target, schema) as writer:
            for part in parts:
                table = pq.read_table(part)
                for field in schema:
                    if field.name not in table.column_names:
                        nothing = pa.nulls(table.num_rows, field.type)
                        table = table.append_column(field, nothing)
                writer.write_table(table.select(schema.names).cast(schema))
    except pa.ArrowException as error:
        raise UserError(
            "the rows hold values of several types in one column, which Parquet cannot; write "
            ".jsonl instead, the grades are kept"
        ) from error


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
