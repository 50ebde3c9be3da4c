"""What the extractive synthesizer writes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.documents.acronyms import expansions
from relevance_distillery.errors import UserError
from relevance_distillery.schemas import Queries
from relevance_distillery.synthesizers.base import choose_seeds, misspell
from relevance_distillery.synthesizers.extractive import WRITERS, ExtractiveSynthesizer
from relevance_distillery.synthesizers.phrases import Corpus, content_runs
from relevance_distillery.synthesizers.questions import questions
from relevance_distillery.synthesizers.seed_passage import SeedPassage
from relevance_distillery.text.language import Language

ENGLISH = Language("en")


@pytest.fixture
def seed_passage(passages):
    corpus, longs = Corpus(passages, ENGLISH), expansions(passages, ENGLISH)

    def find(part: str) -> SeedPassage:
        row = passages[passages["passage_id"].str.contains(part)].iloc[0]
        return SeedPassage({str(key): value for key, value in row.items()}, corpus, longs)

    return find


def written(style, passage, tries=60):
    return {WRITERS[style](passage, np.random.default_rng(seed)).lower() for seed in range(tries)}


def test_table_is_valid_and_depends_on_the_seed_alone(passages):
    writer = ExtractiveSynthesizer()
    table = Queries.validate(writer.write(passages, passages, 4, seed=5))
    assert len(table) > 20
    assert table["passage_id"].value_counts().max() <= 4
    assert table.equals(writer.write(passages, passages, 4, seed=5))
    assert not table["text"].equals(writer.write(passages, passages, 4, seed=6)["text"])


def test_queries_of_a_passage_do_not_depend_on_the_other_seeds(passages):
    writer = ExtractiveSynthesizer()
    alone = writer.write(passages, passages.iloc[[5]], 3, seed=1)
    among = writer.write(passages, passages, 3, seed=1)
    expected = among[among["passage_id"] == passages["passage_id"][5]].reset_index(drop=True)
    assert alone.equals(expected)


def test_known_item_names_the_page_with_its_region_and_year(seed_passage):
    assert "travel policy emea 2026" in written("known_item", seed_passage("emea-2026"))


def test_metadata_uses_author_file_name_and_date(seed_passage):
    found = written("metadata", seed_passage("ferrous"))
    assert any("blom" in query for query in found)
    assert "2026-03-12-ferrous-steering-notes.md" in found
    assert any("march" in query for query in found)


def test_keywords_come_from_the_whole_passage_not_its_first_words(seed_passage):
    found = written("keyword", seed_passage("ferrous"))
    assert any("data migration" in query for query in found)


def test_acronyms_in_both_directions_and_in_the_sense_that_is_meant(passages, seed_passage):
    assert expansions(passages, ENGLISH)["PIP"] == (
        "performance improvement plan",
        "port integration protocol",
    )
    assert any(query.startswith("pip") for query in written("acronym", seed_passage("people/pip")))
    errors = written("acronym", seed_passage("berth-errors"))
    assert any("port integration protocol" in query for query in errors)
    assert not any("performance" in query for query in errors)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("people/pip", "Do I need a union representative for the first meeting"),
        ("register", "how do i register a passkey"),
        ("emea-2026", "can i extend a business trip over a weekend"),
        ("lost-laptop", "what to do if i lost a hardware key too"),
    ],
)
def test_questions_by_the_shape_of_sentences(seed_passage, part, expected):
    found = questions(seed_passage(part), np.random.default_rng(0))
    assert expected.lower() in [question.lower() for question in found]


def test_short_queries_are_shared_words(seed_passage):
    found = written("short", seed_passage("emea-2026"))
    assert "travel" in found
    assert "policy" not in found
    assert all(len(query.split()) <= 2 for query in found)


def test_runs_break_at_stop_words_and_punctuation():
    text = "The hotel's price cap, in IT terms: it follows INC-2417 - twice"
    assert content_runs(text, ENGLISH) == [["hotel", "price", "cap"], ["IT", "terms"],
                                   ["follows", "INC-2417"]]  # fmt: skip


def test_a_typo_is_one_edit_in_a_long_word():
    for seed in range(200):
        slip = misspell("travel policy INC-2417 emea", np.random.default_rng(seed))
        changed = [
            (old, new)
            for old, new in zip(["travel", "policy", "INC-2417", "emea"], slip.split(), strict=True)
            if old != new
        ]
        assert len(changed) == 1
        old, new = changed[0]
        assert old in ("travel", "policy")
        assert old[0] == new[0]
        assert abs(len(old) - len(new)) <= 1
    assert misspell("pto 2026 INC-2417", np.random.default_rng(0)) == "pto 2026 INC-2417"


def test_share_of_typos_is_kept(passages):
    many = pd.concat(
        [passages.assign(passage_id=passages["passage_id"] + str(n)) for n in range(40)]
    )
    clean = ExtractiveSynthesizer(typo_share=0).write(passages, many, 1, seed=1)
    vocabulary = {word for text in clean["text"].str.lower() for word in text.rstrip("?").split()}
    slipped = ExtractiveSynthesizer(typo_share=1).write(passages, many, 1, seed=1)
    unknown = [
        any(word not in vocabulary for word in text.lower().rstrip("?").split())
        for text in slipped["text"]
    ]
    assert np.mean(unknown) > 0.7


def test_other_languages_write_without_english(passages):
    german = passages.assign(
        title="Richtlinie für Dienstreisen", text="Wer bezahlt das Hotel in Göteborg? Der Verein."
    )
    table = ExtractiveSynthesizer("german").write(german, german, 3, seed=1)
    assert len(table)
    assert not table["text"].str.contains(r"\b(?:what|where|how|who)\b").any()


def test_seeds_are_spread_over_documents(passages):
    many = pd.concat([passages, passages.iloc[[0]].assign(passage_id="second")])
    assert choose_seeds(many, len(passages), 1)["document_id"].is_unique
    assert len(choose_seeds(many, 100, 1)) == len(many)
    order = choose_seeds(many, 100, 1)["passage_id"].tolist()
    fewer = choose_seeds(many.iloc[1:], 100, 1)["passage_id"].tolist()
    assert [name for name in order if name in fewer][:3] == fewer[:3] or "second" in fewer[:8]


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match=r"'keywrod'; known are known_item, keyword"):
        ExtractiveSynthesizer("en", {"keywrod": 1}, 0)
    with pytest.raises(UserError, match="klingon"):
        ExtractiveSynthesizer("klingon", {"keyword": 1}, 0)
