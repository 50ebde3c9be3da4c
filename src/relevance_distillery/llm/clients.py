"""The OpenAI SDK's clients, set up to be quiet and to talk to one host only."""

from __future__ import annotations

import logging

import httpx2
import openai

from relevance_distillery.llm.endpoint import Endpoint

_LONGEST_CONNECT_SECONDS = 10.0
# Servers close idle connections after five seconds (uvicorn, llama.cpp); leave them before.
_KEEP_ALIVE_SECONDS = 4.0


class ChatConnection:
    """The SDK's asynchronous client, reduced to chat completions.

    The SDK resolves key, organisation and headers and brings its HTTP client, over aiohttp.
    Requests go straight to that: the SDK's own request layer, which copies options and
    merges headers for every call, takes as much CPU time as the rest together (0.75 against
    0.4 ms a request), and its retries and models are not used here.

    Redirects are not followed: documents go to the host that was named and no other.
    """

    def __init__(self, endpoint: Endpoint, timeout_seconds: float, connections: int) -> None:
        """Connect to nothing yet.

        Args:
            endpoint: The server.
            timeout_seconds: Longest silence of the server.
            connections: Requests in flight.

        Raises:
            UserError: No key is set.
        """
        quiet_clients()
        timeout = _timeout(timeout_seconds)
        self.http = openai.DefaultAioHttpClient(
            timeout=timeout,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=connections, keepalive_expiry=_KEEP_ALIVE_SECONDS),
        )
        sdk = openai.AsyncOpenAI(
            api_key=endpoint.require_key(),
            base_url=endpoint.base_url.get_secret_value(),
            max_retries=0,
            timeout=timeout,
            http_client=self.http,
        )
        headers = {**sdk.default_headers, **sdk.auth_headers}
        given = {name: value for name, value in headers.items() if isinstance(value, str)}
        self.http.headers.update(given)
        self._url = httpx2.URL(f"{str(sdk.base_url).rstrip('/')}/chat/completions")

    async def post(self, body: bytes) -> httpx2.Response:
        """Send the JSON of a request; statuses are the caller's to look at."""
        return await self.http.post(self._url, content=body)

    async def close(self) -> None:
        """Close connections."""
        await self.http.aclose()


def sync_client(endpoint: Endpoint, timeout_seconds: float) -> openai.OpenAI:
    """A client for the few and large transfers of the Batch API.

    Raises:
        UserError: No key is set.
    """
    quiet_clients()
    timeout = _timeout(timeout_seconds)
    return openai.OpenAI(
        api_key=endpoint.require_key(),
        base_url=endpoint.base_url.get_secret_value(),
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultHttpxClient(timeout=timeout, follow_redirects=False),
    )


def quiet_clients() -> None:
    """Keep the words of SDK and HTTP clients out of the log, below warnings."""
    for name in ("openai", "httpx2", "httpcore2", "httpx", "httpcore", "aiohttp"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.WARNING:
            logger.setLevel(logging.WARNING)


def _timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(seconds, _LONGEST_CONNECT_SECONDS))
