"""Chat requests, the completions that answer them, and their results."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relevance_distillery.llm.retries import RequestError

NO_ANSWER = {
    "truncated": "the answer was cut off by the limit of output tokens",
    "filtered": "the server's content filter stopped the answer",
    "refused": "the model refused to answer",
    "empty": "the answer was empty",
    "bad_response": "the server's answer was not a chat completion",
}
"""Statuses of a completion without a usable text, with their reasons."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a model.

    Attributes:
        key: Identifies the result: the request hash.
        messages: `{"role": ..., "content": ...}` each, in order.
        schema: JSON schema of the answer; None for free text.
        max_output_tokens: Longest answer.
        want_logprobs: Ask for the probabilities of the answer's tokens.
        n_input_tokens: Estimate, for rate limits and the budget.
    """

    key: str
    messages: tuple[Mapping[str, str], ...]
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int = 64
    want_logprobs: bool = False
    n_input_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of an answer with the probabilities that the model gave in its place.

    Attributes:
        token: The token that was written.
        logprob: Its natural logarithm of probability.
        top: Likeliest tokens in its place with their logarithms, the written one among them
            on most servers; empty where the server gives none.
    """

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What became of one request.

    Attributes:
        key: The request's.
        text: The answer; None for a failure. A truncated or filtered answer has no text.
        logprobs: The answer's tokens; None where the server gave none.
        status: `ok`, or the kind of failure in one word.
        reason: A failure's reason in one sentence of our own, never the server's words.
        retryable: A later run may try again.
        asked: False when it was never sent, or not answered yet (batch).
        input_tokens, output_tokens: As billed, over all tries; 0 when not known.
        cost_usd: Price of this request in US dollars, over all tries.
        seconds: Time from the first try to the result, waits between tries included.
    """

    key: str
    text: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    status: str = "ok"
    reason: str = ""
    retryable: bool = False
    asked: bool = True
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a completion holds.

    Attributes:
        status: `ok`, or a key of `NO_ANSWER`.
        text: The answer; None unless the status is `ok`.
        logprobs: Its tokens; None where the server gave none.
        input_tokens, output_tokens: As the server counted; None where it did not.
        body: The JSON object that was read; None where it was none.
    """

    status: str
    text: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    body: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Exchange:
    """One request on its way, and what came of it.

    Attributes:
        request: What is asked.
        reserved: Dollars set aside for it.
        answer: The completion; None where none came.
        error: Why none came; None while there may still be one.
        seconds: From the first try to the last.
        wasted_input, wasted_output: Tokens that failed tries were billed for.
    """

    request: ChatRequest
    reserved: float
    answer: Answer | None = None
    error: RequestError | None = None
    seconds: float = 0.0
    wasted_input: int = 0
    wasted_output: int = 0


def read_answer(content: bytes | str | Mapping[str, Any]) -> Answer:
    """Read the body of a successful response, or the JSON object in it."""
    try:
        body = json.loads(content) if isinstance(content, bytes | str) else content
    except (ValueError, RecursionError):
        return Answer("bad_response")
    if not isinstance(body, Mapping):
        return Answer("bad_response")
    usage = body.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    read = _tokens(usage.get("prompt_tokens"))
    written = _tokens(usage.get("completion_tokens"))
    status, text, logprobs = _choice(body.get("choices"))
    return Answer(status, text, logprobs, read, written, body)


def _choice(choices: Any) -> tuple[str, str | None, tuple[TokenLogprob, ...] | None]:
    if not isinstance(choices, list):
        return "bad_response", None, None
    if not choices:
        return "empty", None, None
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(message, Mapping):
        return ("empty" if choice in (None, {}) else "bad_response"), None, None
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        return "filtered", None, None
    if message.get("refusal"):
        return "refused", None, None
    if finish == "length":
        return "truncated", None, None
    text = _text(message.get("content"))
    if text is None:
        return "bad_response", None, None
    if not text.strip():
        return "empty", None, None
    return "ok", text, _logprobs(choice.get("logprobs"))


def _text(content: Any) -> str | None:
    """The text of a message; some servers send it in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "".join(part for part in parts if isinstance(part, str))


def _logprobs(given: Any) -> tuple[TokenLogprob, ...] | None:
    """Token probabilities; None where they are missing or not in OpenAI's form."""
    tokens = given.get("content") if isinstance(given, Mapping) else None
    if not isinstance(tokens, list) or not tokens:
        return None
    try:
        return tuple(
            TokenLogprob(
                str(token["token"]),
                _logarithm(token["logprob"]),
                tuple(
                    (str(other["token"]), _logarithm(other["logprob"]))
                    for other in token.get("top_logprobs") or ()
                ),
            )
            for token in tokens
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _logarithm(value: Any) -> float:
    """A logarithm of a probability; servers write -9999 or null for none at all."""
    number = -math.inf if value is None else float(value)
    if math.isnan(number):
        raise ValueError("not a number")
    return number


def _tokens(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if whole else None
