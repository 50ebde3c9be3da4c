"""An answer is queries or a failure, and never a guess."""

from __future__ import annotations

import json

import pytest

from relevance_distillery.synthesizers.llm_requests import parse_answer, shortest_answer

STYLES = ("keyword", "question")


def answer(*rows: tuple[str, str]) -> str:
    return json.dumps({"queries": [{"text": text, "style": style} for text, style in rows]})


def test_queries_are_read_with_their_styles():
    found = parse_answer(answer(("hotel cap", "keyword"), ("who pays?", "question")), STYLES, 2)

    assert found.queries == (("keyword", "hotel cap"), ("question", "who pays?"))
    assert not found.reason


def test_a_code_fence_around_the_json_is_taken_off():
    assert parse_answer(f"```json\n{answer(('a', 'keyword'))}\n```", STYLES, 1).queries


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Here are your queries: hotel cap",
        f"Sure! {answer(('a', 'keyword'))}",
        answer(("a", "keyword"))[:-3],
        "[]",
        "{}",
        '{"queries": "hotel cap"}',
        '{"queries": ["hotel cap"]}',
        '{"queries": [{"text": "hotel cap"}]}',
        '{"queries": [{"text": 7, "style": "keyword"}]}',
        '{"queries": [], "queries": [{"text": "a", "style": "keyword"}]}',
        '{"queries": []}',
        "[" * 100_000,
    ],
)
def test_whatever_is_no_answer_is_a_failure_without_its_words(text):
    found = parse_answer(text, STYLES, 3)

    assert not found.queries
    assert found.reason
    assert "hotel" not in found.reason


def test_single_queries_are_dropped_for_a_reason_and_counted():
    rows = [
        ("first", "keyword"),
        ("FIRST ", "keyword"),
        ("strange", "poem"),
        (" ... ", "keyword"),
        ("long " * 40, "keyword"),
        ("second", "question"),
        ("third", "question"),
    ]
    found = parse_answer(answer(*rows), STYLES, 2)

    assert [text for _, text in found.queries] == ["first", "second"]
    assert dict(found.dropped) == {
        "repeated": 1,
        "unknown_style": 1,
        "blank": 1,
        "too_long": 1,
        "surplus": 1,
    }


def test_the_shortest_answer_is_one():
    assert len(parse_answer(shortest_answer(STYLES), STYLES, 1).queries) == 1
