"""What of the API a server understands, found out by what it refuses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.retries import Refusal
from relevance_distillery.llm.settings import LLMSettings

logger = logging.getLogger(__name__)

TOP_LOGPROBS = 8
"""Alternatives asked for in each place; some servers refuse more."""

_FORMS = ("json_schema", "json_object", "none")
_LIMITS = ("max_tokens", "max_completion_tokens")
_FORM_WORDS = (
    "response_format",
    "json_schema",
    "json_object",
    "structured output",
    "guided decoding",
    "grammar",
)


@dataclass(frozen=True)
class Dialect:
    """Which fields of a request to use.

    Attributes:
        form: How the answer's form is demanded: `json_schema`, `json_object` or `none`.
        logprobs: Whether token probabilities are asked for.
        limit: The field that limits the answer's length; newer models of OpenAI refuse the
            one that everybody else knows.
    """

    form: str = "json_schema"
    logprobs: bool = True
    limit: str = _LIMITS[0]

    @classmethod
    def of(cls, settings: LLMSettings) -> Dialect:
        """Where to start."""
        form = "json_schema" if settings.structured == "auto" else settings.structured
        return cls(form, settings.logprobs == "auto")

    @property
    def tag(self) -> str:
        """Three digits that stand for it, for places that outlive a run."""
        newer = self.limit != _LIMITS[0]
        return f"{_FORMS.index(self.form)}{int(self.logprobs)}{int(newer)}"

    @classmethod
    def of_tag(cls, tag: str) -> Dialect:
        """The inverse of `tag`."""
        return cls(_FORMS[int(tag[0])], tag[1] == "1", _LIMITS[int(tag[2])])

    def without(self, refusal: Refusal) -> Dialect | None:
        """A dialect that avoids what a server refused.

        Args:
            refusal: What it said to a request in this dialect.

        Returns:
            None where the refusal is about something else.
        """
        if refusal.code not in (400, 404, 415, 422, 501):
            return None
        if self.limit == _LIMITS[0] and refusal.names(_LIMITS[1]):
            return replace(self, limit=_LIMITS[1])
        if self.logprobs and refusal.names("logprobs"):
            return replace(self, logprobs=False)
        if self.form != "none" and refusal.names(*_FORM_WORDS):
            return replace(self, form=_FORMS[_FORMS.index(self.form) + 1])
        return None

    def body(self, request: ChatRequest, settings: LLMSettings) -> dict[str, Any]:
        """The JSON body of a request."""
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": [dict(message) for message in request.messages],
            self.limit: request.max_output_tokens,
            **settings.extra_body,
        }
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.seed is not None:
            body["seed"] = settings.seed
        if self.logprobs and request.want_logprobs:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        if request.schema is not None and self.form != "none":
            body["response_format"] = _response_format(self.form, request.schema)
        return body


class DialectInUse:
    """The dialect of a run, which every refusal of a field narrows for the rest of it.

    Attributes:
        current: What to send in.
    """

    def __init__(self, settings: LLMSettings, host: str) -> None:
        """Start with all that the settings allow."""
        self.current = Dialect.of(settings)
        self._host = host

    def adapt(self, sent: Dialect, refusal: Refusal) -> bool:
        """Take a refusal into account; logged once, since answers may suffer.

        Args:
            sent: The dialect of the request that was refused; others in flight may have
                changed the current one already.
            refusal: What the server said.

        Returns:
            True where the request is to be sent again in the current dialect.
        """
        narrower = sent.without(refusal)
        if narrower is None:
            return False
        if self.current == sent:
            self.narrow(narrower)
        return True

    def narrow(self, narrower: Dialect) -> None:
        """Use a dialect from now on."""
        if self.current != narrower:
            self._log(self.current, narrower)
            self.current = narrower

    def _log(self, old: Dialect, new: Dialect) -> None:
        if old.logprobs != new.logprobs:
            logger.warning("%s gives no token probabilities: going on without", self._host)
        if old.form != new.form:
            logger.warning(
                "%s does not take response_format %s: falling back to %s",
                self._host,
                old.form,
                new.form,
            )


def _response_format(form: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    if form == "json_object":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
    }
