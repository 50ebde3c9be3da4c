"""The label ledger: every answer that a judge gave, kept in one SQLite file.

A label costs money or time, so each answer is committed as soon as it is there and is never
asked for again. The key is the hash of everything that the judge sees and is. Of documents
and queries only ids are stored, with grades and costs; of a language model also the queries
that it wrote, and answers in which no grade was found.
"""

import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from relevance_distillery.errors import UserError
from relevance_distillery.judges.base import Judge, Verdict
from relevance_distillery.judges.ledger import schema
from relevance_distillery.judges.ledger.recovery import looks_damaged, refuse_damaged
from relevance_distillery.judges.ledger.schema import Completion, Entry, Source

# SQLite allows more variables a statement, but old builds stop at 999.
_CHUNK = 500
_ABOUT_DOCUMENTS = ("verdicts", "failures", "completions")
LONGEST_KEPT = 100_000
"""Characters of an answer that are kept; a longer one is not: a part may read as something else."""


class Ledger:
    """Answers and failures by request hash.

    The file is opened on first use and in write-ahead mode with full synchronisation: what
    `record` returned from is on disk, and what it had not finished is not there at all.
    Reading needs no lock; a run that is about to pay for answers holds `lock`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None
        # The operating system's lock (`flock`) ends with its process, however that ends.
        self._lock_file = self.path.with_name(f"{self.path.name}.lock")
        self._lock = FileLock(
            self._lock_file,
            thread_local=False,
            fallback_to_soft=False,
            on_acquired=_write_process_id,
        )
        self._accounted: set[str] = set()

    @contextmanager
    def lock(self) -> Generator[None]:
        """Keep other runs out, and check that the file is sound before it is relied on.

        May be taken again by the same handle, as by a judge that is made of other judges.
        UserError where another run holds it, it cannot be made, or the file is damaged.
        """
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
        first = not self._lock.is_locked
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            holder = ""
            with suppress(OSError, ValueError):
                holder = f" (process {int(self._lock_file.read_text(encoding='ascii'))})"
            raise UserError(
                f"The ledger {self.path} is in use by another run{holder}: "
                "wait until that one has ended, or stop it."
            ) from None
        except OSError as error:
            raise UserError(
                f"The ledger {self.path} cannot be locked ({error.strerror}): "
                "make its folder writable and run again."
            ) from error
        try:
            if first:
                self._check()
            yield
        finally:
            self._lock.release()

    def lookup(self, request_hashes: Sequence[str]) -> dict[str, Entry]:
        """The answers among `request_hashes`; what was never answered is left out."""
        query = f"SELECT {schema.ANSWER_COLUMNS} FROM verdicts WHERE request_hash IN "
        return {row[0]: schema.answer_entry(row) for row in self.select(query, request_hashes)}

    def answered(self, request_hashes: Sequence[str]) -> set[str]:
        """Which of `request_hashes` have an answer."""
        query = "SELECT request_hash FROM verdicts WHERE request_hash IN "
        return {request for (request,) in self.select(query, request_hashes)}

    def failures(self, request_hashes: Sequence[str]) -> dict[str, Entry]:
        """The failures among `request_hashes` that were not answered since."""
        query = f"SELECT {schema.FAILURE_COLUMNS} FROM failures WHERE request_hash IN "
        return {row[0]: schema.failure_entry(row) for row in self.select(query, request_hashes)}

    def completions(self, request_hashes: Sequence[str]) -> dict[str, Completion]:
        """The texts among `request_hashes` that were written before."""
        query = f"SELECT {schema.COMPLETION_COLUMNS} FROM completions WHERE request_hash IN "
        return {row[0]: Completion(*row) for row in self.select(query, request_hashes)}

    def unread(self, request_hashes: Sequence[str]) -> dict[str, tuple[str, Source]]:
        """Answers to `request_hashes` in which no grade was found, and what they are about."""
        query = (
            "SELECT request_hash, text, query_id, failures.document_id FROM completions"
            " JOIN failures USING (request_hash) WHERE request_hash IN "
        )
        found = self.select(query, request_hashes)
        return {request: (text, Source(*source)) for request, text, *source in found}

    def record(
        self, judge: Judge, verdicts: Sequence[Verdict], sources: Mapping[str, Source] | None = None
    ) -> None:
        """Commit answers and failures in one transaction.

        An answer takes the place of the failure of the same request, and its cost includes
        what the failed attempts had cost; an answer that is already there
        stays as it is, since labels in older tables refer to it. What was never asked
        (`Verdict.asked`) is passed over. `sources` says by request hash whose texts were read.
        """
        now, known = utc_now(), sources or {}
        answers: list[dict] = []
        failures: list[dict] = []
        unread: list[dict] = []
        for verdict in verdicts:
            if verdict.asked:
                source = known.get(verdict.request_hash, Source())
                row = schema.verdict_row(judge, verdict, source, now)
                (failures if verdict.grade is None else answers).append(row)
                if 0 < len(verdict.text) <= LONGEST_KEPT:
                    unread.append(row | {"prompt_hash": judge.prompt_hash, "text": verdict.text})
        if not answers and not failures:
            return
        with self.transaction() as connection:
            connection.executemany(schema.INSERT_ANSWER, answers)
            for table in ("failures", "completions"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE request_hash = :request_hash", answers
                )
            connection.executemany(schema.INSERT_FAILURE, failures)
            connection.executemany(schema.KEEP_UNREAD, unread)

    def record_completions(self, completions: Sequence[Completion]) -> None:
        """Commit texts in one transaction; one that is already there stays as it is."""
        now = utc_now()
        rows = [asdict(one) | {"created_at": one.created_at or now} for one in completions]
        with self.transaction() as connection:
            connection.executemany(schema.INSERT_COMPLETION, rows)

    def spent(self, request_hashes: Iterable[str]) -> float:
        """Dollars paid so far for requests, each named once: answers, failed attempts and texts."""
        wanted, total = iter(request_hashes), 0.0
        while page := list(islice(wanted, _CHUNK)):
            for table in _ABOUT_DOCUMENTS:
                query = f"SELECT cost_usd FROM {table} WHERE cost_usd > 0 AND request_hash IN "
                total += sum(row[0] for row in self.select(query, page))
        return total

    def spent_before(self, request_hashes: Iterable[str]) -> float:
        """Dollars that were paid for requests before this run came to them.

        A request that this handle was asked about once is left out from then on, so that a
        judge that is asked several times in a run counts no dollar twice against its budget.
        """

        def unknown() -> Iterator[str]:
            for request in request_hashes:
                if request not in self._accounted:
                    self._accounted.add(request)
                    yield request

        return self.spent(unknown())

    def mean_output_tokens(self, model: str, kind: str | None = None) -> float | None:
        """Tokens that a model wrote so far for a completion of a kind, or for a grade (None)."""
        query = "SELECT avg(output_tokens) FROM verdicts WHERE model = ? AND input_tokens > 0"
        values = [model]
        if kind is not None:
            query = query.replace("verdicts", "completions") + " AND kind = ?"
            values.append(kind)
        with self.transaction() as connection:
            return connection.execute(query, values).fetchone()[0]

    def forget(self, document_id: str, request_hashes: Sequence[str] = ()) -> int:
        """Delete whatever is about a document, bytes in the file included; how many rows it was.

        Rows with the keys `request_hashes` go too: an answer is stored under the first document
        that was asked about so, and another may read the same.
        """
        keys = [(request,) for request in request_hashes]
        with self._explained():
            self._open().execute("PRAGMA secure_delete = ON")
        with self.transaction() as connection:
            before = connection.total_changes
            for table in _ABOUT_DOCUMENTS:
                connection.execute(f"DELETE FROM {table} WHERE document_id = ?", (document_id,))
                connection.executemany(f"DELETE FROM {table} WHERE request_hash = ?", keys)
            deleted = connection.total_changes - before
            connection.executemany("DELETE FROM batch_requests WHERE request_hash = ?", keys)
        with self._explained():
            # The write-ahead log still holds the pages as they were.
            self._open().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted

    def about(self, document_id: str, request_hashes: Sequence[str] = ()) -> int:
        """How many rows `forget` would delete."""
        found = 0
        for table in _ABOUT_DOCUMENTS:
            rows = f"SELECT request_hash FROM {table} WHERE "
            named = self.select(f"{rows} document_id IN ", [document_id])
            found += len({*named, *self.select(f"{rows} request_hash IN ", request_hashes)})
        return found

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def select(self, query: str, hashes: Sequence[str]) -> Iterator[tuple]:
        """Rows of a query that ends in `IN `, a few hundred hashes at a time."""
        wanted = list(dict.fromkeys(hashes))
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            marks = f"({','.join('?' * len(chunk))})"
            with self._explained(), closing(self._open().execute(query + marks, chunk)) as found:
                page = found.fetchall()
            yield from page

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Everything that is done with the connection, or nothing of it.

        UserError says what SQLite or the file system objected to, and what to do.
        """
        with self._explained(), schema.transaction(connection := self._open()):
            yield connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = schema.open_ledger(self.path)
        return self._connection

    def _check(self) -> None:
        with self._explained():
            found = self._open().execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            self.close()
            raise refuse_damaged(self.path, "its integrity check failed")

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Turn what SQLite and the file system say into a line that helps."""
        try:
            yield
        except sqlite3.Error as error:
            if looks_damaged(error):
                self.close()
                raise refuse_damaged(self.path, str(error)) from error
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
    return "could not do this; what it holds is as it was"


def _write_process_id(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode("ascii"))


def utc_now() -> str:
    """Now, ISO 8601 in UTC with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
