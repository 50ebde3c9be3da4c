"""From a model's words to a grade: everything that is not wholly a grade is a failure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale
from relevance_distillery.judges.prompted.grade_answers import (
    answer_schema,
    grade_probabilities,
    parse_answer,
)
from relevance_distillery.llm.requests import TokenLogprob


@pytest.mark.parametrize(
    ("answer", "grade"),
    [
        ('{"grade": 2}', 2),
        (' {"grade":0}\n', 0),
        ('{"reason": "answers it \\"fully\\"", "grade": 3}', 3),
        ('```json\n{"grade": 1}\n```', 1),
        ("```\n2\n```", 2),
        ("3", 3),
        (" 0 ", 0),
    ],
)
def test_a_grade_is_read(answer: str, grade: int) -> None:
    found = parse_answer(answer, DEFAULT_SCALE)
    assert (found.grade, found.status, found.reason) == (grade, "ok", "")
    assert found.span is not None
    assert answer[slice(*found.span)] == str(grade)


@pytest.mark.parametrize(
    "answer",
    [
        "Sorry, error 429",
        "",
        "Grade: 2",
        "2.",
        "2 3",
        "2.0",
        '"2"',
        '{"grade": "2"}',
        '{"grade": 2.0}',
        '{"grade": true}',
        '{"grade": null}',
        '{"grade": [2]}',
        '{"Grade": 2}',
        '{"score": 2}',
        '[{"grade": 2}]',
        '{"grade": 2} {"grade": 3}',
        '{"grade": 2, "grade": 3}',
        '{"grade": 2',
        'The grade is {"grade": 2}',
        '```json\n{"grade": 2}\n```\nBecause it answers.',
        '{"grade": 2, "confidence": NaN}',
        '{"answer": {"grade": 2}}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_unparseable_and_its_words_stay_unsaid(answer: str) -> None:
    found = parse_answer(answer, DEFAULT_SCALE)
    assert (found.grade, found.status) == (None, "unparseable")
    assert "429" not in found.reason
    assert "answers" not in found.reason


@pytest.mark.parametrize("answer", ["7", '{"grade": -1}', '{"grade": 999999999999}', "4"])
def test_a_grade_off_the_scale_is_invalid(answer: str) -> None:
    found = parse_answer(answer, DEFAULT_SCALE)
    assert (found.grade, found.status) == (None, "invalid")
    assert "not on the scale [0, 1, 2, 3]" in found.reason


@given(st.text())
def test_no_text_is_ever_guessed_at(answer: str) -> None:
    found = parse_answer(answer, DEFAULT_SCALE)
    bare = answer.strip() in {"0", "1", "2", "3"}
    assert (found.grade is not None) <= (bare or "grade" in answer or "`" in answer)


def test_the_schema_lists_the_grades_of_the_scale() -> None:
    schema = answer_schema(DEFAULT_SCALE)
    assert schema["properties"]["grade"]["enum"] == [0, 1, 2, 3]
    assert schema["required"] == ["grade"]


def tokens(*parts: str, grade: str = "2", top: dict[str, float] | None = None):
    chances = {"2": 0.6, "1": 0.3, "three": 0.05} if top is None else top
    alternatives = tuple((token, math.log(chance)) for token, chance in chances.items())
    return tuple(
        TokenLogprob(part, math.log(0.6), alternatives)
        if part.strip() == grade
        else TokenLogprob(part, -0.1, ((part, -0.1), ("3", -2.0)))
        for part in parts
    )


def probabilities(answer: str, logprobs, scale: GradeScale = DEFAULT_SCALE):
    return grade_probabilities(answer, parse_answer(answer, scale).span, logprobs, scale)


def test_probabilities_are_those_of_the_grades_in_the_grades_place() -> None:
    found = probabilities('{"grade": 2}', tokens('{"', "grade", '":', " ", "2", "}"))
    assert found == pytest.approx((0.0, 1 / 3, 2 / 3, 0.0))
    with_space = probabilities(
        '{"grade": 2}', tokens('{"', "grade", '":', " 2", "}", top={" 2": 0.5, " 1": 0.2, "1": 0.1})
    )
    assert with_space == pytest.approx((0.0, 0.3 / 0.8, 0.5 / 0.8, 0.0))


def test_a_digit_in_a_reason_is_not_taken_for_the_grade() -> None:
    answer = '{"reason": "3 of 4", "grade": 2}'
    parts = ('{"reason": "', "3", " of ", "4", '", "grade":', " ", "2", "}")
    assert probabilities(answer, tokens(*parts)) == pytest.approx((0.0, 1 / 3, 2 / 3, 0.0))


def test_an_end_token_and_stripped_white_space_do_not_matter() -> None:
    found = probabilities("2", tokens("\n", "2", "<|end|>"))
    assert found == pytest.approx((0.0, 1 / 3, 2 / 3, 0.0))


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        (),
        tokens('{"grade": ', "2", "}", top={}),  # a server that gives no alternatives
        tokens('{"grade": ', "2", "}", top={"2": 0.2, "the": 0.7}),  # grades hold too little
        tokens('{"grade": 2', "}"),  # the grade shares a token with other text
        tokens('{"grade":', " 2", "0", "}"),  # another answer than this one
    ],
)
def test_without_clear_alternatives_there_are_no_probabilities(logprobs) -> None:
    assert probabilities('{"grade": 2}', logprobs) is None


def test_grades_that_begin_each_other_have_no_probabilities() -> None:
    scale = GradeScale(
        grades=tuple(Grade(value=v, name=str(v)) for v in (1, 2, 10)), relevant_from=2
    )
    top = {"1": 0.5, "2": 0.4}
    assert probabilities("1", tokens("1", grade="1", top=top), scale) is None


def test_two_members_named_grade_leave_the_place_open() -> None:
    answer = '{"detail": {"grade": 1}, "grade": 2}'
    found = parse_answer(answer, DEFAULT_SCALE)
    assert found.grade == 2
    assert found.span is None
