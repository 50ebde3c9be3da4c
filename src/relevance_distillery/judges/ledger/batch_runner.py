"""Requests through OpenAI's Batch API: submit, end, and collect in a later run.

Half the price for an answer within a day. A run never waits: what it submits comes back as
`pending`, and running again collects what has finished. A batch's requests are stored under a
token of our own after they were uploaded and before the batch is made, and the token is part of
the batch's metadata: after a kill in between the next run finds the batch by it, or knows that
there is none. A server that takes no upload, such as one at a mistyped address, changes nothing
of what is known of former batches.
"""

import json
import logging
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import islice

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
from relevance_distillery.llm.scheduler import NO_BUDGET, PAGE, Runner
from relevance_distillery.llm.settings import Endpoint, LLMSettings

logger = logging.getLogger(__name__)

MAX_REQUESTS = 50_000  # requests a batch, the API's limit
MAX_BYTES = 190_000_000  # bytes a batch; the API's limit is 200 MB
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
    """Sends requests in batches, the price's batch share applied.

    What finished batches answered is yielded, and `pending` for everything else. Besides what
    `Runner.run` says, a run ends with a `UserError` where the server has no Batch API, gives no
    status of former batches, or did not accept one.
    """

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

    def _run(self, requests: Iterator[ChatRequest]) -> Iterator[list[ChatResult]]:
        with ExitStack() as self._files:
            self._api = BatchAPI(
                self._endpoint,
                model=str(self._settings.model),
                max_tries=self._settings.max_tries,
                policy=self._policy,
            )
            self._files.callback(self._api.close)
            # The server is asked once for each batch of former runs.
            self._state, self._lines = cache(self._ask_state), cache(self._download)
            # The next batch: its lines, on disk until there are enough, and its keys.
            self._upload = self._files.enter_context(tempfile.TemporaryFile())
            self._keys: list[str] = []
            while page := list(islice(requests, PAGE)):
                try:
                    results, fresh = self._collect(page)
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
                yield from self._add_to_batch(fresh)
            yield from self._submit()

    def _collect(self, page: Sequence[ChatRequest]) -> tuple[list[ChatResult], list[ChatRequest]]:
        """What is known of requests, and those that have to be submitted."""
        results, fresh = [], []
        tokens = self._store.waiting([request.key for request in page])
        for request in page:
            token = tokens.get(request.key)
            state = self._state(token) if token else None
            if state is None:
                fresh.append(request)
            elif state.is_running:
                # Money that is committed: nothing else may be bought with it.
                self._budget.reserve(self._most(request))
                results.append(_pending(request.key))
            elif state.status == "failed":
                reason = f"{self._endpoint.host} has too many requests queued for this account"
                results.append(ChatResult.not_sent(request.key, "unanswered", reason))
            else:
                found = self._lines(state).response(request.key)
                result = None if found is None else self._result(request, found)
                if result is None:
                    fresh.append(request)
                else:
                    results.append(result)
        return results, fresh

    def _ask_state(self, token: str) -> BatchState | None:
        """None where a batch is lost; `failed` only where the account's queue was full."""
        host, batch_id = self._endpoint.host, self._store.batch_id(token)
        if batch_id is None:
            found = self._api.find(token)
            if found is None:
                logger.info("a batch was never submitted: its requests are sent again")
                return None
            batch_id = found.batch_id
            self._store.confirm(token, batch_id)
        state = self._api.retrieve(batch_id)
        if state is None:
            if not self._settings.resend_lost_batches:
                raise UserError(
                    f"{host} does not know batch {batch_id}: run with the key and address "
                    "that submitted it, where it may still run; or set resend_lost_batches=true "
                    "beside batch=true to submit its requests again"
                )
            logger.warning("%s lost batch %s: its requests are sent again", host, batch_id)
        elif state.status == "failed":
            self._store.release(token)
            if state.code not in _QUEUE_FULL:
                raise UserError(
                    f"{host} did not accept batch {batch_id}: see its errors there; most "
                    "often the model has no batch endpoint or the account no quota. Running again "
                    "submits its requests anew."
                )
        return state

    def _download(self, state: BatchState) -> BatchLines:
        """What a finished batch answered."""
        file = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        for file_id in state.files:
            self._api.download(file_id, file)
        return BatchLines(file)

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

    def _add_to_batch(self, requests: Iterable[ChatRequest]) -> Iterator[list[ChatResult]]:
        """Add requests as far as the money reaches; what is full is submitted."""
        unpaid = []
        for request in requests:
            if not self._budget.reserve(self._most(request)):
                unpaid.append(ChatResult.not_sent(request.key, *NO_BUDGET))
                continue
            capabilities = self._capabilities.current
            fields = {
                "custom_id": f"{request.key}~{capabilities.tag}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": capabilities.body(request, self._settings),
            }
            line = json.dumps(fields).encode() + b"\n"
            too_long = self._upload.tell() + len(line) > MAX_BYTES
            if too_long or len(self._keys) >= self._max_requests:
                yield from self._submit()
            self._upload.write(line)
            self._keys.append(request.key)
        if unpaid:
            yield unpaid

    def _submit(self) -> Iterator[list[ChatResult]]:
        """Make a batch of the collected requests; they are pending then."""
        if not self._keys:
            return
        token, keys = uuid.uuid4().hex, self._keys
        try:
            file_id = self._api.upload(token, self._upload)
            self._store.reserve(token, keys)
            state = self._api.submit(token, file_id)
        except RequestError as error:
            results = [ChatResult.not_sent(key, "unanswered", error.reason) for key in keys]
        else:
            self._store.confirm(token, state.batch_id)
            done = "batch %s with %d requests is submitted to %s: run again to collect the answers"
            logger.info(done, state.batch_id, len(keys), self._endpoint.host)
            results = [_pending(key) for key in keys]
        self._keys = []
        self._upload.seek(0)
        self._upload.truncate()
        for start in range(0, len(results), PAGE):
            yield results[start : start + PAGE]

    def _most(self, request: ChatRequest) -> float:
        return self._price.usd(request.n_input_tokens, request.max_output_tokens, batch=True)


def _pending(key: str) -> ChatResult:
    reason = "waits in a batch: run again to collect its answer"
    return ChatResult.not_sent(key, "pending", reason)
