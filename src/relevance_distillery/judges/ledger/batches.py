"""Batches that were handed in and not collected yet, so that another run can collect them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relevance_distillery.judges.ledger.ledger import Ledger


@dataclass(frozen=True)
class BatchJob:
    """A batch at a provider.

    Attributes:
        job_id: The provider's id.
        judge: Who asked: a judge's name, or a synthesizer's.
        model: Who answers.
        prompt_hash: Of the instructions.
        status: The provider's word, or `collected`.
        details: Further ids, such as those of files; never text.
        created_at: When it was handed in; the ledger's clock where it is empty.
    """

    job_id: str
    judge: str
    model: str
    prompt_hash: str
    status: str
    details: Mapping[str, Any] = field(default_factory=dict)
    created_at: str = ""


class BatchJobs:
    """The batches of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Keep them in `ledger`."""
        self._ledger = ledger

    def add(self, job: BatchJob, request_hashes: Iterable[str]) -> None:
        """Store a batch and its requests in one transaction.

        A request that an earlier batch held now belongs to this one.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._ledger.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO batch_jobs (job_id, judge, model, prompt_hash, status,"
                " details, created_at, updated_at) VALUES (?,?,?,?,?,?,?,?)",
                (
                    job.job_id,
                    job.judge,
                    job.model,
                    job.prompt_hash,
                    job.status,
                    json.dumps(dict(job.details), sort_keys=True),
                    job.created_at or now,
                    now,
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO batch_requests (request_hash, job_id) VALUES (?,?)",
                ((request, job.job_id) for request in request_hashes),
            )

    def update(self, job_id: str, status: str, details: Mapping[str, Any] | None = None) -> None:
        """Note how a batch stands; `details` replace the former ones where given."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = None if details is None else json.dumps(dict(details), sort_keys=True)
        with self._ledger.transaction() as connection:
            connection.execute(
                "UPDATE batch_jobs SET status = ?, details = coalesce(?, details),"
                " updated_at = ? WHERE job_id = ?",
                (status, text, now, job_id),
            )

    def open(self, judge: str, model: str) -> list[BatchJob]:
        """Batches of a judge and model that still hold requests, oldest first."""
        with self._ledger.transaction() as connection:
            rows = connection.execute(
                "SELECT job_id, judge, model, prompt_hash, status, details, created_at"
                " FROM batch_jobs WHERE judge = ? AND model = ? AND job_id IN"
                " (SELECT job_id FROM batch_requests) ORDER BY created_at, job_id",
                (judge, model),
            ).fetchall()
        return [
            BatchJob(job_id, asker, by, prompt_hash, status, json.loads(details), created_at)
            for job_id, asker, by, prompt_hash, status, details, created_at in rows
        ]

    def pending(self, request_hashes: Sequence[str]) -> dict[str, str]:
        """The batch of every one among `request_hashes` that waits in one."""
        query = "SELECT request_hash, job_id FROM batch_requests WHERE request_hash IN "
        return dict(self._ledger.select(query, request_hashes))

    def release(self, job_id: str) -> None:
        """Let go of a batch's requests: they are answered, or have to be asked again."""
        with self._ledger.transaction() as connection:
            connection.execute("DELETE FROM batch_requests WHERE job_id = ?", (job_id,))
