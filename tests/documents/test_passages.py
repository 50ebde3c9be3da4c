"""Splitting along headings and sentences, and doing only what changed."""

from __future__ import annotations

import dataclasses

from relevance_distillery.documents.markdown import blocks, plain, sections
from relevance_distillery.documents.passages import Splitter, split_documents


def count(text: str) -> int:
    return len(text.split())


SPLITTER = Splitter(count, max_tokens=40, min_tokens=12)


def prose(words: int, of: str) -> str:
    return " ".join(f"{of}{n}." if n % 8 == 7 else f"{of}{n}" for n in range(words))


def test_heading_path_is_kept_and_the_title_not_repeated():
    text = f"# Travel\n\n{prose(30, 'a')}\n\n## Hotels\n\n### Nordics\n\n{prose(30, 'b')}"
    parts = SPLITTER.split("Travel!", text)
    assert [heading for heading, _ in parts] == ["", "Hotels > Nordics"]
    assert not any("#" in text for _, text in parts)


def test_long_sections_are_cut_at_sentences_and_nothing_is_lost():
    text = prose(150, "w")
    parts = SPLITTER.split("T", text)
    assert all(count(part) <= 40 for _, part in parts)
    assert all(part.endswith(".") for _, part in parts[:-1])
    assert " ".join(part for _, part in parts).split() == text.split()


def test_short_sections_are_joined_and_show_the_headings_that_differ():
    text = "## Money\n\n### Food\n\nten euro\n\n### Drink\n\ntwo euro"
    assert SPLITTER.split("T", text) == [("Money", "Food:\nten euro\nDrink:\ntwo euro")]


def test_no_passage_is_longer_than_allowed_even_with_joined_headings():
    text = "\n\n".join(f"## Heading number {n} of many\n\n{prose(9, 'x')}" for n in range(20))
    assert all(count(part) <= 40 for _, part in SPLITTER.split("T", text))


def test_code_fences_hide_headings():
    found = sections("## Real\n\n```\n# not a heading\n```\nafter")
    assert [section.path for section in found] == [("Real",)]
    assert "# not a heading" in found[0].body


def test_off_means_one_untouched_passage_with_the_documents_id(table):
    text = f"# A\n\n[link](http://x)\n\n{prose(300, 'w')}"
    documents = table({"document_id": "d", "title": "A", "text": text}, {"document_id": "e"})
    passages, _, _ = split_documents(documents, dataclasses.replace(SPLITTER, enabled=False))
    assert passages["passage_id"].tolist() == ["d", "e"]
    assert passages["text"].tolist() == [text, ""]


def test_a_document_with_a_title_only_has_one_passage(table):
    passages, _, _ = split_documents(table({"document_id": "d", "title": "USB cable"}), SPLITTER)
    assert passages[["passage_id", "text"]].to_numpy().tolist() == [["d#0", ""]]


def test_only_changed_documents_are_split_again(table):
    first = table(
        {"document_id": "a", "text": prose(100, "a")}, {"document_id": "b", "text": prose(50, "b")}
    )
    passages, origins, _ = split_documents(first, SPLITTER)
    # A marked passage shows that it was kept and not made again.
    changed = first.assign(text=[first["text"][0], prose(50, "c")])
    split_texts: list[str] = []

    def watched(text: str) -> int:
        split_texts.append(text)
        return count(text)

    again, fresh, counts = split_documents(
        changed, dataclasses.replace(SPLITTER, count_tokens=watched), passages, origins
    )
    assert (counts["kept"], counts["split"]) == (1, 1)
    assert all("a0" not in text for text in split_texts)
    whole, expected, _ = split_documents(changed, SPLITTER)
    assert again.equals(whole)
    assert fresh.equals(expected)


def test_passages_that_do_not_fit_their_origin_are_made_again(table):
    documents = table({"document_id": "a", "text": prose(100, "a")})
    passages, origins, _ = split_documents(documents, SPLITTER)
    torn = passages.iloc[:1]
    again, _, counts = split_documents(documents, SPLITTER, torn, origins)
    assert counts["kept"] == 0
    assert again.equals(passages)
    other = dataclasses.replace(SPLITTER, max_tokens=30)
    assert split_documents(documents, other, passages, origins)[2]["kept"] == 0


def test_plain_and_blocks():
    assert plain("**Bold** and _it_ [here](http://x) `code` snake_case_name") == (
        "Bold and it here code snake_case_name"
    )
    assert blocks("- one\n- two\n\n| a | b |\n|---|---|\n| c | d |\n\npara\ngoes on") == [
        "one",
        "two",
        "a",
        "b",
        "c",
        "d",
        "para goes on",
    ]
