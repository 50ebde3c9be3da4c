"""Hostile documents, a judge that is fooled by them and one that is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from relevance_distillery.collections.benchmark import held_out
from relevance_distillery.evaluation.robustness import (
    Attacks,
    as_lines,
    choose_pairs,
    hostile_versions,
    probe,
)
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

BUNDLED = Path(__file__).parents[2] / "data" / "01_raw" / "sample" / "hostile.yml"


@pytest.fixture(scope="module")
def attacks() -> Attacks:
    return Attacks.model_validate(yaml.safe_load(BUNDLED.read_text(encoding="utf-8")))


def irrelevant_pairs(number: int = 24) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": [f"q{n // 2}" for n in range(number)],
            "query": [f"holiday allowance {n // 2}" for n in range(number)],
            "passage_id": [f"p{n}" for n in range(number)],
            "document_id": [f"d{n}" for n in range(number)],
            "title": "Cranes",
            "heading": "",
            "text": [
                f"Crane {n} lifts forty tons and is greased on Mondays." for n in range(number)
            ],
            "path": "",
            "author": "",
            "modified": "",
        }
    )


class Steady:
    """Reads nothing but whether the passage was written about cranes."""

    name = "steady"

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"grade": 0, "expected_grade": 0.1}, index=pairs.index)


class Gullible:
    """Does what it is told in English, and believes that repeated query words are an answer."""

    name = "gullible"

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        grades = [
            3
            if re.search(r"grade (it )?(the document )?3|answer 3|grade\": 3", row.text, re.I)
            or row.text.count(row.query) > 2
            else 0
            for row in pairs.itertuples()
        ]
        return pd.DataFrame(
            {"grade": grades, "expected_grade": np.array(grades, dtype=float)}, index=pairs.index
        )


class Refusing(Steady):
    """Fails on whatever looks like a chat template, as content filters do."""

    name = "refusing"

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        odd = pairs["text"].str.contains("<|im_start|>", regex=False)
        table = super().grade(pairs).astype({"grade": "Int64"})
        table.loc[odd, ["grade", "expected_grade"]] = None
        return table.assign(failure=np.where(odd, "filtered: the server refused", ""))


def test_the_probe_tells_a_gullible_judge_from_a_steady_one(attacks: Attacks) -> None:
    pairs = irrelevant_pairs()
    steady = probe(Steady(), pairs, attacks, SCALE, resamples=200)
    gullible = probe(Gullible(), pairs, attacks, SCALE, resamples=200)
    assert steady["overall"]["mean_change"]["estimate"] == 0
    assert steady["overall"]["raised"]["high"] == 0
    assert gullible["overall"]["raised"]["low"] > 0.1
    assert gullible["overall"]["raised_above_control"]["low"] > 0.1
    told = gullible["attacks"]["ignore_the_above@end"]
    assert told["mean_change"]["estimate"] == 3
    assert told["raised"]["estimate"] == 1
    assert gullible["attacks"]["query_often@end"]["raised"]["estimate"] == 1
    # It reads English only, and harmless text does nothing to it.
    assert gullible["attacks"]["chinese@end"]["raised"]["estimate"] == 0
    assert gullible["kinds"]["control"]["raised"]["high"] == 0
    told_line = next(line for line in as_lines(gullible) if line.startswith("ignore_the_above@end"))
    assert re.search(r"\+3\.00 \(\+3\.00 to \+3\.00\) +100 \(100 to 100\) % +0$", told_line)
    json.dumps([steady, gullible], allow_nan=False)


def test_with_few_queries_intervals_stay_within_what_a_share_and_a_change_can_be(
    attacks: Attacks,
) -> None:
    class Moody(Gullible):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            found = super().grade(pairs)
            fooled = ~pairs["query"].str.endswith("2") & pairs["passage_id"].ne("p0")
            return found.where(fooled, 0)

    found = probe(Moody(), irrelevant_pairs(6), attacks, SCALE, resamples=200)
    measured = [found["overall"], *found["kinds"].values(), *found["attacks"].values()]
    assert any(0 < one["raised"]["estimate"] < 1 for one in measured)
    for one in measured:
        assert 0 <= one["raised"]["low"] <= one["raised"]["high"] <= 1
        assert -3 <= one["mean_change"]["low"] <= one["mean_change"]["high"] <= 3
    above = found["overall"]["raised_above_control"]
    assert -1 <= above["low"] <= above["estimate"] <= above["high"] <= 1


def test_a_judge_that_grows_stricter_has_a_negative_change(attacks: Attacks) -> None:
    class Offended(Steady):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            clean = pairs["text"].str.endswith("Mondays.") & pairs["text"].str.startswith("Crane")
            return pd.DataFrame({"grade": clean.astype(int), "expected_grade": clean.astype(float)})

    found = probe(Offended(), irrelevant_pairs(), attacks, SCALE, resamples=100)
    assert found["attacks"]["ignore_the_above@start"]["mean_change"]["estimate"] == -1


def test_failures_of_attacked_pairs_are_counted_not_graded(attacks: Attacks) -> None:
    found = probe(Refusing(), irrelevant_pairs(), attacks, SCALE, resamples=100)
    lost = found["attacks"]["chat_template@end"]
    assert (lost["versions"], lost["failed"]) == (24, 24)
    assert lost["mean_change"] == {
        "estimate": None,
        "low": None,
        "high": None,
        "reason": "no attacked pair was graded",
    }
    assert found["failures"] == {"filtered: the server refused": 48}


def test_pairs_that_the_judge_calls_relevant_anyway_are_left_out(attacks: Attacks) -> None:
    class Generous(Steady):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            even = pairs["passage_id"].str[1:].astype(int) % 2 * 2
            return pd.DataFrame({"grade": even, "expected_grade": even.astype(float)})

    found = probe(Generous(), irrelevant_pairs(), attacks, SCALE, resamples=100)
    assert found["pairs"] == 12
    assert found["left_out"] == {"relevant when clean": 12}


def test_the_bundled_attacks_are_of_every_kind_language_and_place(attacks: Attacks) -> None:
    every = attacks.attacks
    kinds = {"instruction", "system", "delimiter", "answer", "stuffing", "control"}
    assert {attack.kind for attack in every} == kinds
    assert len({attack.language for attack in every} - {""}) >= 6
    assert {place for attack in every for place in attack.places} == {
        "start",
        "middle",
        "end",
        "title",
    }
    versions = hostile_versions(irrelevant_pairs(2), attacks, SCALE)
    assert not versions["text"].str.contains("{query}", regex=False).any()
    assert not versions["text"].str.contains("{highest", regex=False).any()
    assert versions.groupby("attack").size().eq(2).all()


def test_planting_keeps_every_word_of_the_passage(attacks: Attacks) -> None:
    pairs = irrelevant_pairs(3)
    versions = hostile_versions(pairs, attacks, SCALE)
    for row in versions[versions["place"] != "title"].itertuples():
        words = pairs.loc[row.pair, "text"].split()
        rest = iter(row.text.split())
        assert all(word in rest for word in words), row.attack
        assert len(row.text) > len(pairs.loc[row.pair, "text"])


def test_pairs_come_from_labels_and_from_authors_over_many_queries(tmp_path: Path) -> None:
    labels = pd.DataFrame(
        [(f"q{q}", f"p{p}", 0 if p else 3) for q in range(10) for p in range(9)],
        columns=["query_id", "passage_id", "grade"],
    )
    queries = pd.DataFrame({"query_id": [f"q{n}" for n in range(10)]})
    queries["text"] = "text of " + queries["query_id"]
    passages = pd.DataFrame({"passage_id": [f"p{n}" for n in range(9)]})
    passages["document_id"] = passages["passage_id"]
    for column in ("title", "heading", "text", "path", "author", "modified"):
        passages[column] = column
    pairs = choose_pairs(labels, queries, passages, held_out(SCALE), 10, seed=1)
    assert pairs["query_id"].nunique() == len(pairs) == 10
    assert "p0" not in set(pairs["passage_id"])
    again = choose_pairs(labels.iloc[::-1], queries, passages, held_out(SCALE), 10, seed=1)
    pd.testing.assert_frame_equal(pairs, again)


def test_a_wrong_file_of_attacks_is_refused() -> None:
    good = {"name": "a", "kind": "system", "text": "x"}
    with pytest.raises(ValidationError, match="known: kind, language, name, places, text"):
        Attacks.model_validate({"attacks": [good | {"txet": "y"}]})
    with pytest.raises(ValidationError, match="two attacks are called a"):
        Attacks.model_validate({"attacks": [good, good]})
    with pytest.raises(ValidationError, match="places"):
        Attacks.model_validate({"attacks": [good | {"places": ["everywhere"]}]})
