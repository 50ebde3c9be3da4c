"""What a failed request means: its status, whether to try again, and after how long.

The server's words are only used here, to distinguish failures: reasons are our own sentences,
since servers quote the documents they were sent.
"""

import email.utils
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tenacity import (
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random_exponential,
)

LONGEST_HEEDED_SECONDS = 300.0
"""A server that asks for a longer wait ends the request; a later run tries again."""

RETRYABLE = frozenset({"rate_limited", "server_error", "timeout", "connection", "bad_response"})
"""Statuses that a later run tries again."""

_QUOTA = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"}
)
_FILTER = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation")
_TOO_LONG = (
    "context_length", "context length", "context size", "context_size", "context window",
    "maximum sequence length", "prompt is too long", "input is too long", "too many tokens",
    "string_above_max_length",
)  # fmt: skip
_MINOR = {
    408: ("timeout", "gave up waiting"),
    409: ("server_error", "was in conflict with another request"),
    425: ("server_error", "was not ready"),
    429: ("rate_limited", "limits the rate of requests"),
}


@dataclass(eq=False)
class RequestError(Exception):
    """A request that failed.

    Attributes:
        status: The kind of failure in one word.
        reason: One sentence of our own, nothing of the server's words.
        again: Trying again within this run may help.
        wait: Seconds that the server asks to wait; None where it does not say.
        fatal: The message to the user when no request of this run can succeed; else empty.
        unreachable: No connection could be made at all.
    """

    status: str
    reason: str
    again: bool = False
    wait: float | None = None
    fatal: str = ""
    unreachable: bool = False


@dataclass(frozen=True)
class ErrorResponse:
    """A response whose HTTP status is not a success; the body is JSON, or text where it is none."""

    code: int
    headers: Mapping[str, str]
    body: Any

    @property
    def is_json(self) -> bool:
        """Whether an API answered, rather than a proxy or a web page."""
        return isinstance(self.body, dict | list)

    @property
    def error(self) -> Mapping[str, Any]:
        """The object that describes the error; empty where there is none."""
        body = self.body[0] if isinstance(self.body, list) and self.body else self.body
        found = body.get("error", body) if isinstance(body, dict) else {}
        return found if isinstance(found, dict) else {"message": found}

    @property
    def words(self) -> str:
        """The whole text of the body in lower case, to be searched and never shown."""
        return " ".join(_strings(self.body)).lower()

    def names(self, *fields: str) -> bool:
        """Whether the error is about one of these fields of the request."""
        return any(field in self.words for field in fields)

    @classmethod
    def of(cls, response: Any) -> Self:
        """From an HTTP response of the SDK, such as `openai.APIStatusError.response`."""
        try:
            body = json.loads(response.content)
        except ValueError:
            body = response.text
        return cls(response.status_code, response.headers, body)


def classify_http_error(response: ErrorResponse, host: str, model: str) -> RequestError:
    """What an HTTP status other than success means; host and model are named in messages."""
    code, error = response.code, response.error
    kind = {str(error.get("code")).lower(), str(error.get("type")).lower()}
    if code == 402 or (kind & _QUOTA and code in (400, 403, 429)):
        return _fatal(
            f"The account at {host} has no money or quota left: top it up, then run again; "
            "what was answered is kept.",
            status="rate_limited",
        )
    if code == 403 and not response.is_json:
        # A firewall in between objects to what a document says; the next one may pass.
        return RequestError("rejected", "a firewall rejected the request (HTTP 403)")
    if code in (401, 403):
        return _fatal(
            f"{host} refuses the key (HTTP {code}): check OPENAI_API_KEY, and OPENAI_BASE_URL "
            "if the key belongs to another server."
        )
    if "model_not_found" in kind or (
        code == 404 and response.is_json and "model" in response.words
    ):
        return _fatal(f"{host} does not know the model {model!r}: check its name.")
    if code in (404, 405) or 300 <= code < 400:
        return _fatal(
            f"{host} has no chat completions at this address (HTTP {code}): OPENAI_BASE_URL "
            "mostly ends in /v1."
        )
    if code in (400, 413, 422):
        return _classify_bad_request(response, host)
    if code in _MINOR:
        status, did = _MINOR[code]
        return _transient(status, f"the server {did} (HTTP {code})", response)
    if code >= 500:
        return _transient("server_error", f"the server failed (HTTP {code})", response)
    return RequestError("rejected", f"the server rejected the request (HTTP {code})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: `Retry-After-Ms`, seconds, or an HTTP date.

    None where the headers have none of these, or an invalid one.
    """
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name) or "") / divisor
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        moment = email.utils.parsedate_to_datetime(headers.get("retry-after") or "")
        return max(0.0, moment.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait between tries, in seconds.

    Attributes:
        first: The most before the second try; doubles with every further one.
        longest: The most before any try that the server did not ask to put off.
        grace: How long requests in flight may still take when a run has to end.
    """

    first: float = 1.0
    longest: float = 60.0
    grace: float = 5.0

    def wait(self, state: RetryCallState) -> float:
        """Seconds until the next try: what the server asks, or exponential back-off.

        Both have jitter: without it all slots that were refused together come back
        together (Brooker, "Exponential backoff and jitter", 2015).
        """
        half = {"multiplier": self.first / 2, "max": self.longest / 2}
        jitter = wait_random_exponential(**half)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, RequestError) and error.wait is not None:
            return error.wait + min(jitter, 1.0)
        return wait_exponential(**half)(state) + jitter

    def tenacity_options(self, max_tries: int) -> dict[str, Any]:
        """Arguments of tenacity's `Retrying` and `AsyncRetrying`."""
        return {
            "stop": stop_after_attempt(max_tries),
            "wait": self.wait,
            "retry": retry_if_exception(lambda e: isinstance(e, RequestError) and e.again),
            "reraise": True,
        }


def _classify_bad_request(response: ErrorResponse, host: str) -> RequestError:
    words = response.words
    if response.code == 413 or any(sign in words for sign in _TOO_LONG):
        return RequestError("context_length", "the request is longer than the model can read")
    if any(sign in words for sign in _FILTER):
        return RequestError("filtered", "the server's content filter stopped the request")
    for setting in ("temperature", "seed"):
        if response.error.get("param") == setting:
            return _fatal(f"{host} refuses the setting {setting} for this model: set it to null.")
    return RequestError("rejected", f"the server rejected the request (HTTP {response.code})")


def _transient(status: str, reason: str, response: ErrorResponse) -> RequestError:
    wait = retry_after(response.headers)
    if wait is not None and wait > LONGEST_HEEDED_SECONDS:
        return RequestError(status, f"{reason} and asks to wait {wait / 60:.0f} minutes")
    return RequestError(status, reason, again=True, wait=wait)


def _fatal(message: str, status: str = "rejected") -> RequestError:
    return RequestError(status, "the run was ended", fatal=message)


def _strings(value: Any) -> Iterator[str]:
    """Everything readable in a JSON value, but for what repeats the request."""
    if isinstance(value, dict):
        value = [inner for name, inner in value.items() if name != "input"]
    if not isinstance(value, list):
        yield str(value)
        return
    for inner in value:
        yield from _strings(inner)
