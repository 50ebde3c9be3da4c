"""Examples of disagreement: the worst ones, spread out, with the matching words marked."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relevance_distillery.evaluation.disagreements import EXCERPT, excerpt, pick, segments, shown
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.text.terms import analyzer

WORDS = analyzer("english")


def table(rows: Sequence[tuple[str, str, int, int | None]], judge: str = "student") -> pd.DataFrame:
    grades = pd.DataFrame(rows, columns=["query_id", "document_id", "human", f"{judge}_grade"])
    return grades.astype({f"{judge}_grade": "Int64"})


def texts(**documents: str) -> pd.DataFrame:
    rows = [
        {"query_id": "q", "query": "travel costs", "document_id": name, "title": "T", "text": text}
        for name, text in documents.items()
    ]
    return pd.DataFrame(rows)


def marked(pieces: list[list[object]]) -> list[str]:
    return [str(text) for text, matched in pieces if matched]


def whole(pieces: list[list[object]]) -> str:
    return "".join(str(text) for text, _ in pieces)


def test_the_worst_comes_first_and_agreement_never() -> None:
    grades = table([("a", "1", 0, 3), ("a", "2", 0, 1), ("a", "3", 2, 2), ("a", "4", 3, None)])
    found = pick(grades, None, ["student"], SCALE)
    assert [(one["document_id"], one["distance"]) for one in found] == [("1", 3), ("2", 1)]
    json.dumps(found, allow_nan=False)


def test_examples_are_spread_over_kinds_and_queries() -> None:
    rows = [("a", f"d{n}", 0, 3) for n in range(20)] + [("b", "x", 0, 2), ("c", "y", 3, 2)]
    found = pick(table(rows), None, ["student"], SCALE, most=4)
    assert {one["query_id"] for one in found} == {"a", "b", "c"}
    assert {one["kind"] for one in found} == {"too generous", "too strict"}
    assert [one["kind"] for one in found[:2]] == ["too generous", "too strict"]


def test_every_judge_has_its_turn_and_all_grades_are_shown() -> None:
    grades = table([("a", "1", 0, 3), ("b", "2", 3, 0)], "one")
    grades["other_grade"] = pd.array([0, 2], dtype="Int64")
    found = pick(grades, None, ["one", "other"], SCALE, most=3)
    assert found[0]["judge"] == "one"
    assert found[0]["grades"] == {"one": 3, "other": 0}
    assert len({(one["query_id"], one["document_id"]) for one in found}) == len(found)


def test_chance_follows_the_seed() -> None:
    grades = table([(f"q{n}", "d", 0, 3) for n in range(50)])
    first, again, other = (pick(grades, None, ["student"], SCALE, 3, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("most", [0, 3])
def test_nothing_to_show(most: int) -> None:
    grades = table([("a", "1", 1, 1)])
    assert pick(grades, texts(one="x"), ["student", "absent"], SCALE, most) == []
    assert pick(grades.iloc[:0], None, ["student"], SCALE, most) == []


def test_words_are_marked_by_their_stems_in_query_title_and_text() -> None:
    rows = [("q", "one", 0, 3)]
    pairs = texts(one="Travelling is fine. The cost is yours.", two="b", three="c", four="d")
    pairs["title"] = "Travel policy"
    (example,) = pick(table(rows), pairs, ["student"], SCALE)
    assert marked(example["excerpt"]) == ["Travelling", "cost"]
    assert marked(example["title"]) == ["Travel"]
    assert marked(example["query"]) == ["travel", "costs"]
    assert whole(example["query"]) == "travel costs"


def test_a_word_of_the_query_that_the_document_lacks_is_not_marked() -> None:
    (example,) = pick(table([("q", "one", 0, 3)]), texts(one="Only costs."), ["student"], SCALE)
    assert marked(example["query"]) == ["costs"]


def test_a_word_that_stands_everywhere_explains_nothing() -> None:
    pairs = texts(**{f"d{n}": f"the costs of number {n}" for n in range(30)})
    pairs["query"] = "the travel costs"
    pairs.loc[0, "text"] = "the costs of travel"
    (example,) = pick(table([("q", "d0", 0, 3)]), pairs, ["student"], SCALE)
    assert marked(example["excerpt"]) == ["travel"]


def test_the_passage_with_the_most_matches_is_quoted() -> None:
    pairs = pd.concat([texts(one="Introduction."), texts(one="Costs of travel.")])
    (example,) = pick(table([("q", "one", 0, 3)]), pairs, ["student"], SCALE)
    assert whole(example["excerpt"]) == "Costs of travel."


def test_a_long_text_is_cut_around_its_matches() -> None:
    text = "filler " * 300 + "travel costs are paid" + " padding" * 300
    worth, pieces = excerpt(text, {"travel": 2.0, "cost": 1.0}, WORDS)
    assert worth == 3.0
    assert marked(pieces) == ["travel", "costs"]
    assert whole(pieces).startswith("… filler")
    assert whole(pieces).endswith("padding …")
    assert len(whole(pieces)) <= EXCERPT + 4


@given(
    st.lists(
        st.sampled_from(["travel", "costs", "x", "über", "a-b", "½", "\n", "."]), max_size=400
    ),
    st.integers(5, 120),
)
def test_an_excerpt_is_a_piece_of_the_text(words: list[str], longest: int) -> None:
    text = " ".join(words)
    _, pieces = excerpt(text, {"travel": 1.0, "cost": 1.0}, WORDS, longest)
    bare = whole(pieces).removeprefix("… ").removesuffix(" …")
    assert bare in text
    assert len(bare) <= longest + 3
    assert all(WORDS.terms(word)[0] in ("travel", "cost") for word in marked(pieces))


@given(st.text(max_size=200))
def test_segments_are_the_text(text: str) -> None:
    assert whole(segments(text, {"travel"}, WORDS)) == text


def test_a_text_that_repeats_a_word_endlessly_is_quick_to_cut() -> None:
    worth, pieces = excerpt("travel " * 50_000, {"travel": 1.0}, WORDS)
    assert worth > 1.0
    assert len(whole(pieces)) <= EXCERPT + 4


def test_characters_that_break_a_page_are_taken_out() -> None:
    text = "travel\x00 costs \u202eevil\u202c and more\x07"
    (example,) = pick(table([("q", "one", 0, 3)]), texts(one=text), ["student"], SCALE)
    assert whole(example["excerpt"]) == "travel costs evil and more"


def test_missing_texts_leave_ids_and_grades() -> None:
    grades = table([("q", "one", 0, 3), ("q", "gone", 3, 0)])
    pairs = texts(one="travel").assign(title=np.nan)
    found = {one["document_id"]: one for one in pick(grades, pairs, ["student"], SCALE)}
    assert found["gone"]["query"] == found["gone"]["excerpt"] == []
    assert found["one"]["title"] == []
    assert whole(found["one"]["excerpt"]) == "travel"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("snake\\_case 2\\*3, 2*3*4, C:\\temp", "snake_case 2*3, 2*3*4, C:\\temp"),
        ("a<b and c>d &amp; x<br>y", "a<b and c>d & x y"),
        ("**use `a_b*c*` now** or <https://a.example/c>", "use a_b*c* now or https://a.example/c"),
        ("1. one\n2. two\n---\n> said", "1. one 2. two said"),
        ("~~~\n# not *a* heading &lt;\n~~~\n`after`", "# not *a* heading &lt; after"),
        ("&#xE000;0&#xE001; `x`", "\ue0000\ue001 x"),
        ("<script>x</script>", "<script>x</script>"),
        (None, ""),
    ],
)
def test_texts_are_shown_without_marks(text: str | None, words: str) -> None:
    assert shown(text) == words
