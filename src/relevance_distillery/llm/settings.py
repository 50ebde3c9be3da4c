"""Where requests to an LLM go and how: shared by the judge and the synthesizer."""

import json
import os
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from relevance_distillery.errors import UserError
from relevance_distillery.strict import StrictModel

DEFAULT_URL = "https://api.openai.com/v1"  # the SDK's own default
_RESERVED = frozenset(
    {"model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "response_format"}
)


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server.

    `base_url` is its address up to and including `/v1`; it may hold a password, so it is kept out
    of the representation: show `host` instead. `api_key` is None where none was set, which matters
    only once a request is sent.
    """

    base_url: SecretStr
    api_key: SecretStr | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """The server that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name; UserError if it is none.

        Organisation, project and the like are read by the SDK itself.
        """
        url = os.environ.get("OPENAI_BASE_URL", "").strip() or DEFAULT_URL
        key = os.environ.get("OPENAI_API_KEY", "").strip()
        return cls.at(url, key or None)

    @classmethod
    def at(cls, url: str, key: str | None = None) -> Self:
        """A server by address; UserError if that is none."""
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname)
            _ = parts.port
        except ValueError:
            valid = False
        # The address is not repeated: people paste keys into the wrong variable.
        if not valid:
            raise UserError(
                "OPENAI_BASE_URL is not an address: it must read like http://127.0.0.1:8000/v1."
            )
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UserError(
                "OPENAI_API_KEY holds a character that no HTTP header can carry, such as a line "
                "break or a curly quote: copy the key again."
            )
        return cls(SecretStr(url), None if key is None else SecretStr(key))

    @property
    def host(self) -> str:
        """Name and port of the server, for people: no path, no user, no password."""
        parts = urlsplit(self.base_url.get_secret_value())
        name = parts.hostname or ""
        return f"{name}:{parts.port}" if parts.port else name

    def require_key(self) -> str:
        """The key, for the client alone; UserError if none is set."""
        if self.api_key is None:
            raise UserError(
                f"No key for {self.host}: set OPENAI_API_KEY; any word for a server that asks "
                "for none."
            )
        return self.api_key.get_secret_value()


class LLMSettings(StrictModel):
    """Model, decoding and the pace of requests to an OpenAI-compatible server."""

    model: str | None = Field(None, min_length=1)
    """The server's name of the model; there is no default."""
    temperature: float | None = Field(0.0, ge=0, le=2)
    """0 repeats best; null leaves it to the server, which reasoning models demand."""
    seed: int | None = Field(None, ge=0, lt=2**32)
    """Servers that know it repeat answers more often."""
    max_output_tokens: int = Field(64, ge=1)
    """A longer answer is cut off, a failure. Reasoning models need thousands."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Requests in flight; raise it until the server slows down."""
    requests_per_minute: float | None = Field(None, gt=0)
    """The account's limit; null sends as fast as answers come."""
    tokens_per_minute: float | None = Field(None, gt=0)
    """The account's limit, input and longest output counted; null for none."""
    timeout_seconds: float = Field(60.0, gt=0)
    """Wait for an answer before it is asked for again."""
    max_tries: int = Field(6, ge=1)
    """How often a run sends a request before it is a failure."""
    structured: Literal["auto", "json_schema", "json_object", "none"] = "auto"
    """How the answer's form is demanded; auto tries a JSON schema first."""
    logprobs: Literal["auto", "off"] = "auto"
    """`auto` asks for token probabilities, which become the label's, and does without where the
    server refuses."""
    batch: bool = False
    """Send through OpenAI's Batch API: half the price, answers within a day, collected by running
    again."""
    resend_lost_batches: bool = False
    """Hand in again what waits in a batch unknown to the server; off, since under another key or
    address it may still run, and be billed."""
    max_cost_usd: float | None = Field(None, ge=0)
    """Stop before more is spent; needs the model's price."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, such as vLLM's `chat_template_kwargs`."""
    redact: str | None = None
    """`package.module:function` applied to every text before it is sent, such as
    `relevance_distillery.llm.redaction:contact_details`."""

    @field_validator("extra_body")
    @classmethod
    def _own_fields_only(cls, fields: dict[str, Any]) -> dict[str, Any]:
        clash = sorted(_RESERVED & set(fields))
        if clash:
            raise ValueError(f"extra_body must not set {', '.join(clash)}: other settings do")
        try:
            json.dumps(fields)
        except TypeError as error:
            raise ValueError("extra_body holds a value that JSON does not have") from error
        return fields
