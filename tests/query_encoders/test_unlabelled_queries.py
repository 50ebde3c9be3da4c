"""Which strings stand for queries."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.query_encoders.settings import StringSettings
from relevance_distillery.query_encoders.unlabelled_queries import unlabelled_strings

PASSAGES = pd.DataFrame(
    {
        "passage_id": ["p1", "p2", "p3"],
        "document_id": ["d1", "d1", "d2"],
        "title": ["Travel policy", "Travel policy", "Handbook / Secret plans"],
        "heading": ["", "Booking > Flights", None],
        "text": [
            "Ask your manager first. Then book a seat, at most a week ahead.",
            "Flights\nlonger than six hours may be in business class.",
            "Nobody knows the plans.",
        ],
    }
)


def strings(**options: object) -> list[str]:
    settings = StringSettings(spans=20, longest_span=4, openings=())
    given = {"queries": ["book  a flight", "BOOK A FLIGHT"], "passages": PASSAGES, **options}
    return unlabelled_strings(settings=given.pop("settings", settings), **given)  # pyrefly: ignore


def test_queries_titles_headings_their_parts_and_spans_are_taken_once() -> None:
    found = strings()
    assert {"Travel policy", "Booking > Flights", "Booking", "Flights", "Secret plans"} <= set(
        found
    )
    assert "book a flight" in found
    assert len({text.lower() for text in found}) == len(found)
    known = {" ".join(text.split()) for text in PASSAGES["text"]}
    taken = [text for text in found if any(text in whole for whole in known)]
    assert len(taken) > 20
    assert max(len(text.split()) for text in taken) == 4
    # A span ends with its sentence.
    assert not [text for text in found if "first. Then" in text or "Flights longer" in text]


def test_a_benchmarks_queries_give_nothing() -> None:
    found = strings(held_out=["Travel  POLICY", "nobody"])
    assert not {text.lower() for text in found} & {"travel policy", "nobody"}
    assert "Nobody" in {text.split()[0] for text in strings(held_out=["nobody"])}


def test_fewer_strings_are_the_beginning_of_more() -> None:
    every = strings()
    few = strings(settings=StringSettings(most=5, spans=20, longest_span=4, openings=()))
    assert few == every[:5]
    shuffled = strings(passages=PASSAGES.iloc[::-1])
    assert shuffled == every
    assert strings(seed=1) != every
    assert strings(passages=PASSAGES.drop(columns=["title", "heading"])).count("book a flight") == 1


def test_some_spans_begin_as_queries_do() -> None:
    asked = ["how to fly home", "how to get a seat", "Who knows it all", "who flew"]
    every = StringSettings(spans=20, longest_span=4, asked=1.0, openings=("when is",))
    found = strings(queries=asked, settings=every)
    assert len([text for text in found if text.startswith("how to ")]) > 20
    assert [text for text in found if text.startswith(("Who knows", "when is"))] == [asked[2]]
    # A benchmark's queries lend no opening: those of the settings are taken.
    found = strings(queries=asked, held_out=asked[1:2], settings=every)
    assert [text for text in found if text.startswith("how to")] == asked[:1]
    assert len([text for text in found if text.startswith("when is ")]) > 20
    plain = strings(queries=asked, settings=every.model_copy(update={"asked": 0.0}))
    assert sorted(text for text in plain if text.startswith("how to")) == sorted(asked[:2])
