"""What is asked of a model, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a model.

    Attributes:
        key: What the result is told apart by: the request hash.
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
