"""The label ledger: every answer that a judge gave, kept in one SQLite file.

A label costs money or time, so each answer is committed as soon as it is there and is never
asked for again. The key is the hash of everything that the judge sees and is. No text of
queries or documents is stored, only hashes, grades and costs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from relevance_distillery.errors import UserError
from relevance_distillery.judges.base import Judge, Verdict

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
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
    created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (
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
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
"""
# SQLite allows more variables a statement, but old builds stop at 999.
_CHUNK = 500


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


class Ledger:
    """Answers and failures by request hash.

    The file is opened on first use and in write-ahead mode with full synchronisation: what
    `record` returned from is on disk, and what it had not finished is not there at all.

    Attributes:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; its folder is made on first use."""
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None

    def lookup(self, request_hashes: Sequence[str]) -> dict[str, Entry]:
        """The answers among `request_hashes`; what was never answered is left out."""
        query = (
            "SELECT request_hash, grade, probabilities, input_tokens, output_tokens, cost_usd,"
            " seconds, created_at FROM verdicts WHERE request_hash IN "
        )
        entries = {}
        for row in self._select(query, request_hashes):
            probabilities = None if row[2] is None else tuple(json.loads(row[2]))
            verdict = Verdict(
                request_hash=row[0],
                grade=row[1],
                probabilities=probabilities,
                input_tokens=row[3],
                output_tokens=row[4],
                cost_usd=row[5],
                seconds=row[6],
            )
            entries[row[0]] = Entry(verdict, created_at=row[7])
        return entries

    def failures(self, request_hashes: Sequence[str]) -> dict[str, Entry]:
        """The failures among `request_hashes` that were not answered since."""
        query = (
            "SELECT request_hash, status, reason, retryable, input_tokens, output_tokens,"
            " cost_usd, seconds, updated_at, attempts FROM failures WHERE request_hash IN "
        )
        entries = {}
        for row in self._select(query, request_hashes):
            verdict = Verdict(
                request_hash=row[0],
                status=row[1],
                reason=row[2],
                retryable=bool(row[3]),
                input_tokens=row[4],
                output_tokens=row[5],
                cost_usd=row[6],
                seconds=row[7],
            )
            entries[row[0]] = Entry(verdict, created_at=row[8], attempts=row[9])
        return entries

    def record(self, judge: Judge, verdicts: Sequence[Verdict]) -> None:
        """Commit answers and failures in one transaction.

        An answer removes the failure of the same request; an answer that is already there
        stays as it is, since labels in older tables refer to it.

        Args:
            judge: Who answered.
            verdicts: Answers and failures with their request hashes.

        Raises:
            UserError: The file cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        answers = [v for v in verdicts if v.grade is not None]
        failures = [v for v in verdicts if v.grade is None]
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO verdicts VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                [_verdict_row(judge, verdict, now) for verdict in answers],
            )
            connection.executemany(
                "DELETE FROM failures WHERE request_hash = ?",
                [(verdict.request_hash,) for verdict in answers],
            )
            connection.executemany(
                "INSERT INTO failures VALUES (?,?,?,?,?,?,1,?,?,?,?,?)"
                " ON CONFLICT (request_hash) DO UPDATE SET status = excluded.status,"
                " reason = excluded.reason, retryable = excluded.retryable,"
                " attempts = attempts + 1,"
                " input_tokens = input_tokens + excluded.input_tokens,"
                " output_tokens = output_tokens + excluded.output_tokens,"
                " cost_usd = cost_usd + excluded.cost_usd,"
                " seconds = seconds + excluded.seconds, updated_at = excluded.updated_at",
                [_failure_row(judge, verdict, now) for verdict in failures],
            )

    def counts(self) -> dict[str, int]:
        """How many answers and how many open failures the ledger holds."""
        with self._transaction() as connection:
            return {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("verdicts", "failures")
            }

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _select(self, query: str, hashes: Sequence[str]) -> Iterator[tuple]:
        wanted = list(dict.fromkeys(hashes))
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            marks = f"({','.join('?' * len(chunk))})"
            with self._explained(), closing(self._open().execute(query + marks, chunk)) as rows:
                yield from rows.fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            connection = self._open()
            with connection:
                yield connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=60)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, _VERSION):
                    raise UserError(
                        f"The ledger {self.path} has format {version} and this release knows "
                        f"{_VERSION}: use the release that wrote it, or move the file away."
                    )
                connection.executescript(_SCHEMA)
                if version == 0:
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into a line that helps."""
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(f"The ledger {self.path} {_remedy(error)} ({error}).") from error
        except OSError as error:
            raise UserError(
                f"The ledger {self.path} cannot be opened ({error.strerror}): "
                "make its folder writable and run again."
            ) from error


def _remedy(error: sqlite3.Error) -> str:
    text = str(error).lower()
    if "full" in text or "disk i/o" in text:
        return "cannot be written: free space on its disk and run again, nothing is lost"
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return "cannot be written: make the file and its folder writable and run again"
    if "locked" in text or "busy" in text:
        return "is in use by another run: wait until that one has ended"
    return "is damaged or not a ledger: move it away, or put a copy of it back, and run again"


def _verdict_row(judge: Judge, verdict: Verdict, now: str) -> tuple:
    probabilities = None
    if verdict.probabilities is not None:
        probabilities = json.dumps([float(p) for p in verdict.probabilities])
    return (
        verdict.request_hash,
        judge.name,
        judge.model,
        judge.prompt_hash,
        judge.scale.digest,
        int(verdict.grade or 0),
        probabilities,
        verdict.input_tokens,
        verdict.output_tokens,
        verdict.cost_usd,
        verdict.seconds,
        now,
    )


def _failure_row(judge: Judge, verdict: Verdict, now: str) -> tuple:
    return (
        verdict.request_hash,
        judge.name,
        judge.model,
        verdict.status,
        verdict.reason,
        int(verdict.retryable),
        verdict.input_tokens,
        verdict.output_tokens,
        verdict.cost_usd,
        verdict.seconds,
        now,
    )
