"""Requests through OpenAI's Batch API: submit, end, and collect in a later run.

Half the price for an answer within a day. A run never waits: what it submits comes back as
`pending`, and running again collects what has finished. A batch's requests are stored under a
token of our own after they were uploaded and before the batch is made, and the token is part of
the batch's metadata: after a kill in between the next run finds the batch by it, or knows that
there is none. A server that takes no upload, such as one at a mistyped address, changes nothing
of what is known of former batches.
"""

from __future__ import annotations

import json
import logging
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import IO

from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.ledger import Ledger, utc_now
from relevance_distillery.llm.batch_api import BatchAPI, BatchLines, BatchResponse, BatchState
from relevance_distillery.llm.prices import Budget, Price
from relevance_distillery.llm.requests import (
    Answer,
    ChatRequest,
    ChatResult,
    ServerCapabilities,
    read_answer,
)
from relevance_distillery.llm.retries import (
    ErrorResponse,
    RequestError,
    RetryPolicy,
    classify_http_error,
)
from relevance_distillery.llm.scheduler import Runner
from relevance_distillery.llm.settings import Endpoint, LLMSettings

logger = logging.getLogger(__name__)

MAX_REQUESTS = 50_000  # requests a batch, the API's limit
MAX_BYTES = 190_000_000  # bytes a batch; the API's limit is 200 MB
_PAGE = 1024
_QUEUE_FULL = frozenset({"token_limit_exceeded", "request_limit_exceeded"})


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


class BatchRunner(Runner):
    """Sends requests in batches, the price's batch share applied."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        price: Price | None,
        budget: Budget,
        store: LedgerBatchStore,
        *,
        policy: RetryPolicy | None = None,
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        """Arguments as of `Runner`, with what is known of earlier runs; `max_requests` a batch."""
        super().__init__(endpoint, settings, price, budget, policy=policy)
        self._store, self._max_requests = store, max_requests

    def run(self, requests: Iterable[ChatRequest]) -> Iterator[list[ChatResult]]:
        """Results of finished batches, and `pending` for everything else.

        Requests that no batch holds yet are kept on disk until there are enough for one.

        Raises:
            UserError: No key or model, no Batch API, refused key or account, a server that
                does not give the status of former batches, or a batch that it did not accept.
                Results before that were yielded.
        """
        waiting = iter(requests)
        first = list(islice(waiting, 1))
        if not first:
            return
        if not self._settings.model:
            raise UserError('No model is named: add --params="model=NAME".')
        with ExitStack() as stack:
            api = BatchAPI(
                self._endpoint,
                model=self._settings.model,
                max_tries=self._settings.max_tries,
                policy=self._policy,
            )
            stack.callback(api.close)
            collector = _Collector(
                api, self._store, self._endpoint.host, stack, self._settings.resend_lost_batches
            )
            upload = _RequestFile(stack.enter_context(tempfile.TemporaryFile()))
            page = first + list(islice(waiting, _PAGE - 1))
            while page:
                try:
                    results, fresh = self._collect(page, collector)
                except RequestError as error:
                    # Whether a batch still runs is not known: its requests are not sent again.
                    raise UserError(
                        f"{self._endpoint.host} gives no status of the batches of former runs "
                        f"({error.reason}): nothing of them is lost or sent again; check "
                        "OPENAI_BASE_URL and run again."
                    ) from None
                if results:
                    yield results
                    self._store.done([result.key for result in results if result.asked])
                yield from self._add_to_upload(fresh, upload, api)
                page = list(islice(waiting, _PAGE))
            yield from self._submit(upload, api)

    def _collect(
        self, page: Sequence[ChatRequest], collector: _Collector
    ) -> tuple[list[ChatResult], list[ChatRequest]]:
        """What is known of requests, and those that have to be submitted."""
        results, fresh = [], []
        tokens = self._store.waiting([request.key for request in page])
        for request in page:
            token = tokens.get(request.key)
            state = collector.state(token) if token else None
            if token is None or state is None:
                fresh.append(request)
            elif state.is_running:
                # Money that is committed: nothing else may be bought with it.
                self._budget.reserve(self._most(request))
                results.append(_pending(request.key))
            elif state.status == "failed":
                reason = f"{self._endpoint.host} has too many requests queued for this account"
                results.append(ChatResult.not_sent(request.key, "unanswered", reason))
            else:
                found = collector.lines(token, state).response(request.key)
                result = None if found is None else self._result(request, found)
                if result is None:
                    fresh.append(request)
                else:
                    results.append(result)
        return results, fresh

    def _result(self, request: ChatRequest, response: BatchResponse) -> ChatResult | None:
        """The result in a line of a finished batch; None where it has to be sent differently."""
        body = response.body
        if response.code != 200:
            refused = ErrorResponse(response.code, {}, body)
            reduced = ServerCapabilities.from_tag(response.tag).without(refused)
            if reduced is not None:
                self._capabilities.reduce(reduced)
                return None
            error = classify_http_error(refused, self._endpoint.host, str(self._settings.model))
            return ChatResult.of(request.key, Answer(""), error)
        answer = read_answer(body if isinstance(body, dict) else b"")
        read, written = answer.input_tokens or 0, answer.output_tokens or 0
        cost = self._price.usd(read, written, batch=True)
        self._budget.charge(cost)
        used = {"input_tokens": read, "output_tokens": written, "cost_usd": cost}
        return ChatResult.of(request.key, answer, **used)

    def _add_to_upload(
        self, requests: Iterable[ChatRequest], upload: _RequestFile, api: BatchAPI
    ) -> Iterator[list[ChatResult]]:
        unpaid = []
        for request in requests:
            if not self._budget.reserve(self._most(request)):
                reason = "not sent: the budget (max_cost_usd) is used up"
                unpaid.append(ChatResult.not_sent(request.key, "budget", reason))
                continue
            capabilities = self._capabilities.current
            fields = {
                "custom_id": f"{request.key}~{capabilities.tag}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": capabilities.body(request, self._settings),
            }
            line = json.dumps(fields).encode() + b"\n"
            if upload.is_full(len(line), self._max_requests):
                yield from self._submit(upload, api)
            upload.add(request.key, line)
        if unpaid:
            yield unpaid

    def _submit(self, upload: _RequestFile, api: BatchAPI) -> Iterator[list[ChatResult]]:
        """Make a batch of the collected requests; they are pending then."""
        if not upload.keys:
            return
        token = uuid.uuid4().hex
        try:
            file_id = api.upload(token, upload.file)
            self._store.reserve(token, upload.keys)
            state = api.submit(token, file_id)
        except RequestError as error:
            results = [ChatResult.not_sent(key, "unanswered", error.reason) for key in upload.keys]
        else:
            self._store.confirm(token, state.batch_id)
            logger.info(
                "batch %s with %d requests is submitted to %s: run again to collect the answers",
                state.batch_id,
                len(upload.keys),
                self._endpoint.host,
            )
            results = [_pending(key) for key in upload.keys]
        upload.clear()
        for start in range(0, len(results), _PAGE):
            yield results[start : start + _PAGE]

    def _most(self, request: ChatRequest) -> float:
        return self._price.usd(request.n_input_tokens, request.max_output_tokens, batch=True)


class _Collector:
    """Batches of former runs, each asked after once."""

    def __init__(
        self, api: BatchAPI, store: LedgerBatchStore, host: str, stack: ExitStack, resend_lost: bool
    ) -> None:
        self._api, self._store, self._host, self._stack = api, store, host, stack
        self._resend_lost = resend_lost
        self._states: dict[str, BatchState | None] = {}
        self._lines: dict[str, BatchLines] = {}

    def lines(self, token: str, state: BatchState) -> BatchLines:
        """What a finished batch answered."""
        if token not in self._lines:
            file = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for file_id in state.files:
                self._api.download(file_id, file)
            self._lines[token] = BatchLines(file)
        return self._lines[token]

    def state(self, token: str) -> BatchState | None:
        """None where a batch is lost; `failed` only where the account's queue was full."""
        if token not in self._states:
            self._states[token] = self._ask(token)
        return self._states[token]

    def _ask(self, token: str) -> BatchState | None:
        batch_id = self._store.batch_id(token)
        if batch_id is None:
            found = self._api.find(token)
            if found is None:
                logger.info("a batch was never submitted: its requests are sent again")
                return None
            self._store.confirm(token, found.batch_id)
            batch_id = found.batch_id
        state = self._api.retrieve(batch_id)
        if state is None:
            if not self._resend_lost:
                raise UserError(
                    f"{self._host} does not know batch {batch_id}: run with the key and address "
                    "that submitted it, where it may still run; or set resend_lost_batches=true "
                    "beside batch=true to submit its requests again"
                )
            logger.warning("%s lost batch %s: its requests are sent again", self._host, batch_id)
            return None
        if state.status == "failed":
            self._store.release(token)
            if state.code not in _QUEUE_FULL:
                raise UserError(
                    f"{self._host} did not accept batch {batch_id}: see its errors there; most "
                    "often the model has no batch endpoint or the account no quota. Running again "
                    "submits its requests anew."
                )
        return state


class _RequestFile:
    """Lines for the next batch, on disk, with their keys."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.keys: list[str] = []

    def is_full(self, more: int, max_requests: int) -> bool:
        return bool(self.keys) and (
            len(self.keys) >= max_requests or self.file.tell() + more > MAX_BYTES
        )

    def add(self, key: str, line: bytes) -> None:
        self.file.write(line)
        self.keys.append(key)

    def clear(self) -> None:
        self.keys = []
        self.file.seek(0)
        self.file.truncate()


def _pending(key: str) -> ChatResult:
    reason = "waits in a batch: run again to collect its answer"
    return ChatResult.not_sent(key, "pending", reason)
