"""The tables of the ledger, and how verdicts and texts become rows and rows become them."""

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from relevance_distillery.errors import UserError
from relevance_distillery.judges.base import Judge, Verdict

FORMAT = 2  # kept in the file as `user_version`
_IDS = "query_id TEXT NOT NULL DEFAULT '', document_id TEXT NOT NULL DEFAULT ''"
_USAGE = (
    "input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL,"
    " seconds REAL NOT NULL"
)
_SCHEMA = {
    "verdicts": "request_hash TEXT PRIMARY KEY, judge TEXT NOT NULL, model TEXT NOT NULL,"
    " prompt_hash TEXT NOT NULL, scale_hash TEXT NOT NULL, grade INTEGER NOT NULL,"
    f" probabilities TEXT, {_USAGE}, created_at TEXT NOT NULL, {_IDS}",
    "failures": "request_hash TEXT PRIMARY KEY, judge TEXT NOT NULL, model TEXT NOT NULL,"
    " status TEXT NOT NULL, reason TEXT NOT NULL, retryable INTEGER NOT NULL,"
    f" attempts INTEGER NOT NULL, {_USAGE}, updated_at TEXT NOT NULL, {_IDS}",
    "completions": "request_hash TEXT PRIMARY KEY, kind TEXT NOT NULL, model TEXT NOT NULL,"
    " prompt_hash TEXT NOT NULL, document_id TEXT NOT NULL, text TEXT NOT NULL,"
    " input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL,"
    " created_at TEXT NOT NULL",
    "batch_jobs": "job_id TEXT PRIMARY KEY, judge TEXT NOT NULL, model TEXT NOT NULL,"
    " prompt_hash TEXT NOT NULL, status TEXT NOT NULL, details TEXT NOT NULL,"
    " created_at TEXT NOT NULL, updated_at TEXT NOT NULL",
    "batch_requests": "request_hash TEXT PRIMARY KEY, job_id TEXT NOT NULL",
}

TABLES = tuple(_SCHEMA)  # names of all tables; the first column of each is its key


def open_ledger(path: Path) -> sqlite3.Connection:
    """Open a ledger, or make it in one transaction; its folder must exist.

    What a transaction committed is on disk (write-ahead log, full synchronisation). The connection
    is in autocommit mode: transactions begin and end where the caller says. UserError where the
    file has another format or belongs to another program.
    """
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if _version(connection) != FORMAT:
            _create(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN") -> Generator[None]:
    """Everything that is done with a connection, or nothing of it."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, "BEGIN IMMEDIATE"):
        # Another run may have made the tables while this one waited for its turn.
        version = _version(connection)
        if version not in (0, FORMAT):
            raise UserError(
                f"The ledger {path} has format {version} and this release knows "
                f"{FORMAT}: use the release that wrote it, or move the file away."
            )
        if version == 0:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise UserError(
                    f"{path} is a database of another program, not a ledger: move it away and run "
                    "again."
                )
            for table, columns in _SCHEMA.items():
                connection.execute(f"CREATE TABLE {table} ({columns}) WITHOUT ROWID")
            connection.execute(f"PRAGMA user_version = {FORMAT}")


class Source(NamedTuple):
    """The first query and document of a request, so that a document can be found and forgotten."""

    query_id: str = ""
    document_id: str = ""


@dataclass(frozen=True)
class Entry:
    """What the ledger knows about one request.

    Attributes:
        verdict: The answer, or the last failure; tokens, cost and seconds of a failure are
            summed over its attempts.
        created_at: When it was written, ISO 8601 in UTC.
        attempts: How often the request was tried without success; 0 for an answer.
    """

    verdict: Verdict
    created_at: str
    attempts: int = 0


@dataclass(frozen=True)
class Completion:
    """A text that a language model wrote, kept so that it is paid for once.

    Attributes:
        kind: What it was asked for: `queries`, or `grade` where none was found in it.
        document_id: The document that it was written from.
        input_tokens, output_tokens: Read and written; 0 when not known.
        created_at: When it was stored; the ledger's clock where it is empty.
    """

    request_hash: str
    kind: str
    model: str
    prompt_hash: str
    document_id: str
    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    created_at: str = ""


def _names(columns: str) -> list[str]:
    return [column.split()[0] for column in columns.split(",")]


def _insert(table: str, names: Sequence[str], verb: str = "INSERT OR IGNORE") -> str:
    values = ", ".join(f":{name}" for name in names)
    return f"{verb} INTO {table} ({', '.join(names)}) VALUES ({values})"


_USAGE_COLUMNS = _names(_USAGE)
_USED = ", ".join(_USAGE_COLUMNS)
ANSWER_COLUMNS = f"request_hash, grade, probabilities, {_USED}, created_at"
FAILURE_COLUMNS = f"request_hash, status, reason, retryable, {_USED}, updated_at, attempts"
COMPLETION_COLUMNS = ", ".join(field.name for field in fields(Completion))
INSERT_COMPLETION = _insert("completions", _names(COMPLETION_COLUMNS))
KEEP_UNREAD = (  # of a failure, which has what the answer cost
    f"INSERT OR REPLACE INTO completions ({COMPLETION_COLUMNS}) SELECT request_hash, 'grade',"
    " model, :prompt_hash, document_id, :text, 0, 0, 0, updated_at FROM failures"
    " WHERE request_hash = :request_hash"
)
INSERT_ANSWER = _insert("verdicts", _names(_SCHEMA["verdicts"])).replace(
    ":cost_usd",
    # What failed attempts had cost would be lost with the failure that the answer replaces.
    ":cost_usd + coalesce((SELECT cost_usd FROM failures WHERE request_hash = :request_hash), 0)",
)
INSERT_FAILURE = _insert("failures", _names(_SCHEMA["failures"]), "INSERT") + (
    " ON CONFLICT (request_hash) DO UPDATE SET status = excluded.status,"
    " reason = excluded.reason, retryable = excluded.retryable, attempts = attempts + 1,"
    " input_tokens = input_tokens + excluded.input_tokens,"
    " output_tokens = output_tokens + excluded.output_tokens,"
    " cost_usd = cost_usd + excluded.cost_usd, seconds = seconds + excluded.seconds,"
    " updated_at = excluded.updated_at"
)


def answer_entry(row: Sequence[Any]) -> Entry:
    """The entry of a row with `ANSWER_COLUMNS`."""
    request, grade, probabilities, *used, created_at = row
    shares = None if probabilities is None else tuple(json.loads(probabilities))
    return Entry(Verdict(request, grade, shares, "ok", "", False, *used), created_at)


def failure_entry(row: Sequence[Any]) -> Entry:
    """The entry of a row with `FAILURE_COLUMNS`."""
    request, status, reason, retryable, *used, updated_at, attempts = row
    verdict = Verdict(request, None, None, status, reason, bool(retryable), *used)
    return Entry(verdict, updated_at, attempts)


def verdict_row(judge: Judge, verdict: Verdict, source: Source, now: str) -> dict[str, Any]:
    """Values for `INSERT_ANSWER`, or for `INSERT_FAILURE` where the verdict has no grade."""
    row = {
        "request_hash": verdict.request_hash,
        "judge": judge.name,
        "model": judge.model,
        **{name: getattr(verdict, name) for name in _USAGE_COLUMNS},
        **source._asdict(),
    }
    if verdict.grade is None:
        return row | {
            "status": verdict.status,
            "reason": verdict.reason,
            "retryable": int(verdict.retryable),
            "attempts": 1,
            "updated_at": now,
        }
    shares = verdict.probabilities
    return row | {
        "prompt_hash": judge.prompt_hash,
        "scale_hash": judge.scale.digest,
        "grade": int(verdict.grade),
        "probabilities": None if shares is None else json.dumps([float(p) for p in shares]),
        "created_at": now,
    }
