"""Many chat requests at a time: how many in flight, within which budget, and when to stop."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from relevance_distillery.errors import UserError
from relevance_distillery.llm.prices import FREE, Budget, Price
from relevance_distillery.llm.requests import (
    Answer,
    CapabilityTracker,
    ChatRequest,
    ChatResult,
    Exchange,
)
from relevance_distillery.llm.retries import RETRYABLE, RetryPolicy
from relevance_distillery.llm.settings import Endpoint, LLMSettings

if TYPE_CHECKING:
    from relevance_distillery.llm.client import ChatClient

logger = logging.getLogger(__name__)

_LONG, _CUT_FACTOR = 400, 4
"""Estimates of tokens are rough; fewer than a quarter of a long request is no estimate's error."""

HOPELESS_START = 20  # so many first answers that all say the same permanent failure end a run
PAGE = 1024
NO_BUDGET = ("budget", "not sent: the budget (max_cost_usd) is used up")
_NO_TEXT = (
    "The first {count} answers of {model} hold no text, and each is billed: where it thinks before "
    "it answers, switch that off (extra_body) or raise max_output_tokens; see its documentation."
)
_HOPELESS = {
    "truncated": (
        "The first {count} answers of {model} were all cut off by max_output_tokens, and each is "
        "billed: raise it, or switch off that the model thinks first (extra_body)."
    ),
    "empty": _NO_TEXT,
    "refused": "{model} refused the first {count} requests: read the prompt, or use another model.",
    "filtered": (
        "The content filter of {host} stopped the first {count} requests: ask there what it "
        "objects to, or use another model."
    ),
    "context_length": (
        "The first {count} requests are all longer than {model} can read: shorten passages "
        "(synthesis) or choose a model that reads more."
    ),
    "rejected": (
        "{host} rejected the first {count} requests: check that {model} is a chat model and "
        "that it knows the fields of extra_body."
    ),
}


class Runner(ABC):
    """Asks a model on an OpenAI-compatible server, for as much money as there is."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        price: Price | None,
        budget: Budget,
        *,
        policy: RetryPolicy | None = None,
    ) -> None:
        """Nothing is sent, and no key needed, before `run` has a first request.

        Without a price costs are 0; tests alone set `policy`.
        """
        self._endpoint, self._settings = endpoint, settings
        self._price, self._budget, self._policy = price or FREE, budget, policy or RetryPolicy()
        self._capabilities = CapabilityTracker(settings, endpoint.host)

    def run(self, requests: Iterable[ChatRequest]) -> Iterator[list[ChatResult]]:
        """Results of requests, which are read lazily and have unique keys, each once.

        Raises:
            UserError: No key or no model; key, address, model, account or quota are refused.
                Whatever was answered before is yielded first.
        """
        waiting = iter(requests)
        first = next(waiting, None)
        if first is None:
            return
        if not self._settings.model:
            raise UserError('No model is named: add --params="model=NAME".')
        yield from self._run(chain([first], waiting))

    @abstractmethod
    def _run(self, requests: Iterator[ChatRequest]) -> Iterator[list[ChatResult]]:
        """Results of at least one request."""


class ChatRunner(Runner):
    """Sends requests one by one with a bounded number in flight.

    The first request goes out alone, so that a wrong key costs one request. Requests are made in
    the caller's thread, at most `settings.concurrency` ahead of those in flight. A list of results
    counts as committed when the next one is asked for, and only then do its slots take new
    requests. Closing the iterator cancels what is in flight. A `UserError` also ends a run whose
    first requests all fail alike for good.
    """

    def _run(self, requests: Iterator[ChatRequest]) -> Iterator[list[ChatResult]]:
        # Imported here: SDK and HTTP client take half a second that look-ups need not pay.
        from relevance_distillery.llm.client import ChatClient

        self._slots, self._in_flight, self._held = 1, 0, 0.0
        # Why nothing more is sent: the end of the run, or status and reason of what is left.
        self._fatal = ""
        self._rest: tuple[str, str] | None = None
        self._finished = self._hopeless = self._failing = 0
        self._warned = False
        # Requests that were made while others were in flight, a few only, and all further ones.
        self._ahead: deque[ChatRequest] = deque()
        self._further = requests
        with ChatClient(self._endpoint, self._settings, self._capabilities, self._policy) as client:
            try:
                yield from self._results_of(client)
            finally:
                self._budget.settle(self._held, 0.0)

    def _results_of(self, client: ChatClient) -> Iterator[list[ChatResult]]:
        """Results as they come; a `UserError` that ends the run comes last."""
        while not (self._fatal or self._rest):
            client.send(self._next())
            if not self._in_flight:
                break
            while len(self._ahead) < self._settings.concurrency and client.idle:
                if not self._make_one():
                    break
            if results := self._results(client.collect()):
                yield results
        client.end_tries()
        deadline = time.monotonic() + self._policy.grace
        while self._in_flight:
            left = max(0.0, deadline - time.monotonic()) if self._fatal else None
            exchanges = client.collect(left)
            if not exchanges:
                break
            if results := self._results(exchanges):
                yield results
        if self._fatal:
            raise UserError(self._fatal)
        if self._rest:
            left = chain(self._ahead, self._further)
            rest = (ChatResult.not_sent(request.key, *self._rest) for request in left)
            while page := list(islice(rest, PAGE)):
                yield page

    def _make_one(self) -> bool:
        """Make one more request; false after the last."""
        made = list(islice(self._further, 1))
        self._ahead.extend(made)
        return bool(made)

    def _next(self) -> list[Exchange]:
        """Requests for the free slots, as far as the money reaches."""
        chosen: list[Exchange] = []
        while self._in_flight < self._slots and (self._ahead or self._make_one()):
            request = self._ahead[0]
            most = self._price.usd(request.n_input_tokens, request.max_output_tokens)
            if not self._budget.reserve(most):
                # What is in flight mostly costs less than was set aside for it: wait for it.
                if not self._in_flight:
                    self._rest = NO_BUDGET
                break
            self._in_flight += 1
            self._held += most
            chosen.append(Exchange(request, most))
            self._ahead.popleft()
        return chosen

    def _results(self, exchanges: list[Exchange]) -> list[ChatResult]:
        results = [self._result(exchange) for exchange in exchanges]
        if not self._fatal:
            return results
        # What ended the run is reported once, and is no failure of the requests that met it.
        return [
            result
            for exchange, result in zip(exchanges, results, strict=True)
            if exchange.error is None or not (exchange.error.fatal or exchange.error.unreachable)
        ]

    def _result(self, exchange: Exchange) -> ChatResult:
        answer, error = exchange.answer or Answer(""), exchange.error
        read = exchange.wasted_input + (answer.input_tokens or 0)
        written = exchange.wasted_output + (answer.output_tokens or 0)
        cost = self._price.usd(read, written)
        self._check_length(exchange.request, answer)
        if exchange.answer and answer.input_tokens is None and answer.output_tokens is None:
            # Answered and surely billed, but the server does not say how much.
            cost += exchange.reserved
        self._in_flight -= 1
        self._held -= exchange.reserved
        self._budget.settle(exchange.reserved, cost)
        used = {"input_tokens": read, "output_tokens": written, "cost_usd": cost}
        key, seconds = exchange.request.key, exchange.seconds
        result = ChatResult.of(key, answer, error, **used, seconds=seconds)
        self._check_progress(result.status, exchange)
        return result

    def _check_length(self, request: ChatRequest, answer: Answer) -> None:
        """Warn once where a server read far less than it was sent."""
        read, sent = answer.input_tokens, request.n_input_tokens
        if read is not None and 0 < read * _CUT_FACTOR < sent and sent > _LONG and not self._warned:
            self._warned = True
            logger.warning(
                "%s says that it read %d tokens of a request of about %d: it may cut requests, and "
                "then grades the beginning alone; check its context length",
                self._endpoint.host,
                read,
                sent,
            )

    def _check_progress(self, status: str, exchange: Exchange) -> None:
        """Decide whether to continue; the first reason to stop stays."""
        self._finished += 1
        self._slots = self._settings.concurrency
        self._hopeless += status in _HOPELESS
        self._failing = self._failing + 1 if status in RETRYABLE else 0
        if self._fatal or self._rest:
            return
        error = exchange.error
        if error is not None and error.fatal:
            self._fatal = error.fatal
        elif error is not None and error.unreachable and self._finished == 1:
            self._fatal = (
                f"{self._endpoint.host} cannot be reached ({error.reason}): check "
                "OPENAI_BASE_URL and that the server runs."
            )
        elif self._finished == HOPELESS_START == self._hopeless and status in _HOPELESS:
            self._fatal = _HOPELESS[status].format(
                count=HOPELESS_START, host=self._endpoint.host, model=self._settings.model
            )
        elif self._failing >= max(3 * self._settings.concurrency, 10):
            # A status of its own: a cascade asks its more expensive judge after `server_error`,
            # not after a request that was never sent.
            reason = f"not sent: {self._failing} requests in a row had failed at the server"
            self._rest = ("unanswered", reason)
