"""Where requests go, and the key that must not be seen."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from relevance_distillery.errors import UserError
from relevance_distillery.llm.client import async_client
from relevance_distillery.llm.settings import Endpoint, LLMSettings


def test_the_sdks_own_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://user:hidden@llm.example:8443/v1")
    endpoint = Endpoint.from_environment()
    assert endpoint.host == "llm.example:8443"
    assert endpoint.require_key() == "sk-secret"
    for shown in (repr(endpoint), str(endpoint), f"{endpoint.__dict__}"):
        assert "secret" not in shown
        assert "hidden" not in shown


def test_the_default_is_openai_and_a_key_is_needed_only_to_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    endpoint = Endpoint.from_environment()
    assert endpoint.host == "api.openai.com"
    with pytest.raises(UserError, match="set OPENAI_API_KEY"):
        endpoint.require_key()


@pytest.mark.parametrize("url", ["localhost:8000/v1", "sk-proj-abc", "http://", "http://a:b/v1"])
def test_an_address_that_is_none_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(UserError, match="OPENAI_BASE_URL is not an address") as caught:
        Endpoint.from_environment()
    assert "abc" not in str(caught.value)
    assert "a:b" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-\u201cquoted\u201d", "two\nlines"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(UserError, match="no HTTP header can carry") as caught:
        Endpoint.at("http://127.0.0.1/v1", key)
    assert key not in str(caught.value)


def test_documents_go_nowhere_but_to_the_host_that_was_named() -> None:
    client = async_client(Endpoint.at("http://127.0.0.1:1/v1", "k"), 5.0, 3)
    assert client._client.follow_redirects is False


def test_organisation_and_project_are_the_sdks_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    client = async_client(Endpoint.at("http://127.0.0.1:1/v1", "k"), 5.0, 3)
    headers = {**client.default_headers, **client.auth_headers}
    assert headers["OpenAI-Organization"] == "org-1"
    assert headers["OpenAI-Project"] == "proj-1"
    assert headers["Authorization"] == "Bearer k"
    assert headers["Content-Type"] == "application/json"


def test_a_key_survives_a_trip_to_another_process() -> None:
    endpoint = pickle.loads(pickle.dumps(Endpoint.at("http://127.0.0.1/v1", "k")))
    assert endpoint.require_key() == "k"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"extra_body": {"messages": []}}, "must not set messages"),
        ({"extra_body": {"stream": True}}, "must not set stream"),
        ({"extra_body": {"day": object()}}, "JSON does not have"),
        ({"concurency": 3}, "not a known key"),
        ({"concurrency": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LLMSettings.model_validate(given)
