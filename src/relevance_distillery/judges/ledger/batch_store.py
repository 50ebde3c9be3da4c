"""The ledger as the memory of `llm.batch.BatchRunner`."""

from __future__ import annotations

from collections.abc import Sequence

from relevance_distillery.judges.ledger.batches import BatchJob
from relevance_distillery.judges.ledger.ledger import Ledger

_SUBMITTING = "submitting"
_SUBMITTED = "submitted"


class LedgerBatchStore:
    """Keeps batches of one judge or synthesizer in the ledger.

    A job's id in the ledger is a token of ours, which is there before the server's id is.
    """

    def __init__(self, ledger: Ledger, *, name: str, model: str, prompt_hash: str) -> None:
        """Name who asks.

        Args:
            ledger: Whose lock the run holds.
            name: A judge's name, or a synthesizer's.
            model: Who answers.
            prompt_hash: Of the instructions.
        """
        self._ledger, self._jobs = ledger, ledger.batches
        self._name, self._model, self._prompt_hash = name, model, prompt_hash

    def waiting(self, keys: Sequence[str]) -> dict[str, str]:
        """Tokens of the batches of those among `keys` that wait in one."""
        return self._jobs.pending(keys)

    def batch_id(self, token: str) -> str | None:
        """The server's id of a batch; None when it was never confirmed."""
        for job in self._jobs.open(self._name, self._model):
            if job.job_id == token:
                return job.details.get("batch_id")
        return None

    def reserve(self, token: str, keys: Sequence[str]) -> None:
        """Note, before a batch is made, that these requests go into it."""
        job = BatchJob(token, self._name, self._model, self._prompt_hash, _SUBMITTING)
        self._jobs.add(job, keys)

    def confirm(self, token: str, batch_id: str) -> None:
        """Note the server's id."""
        self._jobs.update(token, _SUBMITTED, {"batch_id": batch_id})

    def done(self, keys: Sequence[str]) -> None:
        """Forget requests whose results were committed."""
        with self._ledger.transaction() as connection:
            connection.executemany(
                "DELETE FROM batch_requests WHERE request_hash = ?", ((key,) for key in keys)
            )

    def release(self, token: str) -> None:
        """Forget a batch with all of its requests."""
        self._jobs.release(token)
