"""Chat requests, which of their fields a server accepts, their answers and results."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from relevance_distillery.llm.retries import RETRYABLE, ErrorResponse, RequestError
from relevance_distillery.llm.settings import LLMSettings

logger = logging.getLogger(__name__)

TOP_LOGPROBS = 8  # alternatives asked for in each place; some servers refuse more
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(
    r"(?:\s*<think(?:ing)?>)?(?:(?!</?think(?:ing)?>).)*</think(?:ing)?>", re.DOTALL
)
_FORMATS = ("json_schema", "json_object", "none")
_LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
_FORMAT_WORDS = (
    "response_format", "json_schema", "json_object", "structured output", "guided decoding",
    "grammar",
)  # fmt: skip

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
    """One question to a model, with its request hash and the JSON schema of the answer, if any.

    `n_input_tokens` is an estimate, for rate limits and the budget.
    """

    key: str
    messages: tuple[Mapping[str, str], ...]
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int = 64
    want_logprobs: bool = False
    n_input_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of an answer, and the natural logarithm of the probability that it had.

    `top` are the likeliest tokens in its place with their logarithms, the written one among them
    on most servers; empty where the server gives none.
    """

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What became of one request.

    Attributes:
        text: The answer; None for a failure. A truncated or filtered answer has no text.
        logprobs: The answer's tokens; None where the server gave none.
        status: `ok`, or the kind of failure in one word.
        reason: A failure's reason in one sentence of our own, never the server's words.
        retryable: A later run may try again.
        asked: False when it was never sent, or not answered yet (batch).
        input_tokens, output_tokens, cost_usd: As billed, over all tries; 0 when not known.
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

    @classmethod
    def of(
        cls, key: str, answer: Answer, error: RequestError | None = None, **used: Any
    ) -> ChatResult:
        """The result of an answer, or of an error; `used` are tokens, cost and seconds."""
        status = answer.status if error is None else error.status
        reason = NO_ANSWER.get(status, "") if error is None else error.reason
        retryable = status in RETRYABLE
        return cls(key, answer.text, answer.logprobs, status, reason, retryable, **used)

    @classmethod
    def not_sent(cls, key: str, status: str, reason: str) -> ChatResult:
        """The result of a request that was not answered in this run; a later run may try."""
        return cls(key, status=status, reason=reason, retryable=True, asked=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a completion holds.

    Attributes:
        status: `ok`, or a key of `NO_ANSWER`; the text is None then.
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
        reserved: Dollars set aside for it.
        error: Why no answer came; None while there may still be one.
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


@dataclass(frozen=True)
class ServerCapabilities:
    """Which optional fields a request uses.

    `response_format` is `json_schema`, `json_object` or `none`; `length_field` is the one that
    limits the answer's length, of which newer models of OpenAI refuse the usual one.
    """

    response_format: str = "json_schema"
    logprobs: bool = True
    length_field: str = _LENGTH_FIELDS[0]

    @classmethod
    def wanted(cls, settings: LLMSettings) -> ServerCapabilities:
        """All that the settings ask for, before a server refused any of it."""
        form = "json_schema" if settings.structured == "auto" else settings.structured
        return cls(form, settings.logprobs != "off")

    @property
    def tag(self) -> str:
        """Three digits, to be stored with a batch and read by `from_tag`."""
        length = _LENGTH_FIELDS.index(self.length_field)
        return f"{_FORMATS.index(self.response_format)}{int(self.logprobs)}{length}"

    @classmethod
    def from_tag(cls, tag: str) -> ServerCapabilities:
        """The inverse of `tag`."""
        return cls(_FORMATS[int(tag[0])], tag[1] == "1", _LENGTH_FIELDS[int(tag[2])])

    def without(self, response: ErrorResponse) -> ServerCapabilities | None:
        """What is left after a server refused a field; None for an error about something else."""
        if response.code not in (400, 404, 415, 422, 501):
            return None
        if self.length_field == _LENGTH_FIELDS[0] and response.names(_LENGTH_FIELDS[1]):
            return replace(self, length_field=_LENGTH_FIELDS[1])
        if self.logprobs and response.names("logprobs"):
            return replace(self, logprobs=False)
        if self.response_format != "none" and response.names(*_FORMAT_WORDS):
            fallback = _FORMATS[_FORMATS.index(self.response_format) + 1]
            return replace(self, response_format=fallback)
        return None

    def body(self, request: ChatRequest, settings: LLMSettings) -> dict[str, Any]:
        """The JSON body of a request."""
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": [dict(message) for message in request.messages],
            self.length_field: request.max_output_tokens,
            **settings.extra_body,
        }
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.seed is not None:
            body["seed"] = settings.seed
        if self.logprobs and request.want_logprobs:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        if request.schema is not None and self.response_format == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif request.schema is not None and self.response_format == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


class CapabilityTracker:
    """The capabilities assumed in a run; what a server refuses is left out for the rest of it."""

    def __init__(self, settings: LLMSettings, host: str) -> None:
        self.current = ServerCapabilities.wanted(settings)
        self._host = host

    def adapt(self, sent: ServerCapabilities, response: ErrorResponse) -> bool:
        """Whether a failed request is to be sent again, with the capabilities that are left.

        It was `sent` with capabilities that others in flight may have reduced already.
        """
        reduced = sent.without(response)
        if reduced is not None and self.current == sent:
            self.reduce(reduced)
        return reduced is not None

    def reduce(self, to: ServerCapabilities) -> None:
        """Use fewer capabilities from now on; logged, since answers may suffer."""
        old, self.current = self.current, to
        if old.logprobs != to.logprobs:
            logger.warning("%s gives no token probabilities: continuing without", self._host)
        if old.response_format != to.response_format:
            forms = (old.response_format, to.response_format)
            logger.warning(
                "%s does not take response_format %s: falling back to %s", self._host, *forms
            )


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
    return replace(
        _choice(body.get("choices")),
        input_tokens=_tokens(usage.get("prompt_tokens")),
        output_tokens=_tokens(usage.get("completion_tokens")),
        body=body,
    )


def without_fence(text: str) -> tuple[str, int]:
    """What a model answers after its thought, and where that starts in `text`.

    One closed thought in front is passed over (some servers swallow the tag that opens it), and
    so are white space and one code fence around the rest.
    """
    thought = _THOUGHT.match(text)
    said = text[thought.end() :] if thought else text
    start, stripped = len(text) - len(said.lstrip()), said.strip()
    fenced = _FENCE.fullmatch(stripped)
    if fenced is None:
        return stripped, start
    inner = fenced.group(1)
    return inner.strip(), start + fenced.start(1) + len(inner) - len(inner.lstrip())


def strict_json(text: str) -> Any:
    """The JSON value in a text; None for a text that is none, or in which a key occurs twice."""

    def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key occurs twice")
        return found

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=no_key_twice, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def _choice(choices: Any) -> Answer:
    if not isinstance(choices, list):
        return Answer("bad_response")
    if not choices:
        return Answer("empty")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(message, Mapping):
        return Answer("empty" if choice in (None, {}) else "bad_response")
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        return Answer("filtered")
    if message.get("refusal"):
        return Answer("refused")
    if finish == "length":
        return Answer("truncated")
    text = _text(message.get("content"))
    if text is None:
        return Answer("bad_response")
    if not text.strip():
        return Answer("empty")
    return Answer("ok", text, _logprobs(choice.get("logprobs")))


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
            TokenLogprob(*_spelt(token), tuple(map(_spelt, token.get("top_logprobs") or ())))
            for token in tokens
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _spelt(token: Mapping[str, Any]) -> tuple[str, float]:
    """A token and its logarithm; servers write -9999 or null for no probability at all."""
    value = token["logprob"]
    number = -math.inf if value is None else float(value)
    if math.isnan(number):
        raise ValueError("not a number")
    return str(token["token"]), number


def _tokens(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if whole else None
