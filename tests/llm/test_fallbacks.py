"""Servers that refuse or ignore parts of a request."""

from __future__ import annotations

import logging

import pytest

from llm.asking import SCHEMA, all_results, request, requests, runner, settings
from llm.fault_server import FaultPlan, FaultServer
from relevance_distillery.llm.requests import CapabilityTracker, ServerCapabilities
from relevance_distillery.llm.retries import ErrorResponse


@pytest.mark.parametrize(
    ("refuses", "refusals"),
    [
        (("json_schema",), 1),
        (("json_schema", "json_object"), 2),
        (("logprobs",), 1),
        (("max_tokens",), 1),
        (("json_schema", "json_object", "logprobs", "max_tokens"), 4),
    ],
)
def test_what_a_server_refuses_is_left_out_for_the_rest_of_the_run(
    refuses: tuple[str, ...], refusals: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with FaultServer(FaultPlan(refuses=refuses)) as server:
        asked = runner(server, max_tries=1)
        found = all_results(asked, requests(40))
        records = server.records()
        all_results(asked, [request("another run of the same runner")])
        assert len(server.records()) == len(records) + 1
    assert {result.status for result in found.values()} == {"ok"}
    assert all((result.logprobs is None) == ("logprobs" in refuses) for result in found.values())
    assert [record["fault"] for record in records].count("refused") == refusals
    told = [record.message for record in caplog.records]
    assert len(told) == len(set(told)) == refusals - ("max_tokens" in refuses)


def test_a_server_that_ignores_what_it_does_not_know_works_too() -> None:
    plan = FaultPlan(ignores=("response_format", "logprobs", "usage"))
    with FaultServer(plan) as server:
        found = all_results(runner(server), requests(20))
    for result in found.values():
        assert (result.status, result.logprobs) == ("ok", None)
        assert (result.input_tokens, result.output_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ({}, "response_format", "json_schema"),
        ({"structured": "json_object"}, "response_format", "json_object"),
        ({"structured": "none"}, "response_format", None),
        ({"logprobs": "off"}, "logprobs", None),
        ({"temperature": None}, "temperature", None),
        ({"temperature": 0.3}, "temperature", 0.3),
        ({"seed": 7}, "seed", 7),
        ({"extra_body": {"chat_template_kwargs": {"x": 1}}}, "chat_template_kwargs", {"x": 1}),
        ({}, "max_tokens", 64),
    ],
)
def test_a_request_says_what_the_settings_say(given: dict, field: str, expected: object) -> None:
    chosen = settings(**given)
    body = ServerCapabilities.wanted(chosen).body(request(0), chosen)
    value = body.get(field)
    assert (value["type"] if field == "response_format" and value else value) == expected


def test_the_schema_is_sent_strictly() -> None:
    body = ServerCapabilities().body(request(0), settings())
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Unsupported response_format", "param": None}},
        {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs", "input": {}}]},
        {"object": "error", "message": "guided decoding is not available"},
        "response_format: json_schema is not supported",
    ],
)
def test_refusals_are_understood_in_the_forms_of_several_servers(body: object) -> None:
    reduced = ServerCapabilities().without(ErrorResponse(400, {}, body))
    assert reduced == ServerCapabilities(response_format="json_object")


def test_a_prompt_that_a_server_repeats_is_not_taken_for_its_own_words() -> None:
    echoed = {"detail": [{"loc": ["body", "stop"], "msg": "wrong", "input": "response_format"}]}
    assert ServerCapabilities().without(ErrorResponse(422, {}, echoed)) is None


def test_late_refusals_of_requests_in_flight_change_nothing_more() -> None:
    tracker = CapabilityTracker(settings(), "host")
    refused = ErrorResponse(400, {}, {"error": {"message": "response_format json_schema"}})
    first = tracker.current
    assert tracker.adapt(first, refused)
    assert tracker.adapt(first, refused)
    assert tracker.current.response_format == "json_object"


@pytest.mark.parametrize("form", ["json_schema", "json_object", "none"])
@pytest.mark.parametrize("logprobs", [True, False])
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_tag_stands_for_capabilities(form: str, logprobs: bool, limit: str) -> None:
    capabilities = ServerCapabilities(form, logprobs, limit)
    assert ServerCapabilities.from_tag(capabilities.tag) == capabilities
