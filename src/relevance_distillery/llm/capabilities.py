"""Which parts of OpenAI's API a server supports, learned from what it refuses."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.retries import ErrorResponse
from relevance_distillery.llm.settings import LLMSettings

logger = logging.getLogger(__name__)

TOP_LOGPROBS = 8
"""Alternatives asked for in each place; some servers refuse more."""

_FORMATS = ("json_schema", "json_object", "none")
_LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
_FORMAT_WORDS = (
    "response_format",
    "json_schema",
    "json_object",
    "structured output",
    "guided decoding",
    "grammar",
)


@dataclass(frozen=True)
class ServerCapabilities:
    """Which optional fields a request uses.

    Attributes:
        response_format: How the answer's form is demanded: `json_schema`, `json_object` or
            `none`.
        logprobs: Whether token probabilities are asked for.
        length_field: The field that limits the answer's length; newer models of OpenAI refuse
            the one that everybody else knows.
    """

    response_format: str = "json_schema"
    logprobs: bool = True
    length_field: str = _LENGTH_FIELDS[0]

    @classmethod
    def wanted(cls, settings: LLMSettings) -> ServerCapabilities:
        """All that the settings ask for, before a server refused any of it."""
        structured = settings.structured
        return cls(
            "json_schema" if structured == "auto" else structured, settings.logprobs != "off"
        )

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
        """What is left after a server refused a field of a request with these capabilities.

        Returns:
            None where the error is about something else.
        """
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
    """The capabilities assumed in a run; what a server refuses is left out for the rest of it.

    Attributes:
        current: What to send.
    """

    def __init__(self, settings: LLMSettings, host: str) -> None:
        """Start with all that the settings ask for."""
        self.current = ServerCapabilities.wanted(settings)
        self._host = host

    def adapt(self, sent: ServerCapabilities, response: ErrorResponse) -> bool:
        """Whether a failed request is to be sent again, with the capabilities that are left.

        Args:
            sent: What it was sent with; others in flight may have changed `current` already.
            response: The error.
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
            logger.warning(
                "%s does not take response_format %s: falling back to %s",
                self._host,
                old.response_format,
                to.response_format,
            )
