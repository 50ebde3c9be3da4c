"""The event loop in a background thread that sends requests and tries them again."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from relevance_distillery.llm.answers import NO_ANSWER, Answer, read_answer
from relevance_distillery.llm.clients import ChatConnection
from relevance_distillery.llm.dialect import DialectInUse
from relevance_distillery.llm.endpoint import Endpoint
from relevance_distillery.llm.limits import RateLimits
from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.retries import (
    Patience,
    Refusal,
    RequestError,
    WaitAsAsked,
    trouble_of_error,
    trouble_of_refusal,
)
from relevance_distillery.llm.settings import LLMSettings


@dataclass(slots=True)
class Exchange:
    """One request on its way, and what came of it.

    Attributes:
        request: What is asked.
        reserved: Dollars set aside for it.
        answer: The completion; None where none came.
        trouble: Why none came; None while there may still be one.
        seconds: From the first try to the last.
        wasted_input, wasted_output: Tokens that failed tries were billed for.
    """

    request: ChatRequest
    reserved: float
    answer: Answer | None = None
    trouble: RequestError | None = None
    seconds: float = 0.0
    wasted_input: int = 0
    wasted_output: int = 0


class Engine:
    """Sends what it is given at once; how much that is, is the caller's to say.

    A context manager: leaving it cancels what is in flight and ends the thread.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        dialect: DialectInUse,
        patience: Patience,
    ) -> None:
        """Make the client.

        Raises:
            UserError: No key is set.
        """
        self._connection = ChatConnection(endpoint, settings.timeout_seconds, settings.concurrency)
        self._host, self._settings, self._dialect = endpoint.host, settings, dialect
        self._wait = WaitAsAsked(patience)
        self._limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute)
        self._done: queue.SimpleQueue[Exchange | Exception] = queue.SimpleQueue()
        self._ending = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="llm-requests", daemon=True)

    def __enter__(self) -> Engine:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        # A run that nobody holds any more is closed in whatever thread collects the garbage.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be collected."""
        return self._done.empty()

    def send(self, exchanges: Sequence[Exchange]) -> None:
        """Start requests."""
        if exchanges:
            self._loop.call_soon_threadsafe(self._start, tuple(exchanges))

    def collect(self, timeout: float | None = None) -> list[Exchange]:
        """Wait for at least one finished exchange and take all that have finished.

        Args:
            timeout: Seconds to wait; None for as long as it takes.

        Returns:
            Empty after the time is up.
        """
        finished: list[Exchange] = []
        try:
            found = self._done.get(timeout=timeout)
            while True:
                if isinstance(found, Exception):
                    raise found
                finished.append(found)
                found = self._done.get_nowait()
        except queue.Empty:
            return finished

    def end_tries(self) -> None:
        """Let requests in flight finish the try that they are in and start no other."""
        self._loop.call_soon_threadsafe(self._ending.set)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._close())
        finally:
            self._loop.close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    def _start(self, exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            task = self._loop.create_task(self._carry_out(exchange))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, exchange: Exchange) -> None:
        start = time.monotonic()
        try:
            exchange.answer = await self._with_retries(exchange)
        except RequestError as trouble:
            exchange.trouble = trouble
        except Exception as error:
            self._done.put(error)
            return
        exchange.seconds = time.monotonic() - start
        self._done.put(exchange)

    async def _with_retries(self, exchange: Exchange) -> Answer:
        try:
            return await self._try(exchange)
        except RequestError as error:
            failed = error
        # Set up for the few that need it; the first attempt is the one that failed above.
        async for attempt in AsyncRetrying(
            stop=self._is_over,
            wait=self._wait,
            retry=retry_if_exception(lambda e: isinstance(e, RequestError) and e.again),
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                if attempt.retry_state.attempt_number == 1 or self._ending.is_set():
                    raise failed
                try:
                    return await self._try(exchange)
                except RequestError as error:
                    failed = error
                    raise
        raise AssertionError("tenacity ended without an outcome")

    def _is_over(self, state: RetryCallState) -> bool:
        return state.attempt_number >= self._settings.max_tries or self._ending.is_set()

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return

    async def _try(self, exchange: Exchange) -> Answer:
        request = exchange.request
        while True:
            await self._limits.acquire(request.n_input_tokens + request.max_output_tokens)
            dialect = self._dialect.current
            body = json.dumps(dialect.body(request, self._settings)).encode()
            try:
                async with asyncio.timeout(self._settings.timeout_seconds):
                    response = await self._connection.post(body)
            except (httpx2.HTTPError, OSError, ValueError) as error:
                raise trouble_of_error(error) from None
            except Exception as error:
                # The SDK's transport lets some of aiohttp's errors through.
                if type(error).__module__.partition(".")[0] != "aiohttp":
                    raise
                raise trouble_of_error(error) from None
            if response.is_success:
                return self._read(exchange, response)
            refusal = Refusal.of(response)
            if not self._dialect.adapt(dialect, refusal):
                self._count_waste(exchange, read_answer(refusal.body))
                raise trouble_of_refusal(refusal, self._host, str(self._settings.model))

    def _read(self, exchange: Exchange, response: httpx2.Response) -> Answer:
        answer = read_answer(response.content)
        if answer.status != "bad_response":
            return answer
        self._count_waste(exchange, answer)
        code = _hidden_code(answer)
        if code is not None:
            refusal = Refusal(code, response.headers, dict(answer.body or {}))
            raise trouble_of_refusal(refusal, self._host, str(self._settings.model))
        raise RequestError("bad_response", NO_ANSWER["bad_response"], again=True)

    @staticmethod
    def _count_waste(exchange: Exchange, answer: Answer) -> None:
        exchange.wasted_input += answer.input_tokens or 0
        exchange.wasted_output += answer.output_tokens or 0


def _hidden_code(answer: Answer) -> int | None:
    """The HTTP status in an error that a gateway passed on as a success; None where none is."""
    error = (answer.body or {}).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None
