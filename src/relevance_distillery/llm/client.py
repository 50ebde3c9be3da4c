"""The OpenAI SDK's client in an event loop of its own thread: sends requests and retries them."""

import asyncio
import json
import logging
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import aiohttp
import httpx2
import openai
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying

from relevance_distillery.llm.requests import (
    NO_ANSWER,
    Answer,
    CapabilityTracker,
    Exchange,
    read_answer,
)
from relevance_distillery.llm.retries import (
    ErrorResponse,
    RequestError,
    RetryPolicy,
    classify_http_error,
)
from relevance_distillery.llm.settings import Endpoint, LLMSettings

_LONGEST_CONNECT_SECONDS = 10.0
# Servers close idle connections after five seconds (uvicorn, llama.cpp); leave them before.
_KEEP_ALIVE_SECONDS = 4.0
_SHORTEST_BUCKET_SECONDS = 0.1
LONGEST_ANSWER_BYTES = 4_000_000
"""A completion with token probabilities takes a few thousand."""


def async_client(
    endpoint: Endpoint, timeout_seconds: float, connections: int
) -> openai.AsyncOpenAI:
    """The SDK's client without its retries, for so many connections; UserError without a key.

    Redirects are not followed: documents go to the host that was named and no other.
    """
    limits = httpx2.Limits(max_connections=connections, keepalive_expiry=_KEEP_ALIVE_SECONDS)
    timeout = client_timeout(timeout_seconds)
    return openai.AsyncOpenAI(
        api_key=endpoint.require_key(),
        base_url=endpoint.base_url.get_secret_value(),
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAioHttpClient(
            timeout=timeout,
            follow_redirects=False,
            limits=limits,
            event_hooks={"response": [_read_bounded]},
        ),
    )


def client_timeout(seconds: float) -> httpx2.Timeout:
    """A limit on every silence of a server; connecting takes ten seconds at most."""
    # What the clients log below warnings, such as whole requests, stays out of the log.
    for name in ("openai", "httpx2", "httpcore2", "httpx", "httpcore", "aiohttp"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.WARNING:
            logger.setLevel(logging.WARNING)
    return httpx2.Timeout(seconds, connect=min(seconds, _LONGEST_CONNECT_SECONDS))


async def _read_bounded(response: httpx2.Response) -> None:
    """Read an answer's body, unpacked, as far as an answer may be long."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > LONGEST_ANSWER_BYTES:
            raise RequestError(
                "bad_response", f"the answer was longer than {LONGEST_ANSWER_BYTES:,} bytes"
            )
    # What the response itself would keep, had it read without a bound.
    response._content = b"".join(parts)


def classify_connection_error(error: Exception) -> RequestError:
    """What went wrong when no HTTP status came back.

    The SDK's transport over aiohttp reports a dropped connection as a timeout and passes some
    errors of aiohttp on, so the causes decide, not the SDK's type.
    """
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    own = next((cause for cause in causes if isinstance(cause, RequestError)), None)
    if own is not None:
        return own
    connecting = (httpx2.ConnectError, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
    unreachable = any(isinstance(cause, connecting) for cause in causes)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        reason = "no connection in time" if unreachable else "no answer in time"
        return RequestError("timeout", reason, again=True, unreachable=unreachable)
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError | OSError):
        reason = "the server could not be reached" if unreachable else "the connection broke"
        return RequestError("connection", reason, again=True, unreachable=unreachable)
    return RequestError("bad_response", "the answer was not understandable HTTP", again=True)


class RateLimits:
    """Holds requests back until the account's limits allow them, first come, first served.

    The limits hold for every minute, the first one included: a leaky bucket (aiolimiter)
    of one request, or of a tenth of a second where more fit into that, instead of one that
    lets a whole minute's worth pass at once.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """None means no limit. Use one object in one event loop."""
        self._requests = _bucket(requests_per_minute)
        self._tokens = _bucket(tokens_per_minute)
        self._turn = asyncio.Lock()

    async def acquire(self, tokens: int) -> None:
        """Wait until a request with so many tokens, of input and longest output, may be sent."""
        if self._requests is None and self._tokens is None:
            return
        async with self._turn:
            if self._requests is not None:
                await self._requests.acquire()
            left = float(tokens)
            while self._tokens is not None and left > 0:
                # One request may be larger than the bucket: it passes in pieces.
                piece = min(left, self._tokens.max_rate)
                await self._tokens.acquire(piece)
                left -= piece


class ChatClient:
    """Sends what it is given at once; how much that is, is the caller's to say.

    A context manager: leaving it cancels what is in flight and ends the thread.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        capabilities: CapabilityTracker,
        policy: RetryPolicy,
    ) -> None:
        """Connect to nothing yet; UserError where no key is set."""
        self._sdk = async_client(endpoint, settings.timeout_seconds, settings.concurrency)
        self._host, self._settings = endpoint.host, settings
        self._capabilities, self._policy = capabilities, policy
        self._limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute)
        self._done: queue.SimpleQueue[Exchange | Exception] = queue.SimpleQueue()
        self._ending = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="llm-requests", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        # A run without references is closed by the garbage collector, in any thread.
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
        """Wait for a finished exchange and take all that have finished; none after `timeout` s."""
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
        await self._sdk.close()

    def _start(self, exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            task = self._loop.create_task(self._carry_out(exchange))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, exchange: Exchange) -> None:
        start = time.monotonic()
        options = self._policy.tenacity_options(self._settings.max_tries)
        try:
            exchange.answer = await AsyncRetrying(**options, sleep=self._sleep)(
                self._attempt, exchange
            )
            exchange.error = None
        except RequestError:
            pass  # It is in `exchange.error`.
        except Exception as error:
            self._done.put(error)
            return
        exchange.seconds = time.monotonic() - start
        self._done.put(exchange)

    async def _attempt(self, exchange: Exchange) -> Answer:
        """One try, unless the run is ending; its error is kept in the exchange."""
        if exchange.error is not None and self._ending.is_set():
            # Not `RequestError.again`, so that tenacity waits no more.
            exchange.error.again = False
            raise exchange.error
        try:
            return await self._try(exchange)
        except RequestError as error:
            exchange.error = error
            raise

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _try(self, exchange: Exchange) -> Answer:
        request, model = exchange.request, str(self._settings.model)
        while True:
            await self._limits.acquire(request.n_input_tokens + request.max_output_tokens)
            sent = self._capabilities.current
            try:
                # The SDK's own limit is one on silence, not on the whole answer.
                async with asyncio.timeout(self._settings.timeout_seconds):
                    response = await self._sdk.post(
                        "/chat/completions",
                        content=json.dumps(sent.body(request, self._settings)).encode(),
                        cast_to=httpx2.Response,
                    )
                return self._read(exchange, response)
            except openai.APIStatusError as error:
                found = ErrorResponse.of(error.response)
                if not self._capabilities.adapt(sent, found):
                    self._count_waste(exchange, read_answer(found.body))
                    raise classify_http_error(found, self._host, model) from None
            except (openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
                raise classify_connection_error(error) from None

    def _read(self, exchange: Exchange, response: httpx2.Response) -> Answer:
        answer = read_answer(response.content)
        if answer.status != "bad_response":
            return answer
        self._count_waste(exchange, answer)
        # Gateways pass on the errors of the server behind them as a success.
        hidden = (answer.body or {}).get("error")
        code = hidden.get("code") if isinstance(hidden, dict) else None
        if isinstance(code, int) and 400 <= code < 600:
            found = ErrorResponse(code, response.headers, dict(answer.body or {}))
            raise classify_http_error(found, self._host, str(self._settings.model))
        raise RequestError("bad_response", NO_ANSWER["bad_response"], again=True)

    @staticmethod
    def _count_waste(exchange: Exchange, answer: Answer) -> None:
        exchange.wasted_input += answer.input_tokens or 0
        exchange.wasted_output += answer.output_tokens or 0


def _bucket(per_minute: float | None) -> AsyncLimiter | None:
    if per_minute is None:
        return None
    seconds = max(_SHORTEST_BUCKET_SECONDS, 60 / per_minute)
    return AsyncLimiter(max(1.0, per_minute * seconds / 60), seconds)
