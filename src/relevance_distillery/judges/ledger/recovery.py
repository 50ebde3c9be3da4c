"""What can still be read of a damaged ledger, copied into a new one in the same folder."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.schema import TABLES, open_ledger, transaction

_LONGEST = 2**40  # bytes; zeros take no room on disk, but a nonsensical length may be refused
_TYPES: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int)}


def looks_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is broken."""
    text = str(error).lower()
    return "malformed" in text or "not a database" in text or "corrupt" in text


def refuse_damaged(path: Path, error: str) -> UserError:
    """Save what can be read and say what to do; the damaged file is left as it is."""
    saved: dict[str, int] = {}
    target = path.with_name(f"{path.stem}.recovered{path.suffix}")
    # Whatever goes wrong here, the damage is what the user has to hear of.
    with suppress(sqlite3.Error, OSError, UserError):
        saved = recover(path, target)
    if not sum(saved.values()):
        return UserError(
            f"The ledger {path} is damaged or not a ledger ({error}) and nothing in it can be "
            "read: move it away, or put a copy of it back, and run again."
        )
    return UserError(
        f"The ledger {path} is damaged ({error}): {saved['verdicts']} answers, "
        f"{saved['failures']} failures and {saved['completions']} texts that can still be read "
        f"were copied to {target}; move the damaged file away, rename the copy to "
        f"{path.name} (or put a backup in its place) and run again."
    )


def recover(path: Path, target: Path) -> dict[str, int]:
    """Copy every readable row of a damaged ledger into a new one; rows copied, by table.

    The damaged file is only read, into a working copy: a truncated database has to be
    brought to its old length before SQLite looks at any page of it. Keys are hashes in
    hexadecimal, so each table is read in 257 ranges of keys, every one from both ends: a
    broken page costs the rows in it and below it and no more.

    The new ledger is written whole, or not at all where nothing could be read.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    damaged = target.with_name(f".{path.name}.{os.getpid()}.damaged")
    counts = dict.fromkeys(TABLES, 0)
    try:
        _copy_to_full_length(path, damaged)
        with (
            closing(sqlite3.connect(damaged)) as source,
            closing(open_ledger(partial)) as copy,
            transaction(copy),
        ):
            for table in TABLES:
                # Name, type and whether it may be empty, of every column.
                columns = {
                    name: (*_TYPES[kind], *(() if required or is_key else (type(None),)))
                    for _, name, kind, required, _, is_key in copy.execute(
                        f"PRAGMA table_info({table})"
                    )
                }
                marks = ", ".join("?" * len(columns))
                insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
                for row in _readable(source, table, list(columns)):
                    # A broken page may also give invalid values.
                    cells = zip(row, columns.values(), strict=True)
                    if all(isinstance(value, types) for value, types in cells):
                        counts[table] += copy.execute(insert, row).rowcount
        if sum(counts.values()):
            os.replace(partial, target)
    finally:
        for working in (partial, damaged):
            for leftover in target.parent.glob(f"{working.name}*"):
                leftover.unlink()
    return counts


def _copy_to_full_length(path: Path, copy: Path) -> None:
    """Copy a database and its write-ahead log; pages that are missing become zeros."""
    shutil.copyfile(path, copy)
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
    with copy.open("r+b") as file:
        header = file.read(32)
        # https://www.sqlite.org/fileformat2.html: page size at 16 (1 means 65,536), pages at 28.
        if not header.startswith(b"SQLite format 3\x00") or len(header) < 32:
            return
        size = int.from_bytes(header[16:18], "big")
        length = (65536 if size == 1 else size) * int.from_bytes(header[28:32], "big")
        # A damaged header may claim anything.
        if path.stat().st_size < length <= _LONGEST:
            file.truncate(length)


def _readable(
    source: sqlite3.Connection, table: str, columns: list[str]
) -> Iterator[tuple[Any, ...]]:
    names, key = ", ".join(columns), columns[0]
    edges = ["", *(f"{byte:02x}" for byte in range(256)), "\U0010ffff"]
    for low, high in pairwise(edges):
        for order in ("ASC", "DESC"):
            try:
                yield from source.execute(
                    f"SELECT {names} FROM {table} WHERE {key} >= ? AND {key} < ?"
                    f" ORDER BY {key} {order}",
                    (low, high),
                )
                break
            except sqlite3.DatabaseError:
                continue
