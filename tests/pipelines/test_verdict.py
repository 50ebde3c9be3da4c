"""The report's answer follows from the figures, never from hope."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from relevance_distillery.evaluation.agreement.estimates import conclude
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.reporting.formats import dollars, span
from relevance_distillery.reporting.verdict import decide_best, decide_verdict, state_of


def row(estimate: float, low: float, high: float) -> dict[str, Any]:
    """A figure, as a difference with the conclusion that its interval allows."""
    conclusion = conclude(Interval(estimate, low, high), 0.03)
    figure = {"estimate": estimate, "low": low, "high": high, "conclusion": conclusion}
    return {"quadratic_kappa": figure}


def agreement(
    teacher: tuple[float, float, float] | None,
    base: tuple[float, float, float] = (0.2, 0.1, 0.3),
    student: float = 0.55,
    **benchmark: Any,
) -> dict[str, Any]:
    facts = {"name": "b", "kind": "own_corpus", "human": True, "pairs": 900, "queries": 50}
    return {
        "benchmark": facts | benchmark,
        "judges": {"student": row(student, student - 0.1, student + 0.1)},
        "student_minus_teacher": row(*teacher) if teacher else {},
        "student_minus_base": row(*base),
        "human_ceiling": {},
        "comparisons": [],
    }


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (agreement((0.01, -0.02, 0.04)), "Yes"),
        (agreement((0.05, 0.01, 0.09)), "Yes"),
        (agreement(None), "Yes"),
        (agreement((0.01, -0.05, 0.07)), "Probably"),
        (agreement((-0.1, -0.15, -0.05)), "For some uses"),
        (agreement((0.01, -0.02, 0.04), base=(0.0, -0.1, 0.1)), "Not proven yet"),
        (agreement((0.01, -0.05, 0.04), base=(0.0, -0.1, 0.1)), "Not proven yet"),
        (agreement((0.01, -0.02, 0.04), base=(-0.2, -0.3, -0.1)), "Not yet"),
        (agreement((0.01, -0.02, 0.04), student=0.1), "Not yet"),
        (agreement((0.01, -0.02, 0.04), queries=12), "Too few queries to tell"),
        (agreement((0.01, -0.05, 0.07), queries=12), "Too few queries to tell"),
        (agreement((0.01, -0.02, 0.04), student=0.1, queries=12), "Not yet"),
        (agreement((0.01, -0.02, 0.04), human=False), "Agrees with the reference grades"),
        (
            agreement((0.01, -0.02, 0.04), human=False, name="judgments"),
            "Works on the sample; not tested on your data",
        ),
        (agreement((0.01, -0.02, 0.04), human=False, kind="held_out"), "Copies its teacher"),
        (agreement((0.01, -0.05, 0.07), human=False), "Perhaps"),
    ],
)
def test_answer(given: dict[str, Any], answer: str) -> None:
    assert decide_verdict(given, 0.03, "big").answer == answer


def test_undefined_agreement_is_no_answer() -> None:
    given = agreement(None)
    given["judges"]["student"]["quadratic_kappa"] = {"estimate": None, "reason": "one grade"}
    verdict = decide_verdict(given, 0.03, "big")
    assert (verdict.kind, verdict.answer) == ("no", "No answer yet")
    assert "one grade" in verdict.because


PROMOTION = {
    "version": "2",
    "promoted": True,
    "champion": "2",
    "reason": "non-inferior: not worse than version 1 by 0.03 or more in quadratic kappa: "
    "difference +0.774, 95 % interval +0.047 to +1.502",
}
FIRST = PROMOTION | {"reason": "there was no champion"}
REFUSED = PROMOTION | {
    "promoted": False,
    "champion": "1",
    "reason": "9 queries are fewer than 20: a person decides",
}


@pytest.mark.parametrize(
    ("promotion", "queries", "said"),
    [
        (PROMOTION, 50, "is in use from now on: not worse than version 1 by 0.03"),
        (FIRST, 9, "there was no champion. That is no proof that it is good enough."),
        (REFUSED, 9, "is not in use: 9 queries are fewer than 20: a person decides. Version 1 st"),
        (FIRST | {"promoted": False, "reason": "it is the champion already"}, 50, "already."),
    ],
)
def test_verdict_and_promotion_do_not_contradict_each_other(
    promotion: dict[str, Any], queries: int, said: str
) -> None:
    verdict = decide_verdict(agreement((0.05, 0.01, 0.09), queries=queries), 0.03, "big")
    text = state_of(promotion, verdict)
    assert said in text
    assert "difference" not in text
    assert ("no proof" in text) is (promotion["promoted"] and verdict.kind != "yes")


def test_first_line_says_whose_grades_these_are() -> None:
    assert decide_verdict(agreement(None), 0.03, "big").grades.startswith("Measured against people")
    for kind in ("held_out", "same_corpus"):
        given = agreement(None, human=False, kind=kind)
        assert decide_verdict(given, 0.03, "big").grades.startswith("No grades by people")


def several(*estimates: float, apart: bool = True, **benchmark: Any) -> dict[str, Any]:
    """Judges a, b, c ... with these kappas; the first pairs are told apart or not."""
    names = "abcdef"[: len(estimates)]
    return agreement(None, **benchmark) | {
        "roles": {},
        "judges": {
            name: row(k, k - 0.1, k + 0.1) for name, k in zip(names, estimates, strict=True)
        },
        "comparisons": [
            {
                "first": one,
                "second": other,
                "margin": 0.03,
                "metrics": row(x - y, x - y - w, x - y + w),
            }
            for (one, x), (other, y) in combinations(zip(names, estimates, strict=True), 2)
            for w in [0.01 if apart else 0.5]
        ],
    }


@pytest.mark.parametrize(
    ("given", "kind", "answer", "because"),
    [
        (several(0.4, 0.6), "yes", "b", "shown to be better than the other"),
        (several(0.4, 0.6, 0.5), "yes", "b", "better than each of the other 2"),
        (several(0.4, 0.6, apart=False), "care", "b", "not shown to be better than a"),
        (several(0.4, 0.6, 0.5, apart=False), "care", "b", "better than any other"),
        (several(0.2, 0.6, 0.599), "care", "b", "better than 1 of the other 2"),
        (several(0.2, 0.6, 0.599), "care", "b", "not told apart from c"),
        (several(0.05, 0.1), "no", "None of them", "hardly more than chance"),
        (several(0.4, 0.6, queries=12), "care", "Too few queries to tell", "too few to be sure"),
        (several(0.55, queries=12), "care", "Moderately", "too few to be sure"),
        (several(0.4, 0.6, human=False), "care", "b", "the reference grades"),
        (several(0.55), "yes", "Moderately", "people at quadratic κ 0.55"),
        (several(0.95), "yes", "Almost perfectly", "0.95"),
        (several(0.1), "no", "Slightly", "hardly more than chance"),
    ],
)
def test_best_of_several(given: dict[str, Any], kind: str, answer: str, because: str) -> None:
    verdict = decide_best(given)
    assert (verdict.kind, verdict.answer) == (kind, answer)
    assert because in verdict.because


def test_best_of_several_knows_what_people_reach() -> None:
    given = several(0.4, 0.6) | {"human_ceiling": row(0.77, 0.7, 0.8)}
    assert "People agree with each other at 0.77." in decide_best(given).because


def test_nobody_is_best_where_nothing_is_defined() -> None:
    nothing = {"quadratic_kappa": {"estimate": None, "reason": "one grade"}}
    given = several(0.4) | {"judges": {"a": nothing}, "comparisons": []}
    assert decide_best(given).answer == "No answer yet"
    assert "one grade" in decide_best(given).because
    assert decide_best(given | {"judges": {}}).answer == "No answer yet"


def test_small_and_large_prices() -> None:
    assert [dollars(value) for value in (None, 0, 0.00017, 0.17, 1175.2)] == [
        "not known",
        "$0",
        "$0.00017",
        "$0.17",
        "$1,175",
    ]


def test_intervals_in_words() -> None:
    assert span({"low": -0.031, "high": 0.04}, 2, signed=True) == "−0.03 to +0.04"
    assert span({"low": None, "high": 0.04}) == ""
