"""What is sent when: slots, money, and when to stop asking."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from relevance_distillery.errors import UserError
from relevance_distillery.llm.answers import NO_ANSWER
from relevance_distillery.llm.budget import Budget
from relevance_distillery.llm.engine import Engine, Exchange
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.requests import ChatRequest, ChatResult
from relevance_distillery.llm.retries import RETRYABLE, Patience

HOPELESS_START = 20
"""So many first answers that all say the same permanent failure end a run."""

_PAGE = 1024
_BUDGET = "not sent: the budget (max_cost_usd) is used up"
_HOPELESS = {
    "context_length": (
        "The first {count} requests are all longer than {model} can read: shorten passages "
        "(synthesis) or choose a model that reads more."
    ),
    "rejected": (
        "{host} rejected the first {count} requests: check that {model} is a chat model and "
        "that it knows the fields of extra_body."
    ),
}


@dataclass(frozen=True)
class _Stop:
    """Why nothing more is sent: a status for the rest, or a message that ends the run."""

    status: str = ""
    reason: str = ""
    fatal: str = ""


class Conductor:
    """One run of requests through an engine.

    The first request goes out alone, so that a wrong key costs one request. A slot is free
    again once the list that holds its result was taken, so that what is not committed
    never exceeds the slots.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        host: str,
        model: str,
        concurrency: int,
        price: Price | None,
        budget: Budget,
        patience: Patience,
    ) -> None:
        """One for every run."""
        self._engine, self._host, self._model = engine, host, model
        self._concurrency, self._slots = concurrency, 1
        self._price, self._budget, self._patience = price, budget, patience
        self._in_flight = 0
        self._held = 0.0
        self._stop: _Stop | None = None
        self._finished = self._hopeless = self._in_trouble = 0

    def run(self, requests: Iterable[ChatRequest]) -> Iterator[list[ChatResult]]:
        """Results as they come.

        Raises:
            UserError: No request of this run can succeed; what was answered was yielded.
        """
        ahead = _Ahead(requests, self._concurrency)
        try:
            while self._stop is None:
                self._engine.send(self._next(ahead))
                if not self._in_flight:
                    break
                ahead.fill(self._engine)
                results = self._results(self._engine.collect())
                if results:
                    yield results
            yield from self._last_results()
            if self._stop is not None and self._stop.fatal:
                raise UserError(self._stop.fatal)
            if self._stop is not None:
                yield from self._not_sent(ahead, self._stop)
        finally:
            self._budget.settle(self._held, 0.0)
            self._held = 0.0

    def _next(self, ahead: _Ahead) -> list[Exchange]:
        """Requests for the free slots, as far as the money reaches."""
        chosen: list[Exchange] = []
        while self._in_flight < self._slots and (request := ahead.first()) is not None:
            most = self._most(request)
            if not self._budget.reserve(most):
                # What is in flight mostly costs less than was set aside for it: wait for it.
                if not self._in_flight:
                    self._stop = _Stop("budget", _BUDGET)
                break
            self._in_flight += 1
            self._held += most
            chosen.append(Exchange(request, most))
            ahead.take()
        return chosen

    def _most(self, request: ChatRequest) -> float:
        if self._price is None:
            return 0.0
        return self._price.usd(request.n_input_tokens, request.max_output_tokens)

    def _last_results(self) -> Iterator[list[ChatResult]]:
        """What is still in flight when nothing more is sent."""
        if not self._in_flight:
            return
        self._engine.end_tries()
        fatal = self._stop is not None and self._stop.fatal
        deadline = time.monotonic() + self._patience.grace
        while self._in_flight:
            left = max(0.0, deadline - time.monotonic()) if fatal else None
            exchanges = self._engine.collect(left)
            if not exchanges:
                return
            results = self._results(exchanges)
            if results:
                yield results

    def _results(self, exchanges: list[Exchange]) -> list[ChatResult]:
        results = [self._result(exchange) for exchange in exchanges]
        if self._stop is None or not self._stop.fatal:
            return results
        # What ended the run is told once, and is no failure of the requests that met it.
        return [
            result
            for exchange, result in zip(exchanges, results, strict=True)
            if exchange.trouble is None
            or not (exchange.trouble.fatal or exchange.trouble.unreachable)
        ]

    def _result(self, exchange: Exchange) -> ChatResult:
        answer, trouble = exchange.answer, exchange.trouble
        read, written = exchange.wasted_input, exchange.wasted_output
        cost = 0.0
        if answer is not None:
            read += answer.input_tokens or 0
            written += answer.output_tokens or 0
            if answer.input_tokens is None and answer.output_tokens is None:
                # Answered and surely billed, but the server does not say how much.
                cost = exchange.reserved
        if self._price is not None:
            cost += self._price.usd(read, written)
        self._in_flight -= 1
        self._held -= exchange.reserved
        self._budget.settle(exchange.reserved, cost)
        status = answer.status if answer is not None else ""
        reason = NO_ANSWER.get(status, "")
        if trouble is not None:
            status, reason = trouble.status, trouble.reason
        self._judge_progress(status, exchange)
        return ChatResult(
            key=exchange.request.key,
            text=answer.text if answer is not None else None,
            logprobs=answer.logprobs if answer is not None else None,
            status=status,
            reason=reason,
            retryable=status in RETRYABLE,
            input_tokens=read,
            output_tokens=written,
            cost_usd=cost,
            seconds=exchange.seconds,
        )

    def _judge_progress(self, status: str, exchange: Exchange) -> None:
        """Decide whether to go on; the first reason to stop stays."""
        self._finished += 1
        self._slots = self._concurrency
        self._hopeless += status in _HOPELESS
        self._in_trouble = self._in_trouble + 1 if status in RETRYABLE else 0
        if self._stop is not None:
            return
        trouble = exchange.trouble
        if trouble is not None and trouble.fatal:
            self._stop = _Stop(fatal=trouble.fatal)
        elif trouble is not None and trouble.unreachable and self._finished == 1:
            self._stop = _Stop(
                fatal=f"{self._host} cannot be reached ({trouble.reason}): check OPENAI_BASE_URL "
                "and that the server runs."
            )
        elif self._finished == HOPELESS_START == self._hopeless and status in _HOPELESS:
            self._stop = _Stop(
                fatal=_HOPELESS[status].format(
                    count=HOPELESS_START, host=self._host, model=self._model
                )
            )
        elif self._in_trouble >= max(3 * self._concurrency, 10):
            # A status of its own: a cascade asks a dearer judge after `server_error`, not after
            # a question that was never put.
            self._stop = _Stop(
                "unanswered",
                f"not sent: {self._in_trouble} requests in a row had failed at the server",
            )

    @staticmethod
    def _not_sent(ahead: _Ahead, stop: _Stop) -> Iterator[list[ChatResult]]:
        rest = (
            ChatResult(
                request.key, status=stop.status, reason=stop.reason, retryable=True, asked=False
            )
            for request in ahead.rest()
        )
        while page := list(islice(rest, _PAGE)):
            yield page


class _Ahead:
    """Requests that were made while others were in flight, a few only."""

    def __init__(self, requests: Iterable[ChatRequest], most: int) -> None:
        self._requests, self._most = iter(requests), most
        self._made: deque[ChatRequest] = deque()

    def first(self) -> ChatRequest | None:
        """The next request, which stays; None after the last."""
        if not self._made:
            self._made.extend(islice(self._requests, 1))
        return self._made[0] if self._made else None

    def take(self) -> None:
        """Remove the next request."""
        self._made.popleft()

    def fill(self, engine: Engine) -> None:
        """Make requests until a result waits to be collected."""
        while len(self._made) < self._most and engine.idle:
            before = len(self._made)
            self._made.extend(islice(self._requests, 1))
            if len(self._made) == before:
                return

    def rest(self) -> Iterator[ChatRequest]:
        """All that were not taken."""
        while self.first() is not None:
            yield self._made.popleft()
