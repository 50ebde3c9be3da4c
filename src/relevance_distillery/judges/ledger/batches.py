"""Batches that were submitted and not collected yet, kept in the ledger for the next run."""

from __future__ import annotations

import json
from collections.abc import Sequence

from relevance_distillery.judges.ledger.ledger import Ledger, utc_now


class LedgerBatchStore:
    """What `BatchRunner` knows of earlier runs: batches of one judge or synthesizer.

    A batch is kept under a token of ours, which is there before the server's id is.
    """

    def __init__(self, ledger: Ledger, *, name: str, model: str, prompt_hash: str) -> None:
        """Name the judge or synthesizer that asks; the run holds the lock of `ledger`."""
        self._ledger = ledger
        self._asker = (name, model, prompt_hash)

    def waiting(self, keys: Sequence[str]) -> dict[str, str]:
        """Tokens of the batches of those among `keys` that wait in one."""
        query = "SELECT request_hash, job_id FROM batch_requests WHERE request_hash IN "
        return dict(self._ledger.select(query, keys))

    def batch_id(self, token: str) -> str | None:
        """The server's id of a batch; None when it was never confirmed."""
        found = list(
            self._ledger.select("SELECT details FROM batch_jobs WHERE job_id IN ", [token])
        )
        return json.loads(found[0][0]).get("batch_id") if found else None

    def reserve(self, token: str, keys: Sequence[str]) -> None:
        """Note, before a batch is made, that these requests go into it and no other."""
        now = utc_now()
        with self._ledger.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO batch_jobs (job_id, judge, model, prompt_hash, status,"
                " details, created_at, updated_at) VALUES (?,?,?,?,'submitting','{}',?,?)",
                (token, *self._asker, now, now),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO batch_requests (request_hash, job_id) VALUES (?,?)",
                ((key, token) for key in keys),
            )

    def confirm(self, token: str, batch_id: str) -> None:
        """Note the server's id."""
        with self._ledger.transaction() as connection:
            connection.execute(
                "UPDATE batch_jobs SET status = 'submitted', details = ?, updated_at = ?"
                " WHERE job_id = ?",
                (json.dumps({"batch_id": batch_id}), utc_now(), token),
            )

    def done(self, keys: Sequence[str]) -> None:
        """Forget requests whose results were committed."""
        with self._ledger.transaction() as connection:
            connection.executemany(
                "DELETE FROM batch_requests WHERE request_hash = ?", ((key,) for key in keys)
            )

    def release(self, token: str) -> None:
        """Forget a batch's requests: they are answered, or have to be asked again."""
        with self._ledger.transaction() as connection:
            connection.execute("DELETE FROM batch_requests WHERE job_id = ?", (token,))
