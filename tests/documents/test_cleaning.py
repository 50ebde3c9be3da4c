"""Cleaning and deduplication."""

from __future__ import annotations

import pytest

from relevance_distillery.documents.cleaning import clean_documents, clean_text, deduplicate

PAGE = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(300))


def test_clean_text():
    raw = "e\u0301te\u0301\r\n\x00a\u200bb  \n\n\n\n<!-- hidden -->    code\u00a0x"
    assert clean_text(raw) == "été\nab\n\n    code x"


def test_footers_go_and_short_answers_stay(table):
    pages = [
        {"document_id": str(n), "text": f"Yes.\n\nPage {PAGE} {n}\n\nEdit this page on the wiki"}
        for n in range(12)
    ]
    cleaned, counts = clean_documents(table(*pages), boilerplate_share=0.5)
    assert counts["boilerplate_lines"] == 1
    assert counts["boilerplate_removed"] == 12
    assert not cleaned["text"].str.contains("Edit this page").any()
    assert cleaned["text"].str.startswith("Yes.").all()
    kept, _ = clean_documents(table(*pages), boilerplate_share=None)
    assert kept["text"].str.contains("Edit this page").all()


def test_of_copies_the_newest_stays(table):
    documents = table(
        {"document_id": "b", "path": "b", "text": PAGE, "modified": "2025-01-01"},
        {"document_id": "a", "path": "a", "text": PAGE.upper(), "modified": "2026-01-01"},
        {"document_id": "c", "path": "c", "text": PAGE + " and a tail", "modified": "2024-01-01"},
        {"document_id": "d", "path": "d", "text": "something else entirely"},
    )
    kept, dropped = deduplicate(documents)
    assert kept["document_id"].tolist() == ["a", "d"]
    assert dropped["where"].tolist() == ["copy of a", "copy of a"]
    assert dropped["reason"].tolist() == ["exact duplicate", "near duplicate"]


def test_versions_that_differ_in_a_figure_are_not_copies(table):
    documents = table(
        {"document_id": "2025", "title": "Travel policy", "text": f"{PAGE} hotel cap 160 EUR"},
        {"document_id": "2026", "title": "Travel policy", "text": f"{PAGE} hotel cap 170 EUR"},
        {"document_id": "swap", "title": "Travel policy", "text": f"{PAGE} hotel limit 170 EUR"},
    )
    kept, _ = deduplicate(documents)
    assert kept["document_id"].tolist() == ["2025", "2026"]


def test_judged_documents_are_never_dropped(table):
    documents = table(*({"document_id": name, "text": PAGE} for name in "xyz"))
    kept, _ = deduplicate(documents, keep={"x", "y"})
    assert kept["document_id"].tolist() == ["x", "y"]


def test_documents_without_text_are_compared_by_title(table):
    documents = table(*({"document_id": name, "title": f"Cable {name}"} for name in "xyz"))
    assert len(deduplicate(documents)[0]) == 3


@pytest.mark.parametrize(
    "texts",
    [
        ("आज का दिन", "आज का दान"),
        ("मिल", "मेल"),
        ("C++ developer", "C# developer", "C developer"),
        ("store at -5 degrees", "store at 5 degrees"),
        *(tuple("👍 … !!! " * n for n in range(1, 13)),),
    ],
)
def test_what_differs_in_a_mark_or_sign_is_no_copy(table, texts):
    documents = table(*({"document_id": str(n), "text": text} for n, text in enumerate(texts)))
    assert len(deduplicate(documents)[0]) == len(texts)


def test_every_near_copy_is_found_as_the_threshold_says(table):
    # Trigrams in common of trigrams in all: 288 of 300, .96, and 282 of 306, .92.
    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(296)]
    rows = []
    for topic in range(40):
        name = f"t{chr(97 + topic % 26)}{chr(97 + topic // 26)}"
        base = [name + word for word in words]
        near = [*base[:100], name + "x", *base[101:200], name + "y", *base[201:]]
        far = list(base)
        for place in (30, 90, 150, 210):
            far[place] = name + "z" + str("abcd"[place // 70])
        rows += [
            {"document_id": f"a{topic:02}", "text": " ".join(base), "modified": "2026"},
            {"document_id": f"b{topic:02}", "text": " ".join(near), "modified": "2025"},
            {"document_id": f"c{topic:02}", "text": " ".join(far), "modified": "2024"},
        ]
    kept, dropped = deduplicate(table(*rows), near=0.95)
    assert set(dropped["path"]) == {f"b{topic:02}" for topic in range(40)}
    assert len(kept) == 80


def test_soft_hyphens_go():
    assert clean_text("Ver\u00adsicherung") == "Versicherung"
