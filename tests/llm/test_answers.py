"""Chat completions in the forms that servers give them."""

from __future__ import annotations

import json
import math

import pytest

from relevance_distillery.llm.requests import read_answer


def completion(choice: object = None, **more: object) -> bytes:
    usual = {"message": {"role": "assistant", "content": "2"}, "finish_reason": "stop"}
    return json.dumps({"choices": [usual if choice is None else choice], **more}).encode()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (completion(), "ok"),
        (b"<html>", "bad_response"),
        (b"", "bad_response"),
        (b"[1]", "bad_response"),
        (b'"text"', "bad_response"),
        (b"\xff\xfe\x00", "bad_response"),
        (b"[" * 100_000, "bad_response"),
        (b'{"error": {"message": "no"}}', "bad_response"),
        (b'{"choices": []}', "empty"),
        (b'{"choices": null}', "bad_response"),
        (completion({}), "empty"),
        (completion("2"), "bad_response"),
        (completion({"message": {"content": None}}), "empty"),
        (completion({"message": {"content": "  \n"}}), "empty"),
        (completion({"message": {"content": 2}}), "bad_response"),
        (completion({"message": {"content": "2"}, "finish_reason": "length"}), "truncated"),
        (completion({"message": {"content": "2"}, "finish_reason": "content_filter"}), "filtered"),
        (completion({"message": {"content": None, "refusal": "No."}}), "refused"),
        (completion({"message": {"content": [{"type": "text", "text": "2"}]}}), "ok"),
    ],
)
def test_only_a_whole_answer_has_a_text(content: bytes, status: str) -> None:
    answer = read_answer(content)
    assert answer.status == status
    assert answer.text == ("2" if status == "ok" else None)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2)),
        ({"prompt_tokens": -1, "completion_tokens": True}, (None, None)),
        ({"prompt_tokens": "5"}, (None, None)),
        (None, (None, None)),
        ([], (None, None)),
    ],
)
def test_tokens_are_what_the_server_counted_or_unknown(usage: object, tokens: tuple) -> None:
    answer = read_answer(completion(usage=usage))
    assert (answer.input_tokens, answer.output_tokens) == tokens


def with_logprobs(tokens: object) -> bytes:
    return completion({"message": {"content": "2"}, "logprobs": {"content": tokens}})


def test_probabilities_of_tokens_are_kept_with_their_alternatives() -> None:
    top = [{"token": "2", "logprob": -0.1}, {"token": "1", "logprob": None}]
    answer = read_answer(with_logprobs([{"token": "2", "logprob": -0.1, "top_logprobs": top}]))
    assert answer.logprobs is not None
    assert answer.logprobs[0].token == "2"
    assert answer.logprobs[0].top == (("2", -0.1), ("1", -math.inf))


@pytest.mark.parametrize(
    "tokens",
    [
        None,
        [],
        ["2"],
        [{"token": "2"}],
        [{"token": "2", "logprob": "x"}],
        [{"token": "2", "logprob": float("nan")}],
        [{"token": "2", "logprob": -0.1, "top_logprobs": [3]}],
    ],
)
def test_probabilities_in_another_form_are_none_and_the_answer_stays(tokens: object) -> None:
    answer = read_answer(with_logprobs(tokens))
    assert (answer.status, answer.text, answer.logprobs) == ("ok", "2", None)
