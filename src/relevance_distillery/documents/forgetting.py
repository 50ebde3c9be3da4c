"""Takes a document out of everything that runs have stored.

A document leaves traces under three kinds of keys: its own id, the ids of its passages, and
the ids of queries that were written from them. Rows under any of these go, in every table
and every stored version of it.
"""

import json
import re
import shutil
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relevance_distillery.errors import UserError
from relevance_distillery.io.files import replacing, undamaged, write_text

_KEYS = ("document_id", "passage_id", "query_id")
_SEEDED = {"query_id", "text", "passage_id", "generator"}
"""Columns by which a table of queries is known; its `passage_id` is the query's seed."""


@dataclass(frozen=True)
class Traces:
    """Where a document shows in stored tables.

    Attributes:
        passages: Ids of its passages.
        queries: Ids of the queries that were written from it.
        requests: Ledger keys of the labels of its passages and queries.
        rows: How many rows name it, by file; files without any are left out.
    """

    document_id: str
    passages: set[str] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    requests: set[str] = field(default_factory=set)
    rows: dict[Path, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ForgottenDocuments:
    """The ids of documents that were deleted and must not come back, in a JSON file."""

    path: str | Path

    def ids(self) -> frozenset[str]:
        """Composed and decomposed, none without the file; UserError where it is no list of ids."""
        return frozenset(normalize(form, one) for one in self._listed() for form in ("NFC", "NFD"))

    def _listed(self) -> list[str]:
        try:
            found = json.loads(Path(self.path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError):
            found = None
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise UserError(f"{self.path}: not a JSON list of document ids; correct or remove it")
        return found

    def add(self, document_id: str) -> None:
        """Add an id; the file is written whole or not at all."""
        ids = sorted({*self._listed(), document_id})
        text = json.dumps(ids, indent=2, ensure_ascii=False) + "\n"
        write_text(Path(self.path), text)


@dataclass(frozen=True)
class StoredFiles:
    """The tables in the folders of the layers, and what was derived from their texts.

    Each of `folders` is searched for `NAME.parquet` and `NAME.parquet/VERSION/NAME.parquet`.
    `derived` are files or folders that hold words of all documents at once, such as an index: no
    single document can be taken out of them.
    """

    folders: Sequence[str | Path]
    derived: Sequence[str | Path]

    def tables(self) -> Iterator[Path]:
        """Every version of every table."""
        for folder in map(Path, self.folders):
            yield from sorted(path for path in folder.glob("*.parquet") if path.is_file())
            yield from sorted(folder.glob("*.parquet/*/*.parquet"))

    def traces(self, document_id: str) -> Traces:
        """Find a document; UserError where a table cannot be read."""
        own = re.compile(re.escape(document_id) + r"(#\d+)?")
        found = Traces(document_id)
        schemas = {path: frozenset(_schema(path).names) for path in self.tables()}
        for path, columns in schemas.items():
            if "passage_id" in columns:
                # A passage's id says whose it is also where the passages table is newer.
                ids = _table(path, ["passage_id"])["passage_id"]
                texts = ids.cast(pa.large_string()).unique().to_pylist()
                found.passages.update(text for text in texts if text and own.fullmatch(text))
            if {"passage_id", "document_id"} <= columns:
                table = _table(path, ["passage_id", "document_id"])
                mine = table.filter(_among(table, "document_id", {document_id}))
                found.passages.update(mine["passage_id"].to_pylist())
        found.passages.discard("")
        for path, columns in schemas.items():
            if columns >= _SEEDED:
                table = _table(path, ["query_id", "passage_id"])
                mine = table.filter(_among(table, "passage_id", found.passages))
                found.queries.update(mine["query_id"].to_pylist())
        for path, columns in schemas.items():
            keys = [name for name in (*_KEYS, "request_hash") if name in columns]
            table = _table(path, keys)
            mine = table.filter(_about(table, found))
            if mine.num_rows:
                found.rows[path] = mine.num_rows
            if "request_hash" in columns:
                found.requests.update(mine["request_hash"].to_pylist())
        return found

    def remove(self, traces: Traces) -> list[Path]:
        """Rewrite the tables that name a document, and delete what is derived.

        Every table is written whole or not at all. Those by which passages and queries are
        found come last, so that a run that was killed can be repeated.

        Returns:
            The derived files that were deleted.
        """

        def finds_others(path: Path) -> int:
            columns = set(_schema(path).names)
            return 2 if {"passage_id", "document_id"} <= columns else int(columns >= _SEEDED)

        for path in sorted(traces.rows, key=finds_others):
            table = _table(path)
            with replacing(path) as partial:
                pq.write_table(table.filter(pc.invert(_about(table, traces))), partial)
        gone = [path for path in map(Path, self.derived) if path.exists()]
        for path in gone:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return gone


def _about(table: pa.Table, traces: Traces) -> pa.ChunkedArray | pa.Array:
    """True for the rows that name the document, its passages or its queries."""
    about = pa.array([False] * table.num_rows, pa.bool_())
    values = ({traces.document_id}, traces.passages, traces.queries)
    for column, wanted in zip(_KEYS, values, strict=True):
        if column in table.column_names:
            about = pc.or_(about, _among(table, column, wanted))
    return about


def _among(table: pa.Table, column: str, wanted: Set[str]) -> pa.ChunkedArray:
    texts = table[column].cast(pa.large_string())
    return pc.is_in(texts, value_set=pa.array(sorted(wanted), pa.large_string()))


def _table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    with undamaged(path, lambda: "remove the file and run again"):
        return pq.read_table(path, columns=columns)


def _schema(path: Path) -> pa.Schema:
    with undamaged(path, lambda: "nothing was deleted: remove the file and run again"):
        return pq.read_schema(path)
