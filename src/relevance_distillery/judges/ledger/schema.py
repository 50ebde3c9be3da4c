"""The tables of the ledger, and how an older file becomes a current one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from relevance_distillery.errors import UserError

FORMAT = 2
"""Kept in the file as `user_version`. Format 1 did not know whose answers it held."""

_IDS = (
    "query_id TEXT NOT NULL DEFAULT ''",
    "document_id TEXT NOT NULL DEFAULT ''",
)

_SCHEMA = {
    "verdicts": f"""
    request_hash TEXT PRIMARY KEY,
    judge TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    scale_hash TEXT NOT NULL,
    grade INTEGER NOT NULL,
    probabilities TEXT,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    seconds REAL NOT NULL,
    created_at TEXT NOT NULL,
    {", ".join(_IDS)}""",
    "failures": f"""
    request_hash TEXT PRIMARY KEY,
    judge TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    retryable INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    seconds REAL NOT NULL,
    updated_at TEXT NOT NULL,
    {", ".join(_IDS)}""",
    "completions": """
    request_hash TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    document_id TEXT NOT NULL,
    text TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    created_at TEXT NOT NULL""",
    "batch_jobs": """
    job_id TEXT PRIMARY KEY,
    judge TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    status TEXT NOT NULL,
    details TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL""",
    "batch_requests": """
    request_hash TEXT PRIMARY KEY,
    job_id TEXT NOT NULL""",
}

TABLES = tuple(_SCHEMA)
"""Names of all tables; the first column of each is its key."""


def open_ledger(path: Path) -> sqlite3.Connection:
    """Open a ledger, make it, or bring it to the current format, in one transaction.

    What a transaction committed is on disk (write-ahead log, full synchronisation).

    Args:
        path: The file; its folder must exist.

    Returns:
        A connection in autocommit mode: transactions begin and end where the caller says.

    Raises:
        UserError: The file belongs to a later release or to another program.
        sqlite3.Error: The file is damaged, in use, or cannot be written.
    """
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if _version(connection) != FORMAT:
            _bring_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _bring_up(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another run may have done the work while this one waited for its turn.
        version = _version(connection)
        if version > FORMAT:
            raise UserError(
                f"The ledger {path} has format {version} and this release knows "
                f"{FORMAT}: use the release that wrote it, or move the file away."
            )
        if version < FORMAT:
            _migrate(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    there = {name for (name,) in listed}
    if there - set(TABLES):
        raise UserError(
            f"{path} is a database of another program, not a ledger: move it away and run again."
        )
    for table in ("verdicts", "failures"):
        # Format 1, or a file whose making was interrupted before its format was noted.
        if table in there and "document_id" not in _columns(connection, table):
            for column in _IDS:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    for table, columns in _SCHEMA.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) WITHOUT ROWID")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
