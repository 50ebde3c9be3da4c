"""From a language model's answer to a grade, or to a failure: never a guess.

A parser that searches an answer for a digit turned "Sorry, error 429" into grade 2 in a
published judge. Here the whole answer is the grade or it is a failure.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relevance_distillery.grading import GradeScale
from relevance_distillery.llm.requests import TokenLogprob, strict_json, without_fence

MIN_MASS = 0.5  # grades must hold at least this share of the probability for it to be theirs
_BARE = re.compile(r"-?\d{1,9}")
_MEMBER = re.compile(r'"grade"\s*:\s*(-?\d+)')


@dataclass(frozen=True)
class GradeAnswer:
    """What an answer says.

    Attributes:
        status: `ok`, `unparseable`, or `invalid` for a grade that the scale does not have.
        reason: A failure's reason, without the answer's words.
        span: Start and end of the grade's digits in the answer; None where they are not unique.
    """

    grade: int | None
    status: str = "ok"
    reason: str = ""
    span: tuple[int, int] | None = None


def answer_schema(scale: GradeScale) -> dict[str, Any]:
    """The JSON schema of an answer: an object whose `grade` is one of the scale's values."""
    return {
        "type": "object",
        "properties": {"grade": {"type": "integer", "enum": scale.values.tolist()}},
        "required": ["grade"],
        "additionalProperties": False,
    }


def parse_answer(text: str, scale: GradeScale) -> GradeAnswer:
    """Read an answer.

    It is a JSON object with an integer `grade` (further keys such as `reason` are allowed, and one
    code fence around it), or the bare grade; white space around does not count.
    """
    body, start = without_fence(text)
    if _BARE.fullmatch(body):
        return _on_scale(int(body), (start, start + len(body)), scale)
    value = strict_json(body)
    grade = value.get("grade") if isinstance(value, dict) else None
    if not isinstance(grade, int) or isinstance(grade, bool):
        return GradeAnswer(
            None,
            "unparseable",
            "the answer is neither a JSON object with a whole grade nor a grade",
        )
    places = [match.span(1) for match in _MEMBER.finditer(body)]
    # A reason may quote the word: then it is not known which of them is the grade.
    unique = (start + places[0][0], start + places[0][1]) if len(places) == 1 else None
    return _on_scale(grade, unique, scale)


def grade_probabilities(
    text: str,
    span: tuple[int, int] | None,
    logprobs: Sequence[TokenLogprob] | None,
    scale: GradeScale,
) -> tuple[float, ...] | None:
    """Probabilities of the grades, from the log-probabilities of the token at `span`, the grade.

    Returns:
        One share of 1 a grade, lowest first. None where they are not known: no alternatives,
        tokens that do not spell the answer, a grade that begins another one or takes several
        tokens, or grades that hold less than `MIN_MASS` among the alternatives.
    """
    if span is None or not logprobs:
        return None
    names = [str(value) for value in scale.values.tolist()]
    if any(a != b and b.startswith(a) for a in names for b in names):
        return None
    token = _token_at(text, span, logprobs)
    if token is None or not token.top or token.token.strip() not in names:
        return None
    chances = dict.fromkeys(names, 0.0)
    # The written token is not always among the alternatives; none is counted twice.
    for written, logprob in dict([(token.token, token.logprob), *token.top]).items():
        if written.strip() in chances and not math.isnan(logprob):
            chances[written.strip()] += math.exp(min(logprob, 0.0))
    mass = sum(chances.values())
    if not MIN_MASS <= mass <= 1.01:
        return None
    return tuple(chances[name] / mass for name in names)


def _token_at(
    text: str, span: tuple[int, int], logprobs: Sequence[TokenLogprob]
) -> TokenLogprob | None:
    """The one token that holds the whole grade and nothing else but white space."""
    spelt = "".join(token.token for token in logprobs)
    # Servers strip white space from the answer, and some count an end token among its tokens.
    shift = spelt.find(text)
    if shift < 0 or spelt[:shift].strip():
        return None
    start, end = span[0] + shift, span[1] + shift
    position = 0
    for token in logprobs:
        after = position + len(token.token)
        if position <= start < after:
            return token if end <= after else None
        position = after
    return None


def _on_scale(grade: int, span: tuple[int, int] | None, scale: GradeScale) -> GradeAnswer:
    values = scale.values.tolist()
    if grade in values:
        return GradeAnswer(grade, span=span)
    shown = str(grade) if abs(grade) < 1_000_000 else "a long number"
    return GradeAnswer(None, "invalid", f"the grade {shown} is not on the scale {values}")
