"""Where requests go and with which key, from the OpenAI SDK's own variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from relevance_distillery.errors import UserError

DEFAULT_URL = "https://api.openai.com/v1"
"""The SDK's own default."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server.

    Attributes:
        base_url: Its address up to and including `/v1`; may hold a password, so it is kept
            out of the representation: show `host` instead.
        api_key: The key; None where none was set, which matters only once a request is sent.
    """

    base_url: SecretStr
    api_key: SecretStr | None = None

    @classmethod
    def from_environment(cls) -> Endpoint:
        """The server that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name.

        Organisation, project and the like are read by the SDK itself.

        Raises:
            UserError: The address is not one.
        """
        url = os.environ.get("OPENAI_BASE_URL", "").strip() or DEFAULT_URL
        key = os.environ.get("OPENAI_API_KEY", "").strip()
        return cls.at(url, key or None)

    @classmethod
    def at(cls, url: str, key: str | None = None) -> Endpoint:
        """A server by address.

        Raises:
            UserError: The address is not one.
        """
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
        if key is not None and not _sendable(key):
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
        """The key, for the client alone.

        Raises:
            UserError: None is set.
        """
        if self.api_key is None:
            raise UserError(
                f"No key for {self.host}: set OPENAI_API_KEY; any word for a server that asks "
                "for none."
            )
        return self.api_key.get_secret_value()


def _sendable(key: str) -> bool:
    return key.isascii() and key.isprintable()
