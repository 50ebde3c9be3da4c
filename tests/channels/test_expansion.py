"""Expansion: synonym files, what a corpus teaches, and the search with both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.dense import DenseSettings
from relevance_distillery.channels.expansion import (
    Dictionary,
    ExpansionSettings,
    learn_dictionary,
)
from relevance_distillery.errors import UserError


def dictionary(text: str, weight: float = 0.5) -> Dictionary:
    found = Dictionary("en", weight)
    found.read(enumerate(text.splitlines(), 1), "synonyms.txt")
    return found


def passages(texts: list[str]) -> pd.DataFrame:
    blank = {name: "" for name in ("title", "heading", "path", "author", "modified")}
    names = [f"p{n}" for n in range(len(texts))]
    return pd.DataFrame({"passage_id": names, "document_id": names, "text": texts, **blank})


def test_groups_look_for_each_other_and_arrows_one_way():
    found = dictionary(
        "# ours\n\nlaptop, notebook computer ,portable\ncar, C# => vehicle, automobile\n"
    )

    assert found.terms("new LAPTOPS") == ["notebook", "comput", "portabl"]
    assert found.terms("notebook computers") == ["laptop", "portabl"]
    assert found.terms("notebook") == []
    assert found.terms("cars") == ["vehicl", "automobil"]
    assert found.terms("vehicle") == []


def test_words_of_the_query_are_not_added_and_each_is_added_once():
    found = dictionary("a, b c\nb, c, d")

    assert found.terms("a b") == ["c", "d"]
    assert len(found.terms("a b c " * 3_334)) == 1


@pytest.mark.parametrize("line", ["alone", "a =>", "=> a", "a => b => c", "a,, b", "a, ?!"])
def test_a_line_that_says_nothing_is_named(line, tmp_path):
    file = tmp_path / "synonyms.txt"
    file.write_text(f"# a comment\na, b\n{line}\n")

    with pytest.raises(UserError, match=r"synonyms\.txt, line 3: .*correct the line"):
        ExpansionSettings(synonyms=str(file)).dictionary("", "en")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.txt").write_bytes("caf\xe9, bar".encode("latin-1"))

    with pytest.raises(UserError, match=r"latin\.txt, row 1: .*UTF-8"):
        ExpansionSettings(synonyms=str(tmp_path / "latin.txt")).dictionary("", "en")
    for place in ("nowhere.txt", "."):
        with pytest.raises(UserError, match=r"synonyms=.*: no such file; check the path"):
            ExpansionSettings(synonyms=str(tmp_path / place)).dictionary("", "en")


def test_the_file_of_the_user_stands_beside_what_was_learned(tmp_path):
    file = tmp_path / "synonyms.txt"
    file.write_bytes("\ufeffleave, vacation\r\n".encode())
    found = ExpansionSettings(synonyms=str(file)).dictionary("PTO, paid time off", "en")

    assert found.terms("pto leave") == ["paid", "time", "off", "vacat"]


def test_added_terms_count_with_their_weight():
    table = passages(["notebook stand", "laptop sleeve", "laptop and notebook", "nothing"])
    index = BM25Channel.build(table, "en")
    asked = pd.DataFrame({"query_id": ["q", "r"], "text": ["laptop", "unknown"]})
    plain = np.array(
        [index.scores(word, table["passage_id"].tolist()) for word in ("laptop", "notebook")]
    )

    run = index.search(asked, 10, [["notebook"], ["notebook", "unheard"]], 0.5)

    scores = run[run["query_id"] == "q"].set_index("passage_id")["score"]
    assert scores.to_dict() == pytest.approx(
        {f"p{n}": plain[0, n] + 0.5 * plain[1, n] for n in range(3)}, rel=1e-6
    )
    assert run[run["query_id"] == "r"]["passage_id"].tolist() == ["p0", "p2"]
    pd.testing.assert_frame_equal(index.search(asked, 10, [[], []], 0.5), index.search(asked, 10))


@pytest.mark.parametrize("k", [1, 20, 500])
def test_the_best_with_added_terms_are_those_of_sorting_every_score(k):
    rng = np.random.default_rng(0)
    drawn = np.minimum(rng.geometric(0.2, (900, 3)) - 1, 20)
    table = passages([" ".join(f"w{n}" for n in row) for row in drawn])
    index = BM25Channel.build(table, "none")
    asked = pd.DataFrame({"query_id": ["q"], "text": ["w0 w7"]})

    run = index.search(asked, k, [["w1", "w9"]], 0.3)

    ids = table["passage_id"].tolist()
    scores = index.scores("w0 w7", ids) + 0.3 * index.scores("w1 w9", ids)
    assert run["score"].to_numpy() == pytest.approx(np.sort(scores)[::-1][: len(run)], rel=1e-5)
    assert len(run) == min(k, int((scores > 0).sum()))


def test_a_corpus_teaches_its_acronyms_and_words_of_like_meaning():
    filler = [f"page {word} of the handbook" for word in "abcdefghijklmnopqrstuvwxyz"]
    table = passages(
        [
            "Our service level agreement (SLA) is one hour.",
            "A performance plan (IT) and the IT team",
            "The information technology (IT) desk",
            *["You may buy, and to purchase is to buy, unlike 2019 2020"] * 3,
            *["Either the physician or the doctor signs; see XmlHttp XmlDom"] * 3,
            *["Voluntary or involuntary," + " it is said" * 20] * 3,
            *filler * 2,
        ]
    )
    index = BM25Channel.build(table, "en")

    learned = learn_dictionary(table, index, DenseSettings().encoder())

    lines = [line for line in learned.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "SLA, service level agreement"
    assert {frozenset(line.split(", ")) for line in lines[1:]} == {
        frozenset(("buy", "purchase")),
        frozenset(("physician", "doctor")),
    }
    assert dictionary(learned).terms("sla") == ["servic", "level", "agreement"]
    assert learned == learn_dictionary(table, index, DenseSettings().encoder())


@pytest.mark.parametrize("texts", [[], [""], ["one", "two"]])
def test_a_corpus_that_teaches_nothing_gives_an_empty_dictionary(texts):
    table = passages(texts)
    learned = learn_dictionary(table, BM25Channel.build(table, "none"), DenseSettings().encoder())

    assert dictionary(learned).terms("one") == []
