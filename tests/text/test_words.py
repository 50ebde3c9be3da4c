"""Words of many scripts: marks stay, what nobody sees goes, runs without blanks are cut."""

from __future__ import annotations

import logging

import pandas as pd
import pytest

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer
from relevance_distillery.synthesizers.filters import query_key
from relevance_distillery.text.language import WORD, Language
from relevance_distillery.text.terms import Analyzer


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("hi", "हिन्दी कर्मचारी", 2),
        ("ar", "سِيَاسَةُ السَّفَر", 2),
        ("none", "நாட்டின் மொழி", 2),
        ("none", "বাংলাদেশের ভাষা", 2),
        ("none", "שָׁלוֹם עוֹלָם", 2),
        ("none", "Ver\u00adsicherung", 1),
        ("none", "می‌خواهم", 1),
        ("en", "step 1️⃣ done", 3),
    ],
)
def test_words_keep_their_marks(language, text, count):
    assert len(Analyzer(language).terms(text)) == count
    assert len(WORD.findall(text)) == count


@pytest.mark.parametrize("text", ["会议室通过内部系统预订", "社内システム", "สวัสดีครับ", "ខ្ញុំរៀន"])
def test_scripts_without_blanks_give_pairs(text):
    terms = Analyzer("none").terms(text)
    assert len(terms) > 3
    assert text[:2] in "".join(terms)


def test_terms_of_english_are_the_runs_of_letters_and_digits():
    text = "Don't re-use travel_policy-2024.md: Café №5, naïve ½ x²"
    assert Analyzer("none").terms(text) == (
        [
            "don",
            "t",
            "re",
            "use",
            "travel",
            "policy",
            "2024",
            "md",
            "café",
            "no5",
            "naïve",
            "1",
            "2",
            "x2",
        ]
    )


def test_a_vowel_sign_makes_another_word_and_finds_it_first():
    texts = ["आज का दिन", "आज का दान", "आज का दीन"]
    passages = pd.DataFrame({"passage_id": ["day", "gift", "poor"], "text": texts})
    query = pd.DataFrame({"query_id": ["q"], "text": ["दान"]})
    for language in ("hi", "none"):
        run = BM25Channel.build(passages, language).search(query, 3)
        assert run["passage_id"].iloc[0] == "gift"
    assert run["passage_id"].tolist() == ["gift"]
    assert query_key("दिन", Language("hi")) != query_key("दान", Language("hi"))


def test_a_chinese_query_finds_its_passage():
    texts = [
        "差旅报销：酒店每晚最多报销六百元",
        "会议室通过内部系统预订",
        "打印机卡纸时请先关闭电源",
    ]
    passages = pd.DataFrame({"passage_id": list("abc"), "text": texts})
    query = pd.DataFrame({"query_id": ["q"], "text": ["预订会议室"]})
    assert BM25Channel.build(passages, "none").search(query, 1)["passage_id"].tolist() == ["b"]


def test_pointed_hebrew_and_arabic_match_unpointed():
    words = Analyzer("none")
    assert words.terms("שָׁלוֹם") == words.terms("שלום")
    assert words.terms("سِيَاسَة") == words.terms("سياسة")


@pytest.mark.parametrize("language", ["tr", "en", "none"])
def test_the_turkish_capital_of_i(language):
    assert Analyzer(language).terms("İstanbul") == Analyzer(language).terms("istanbul")
    assert Language(language).stems("İstanbul") == Language(language).stems("istanbul")


def test_the_capital_of_the_turkish_letter_without_a_dot():
    assert Analyzer("tr").terms("IĞDIR") == Analyzer("tr").terms("ığdır")


def test_extractive_queries_without_blanks_are_warned_about(caplog):
    text = "员工出差后需在三十天内提交报销申请。酒店每晚最多报销六百元。"
    row = dict.fromkeys(("heading", "path", "author", "modified"), "")
    row |= {"passage_id": "a#0", "document_id": "a", "title": "差旅报销", "text": text}
    passages = pd.DataFrame([row])
    with caplog.at_level(logging.WARNING):
        ExtractiveSynthesizer("none").write(passages, passages, 1, 0)
    assert "1 of 1 passages" in caplog.text
