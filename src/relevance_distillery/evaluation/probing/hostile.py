"""Documents that try to be graded higher than they deserve: hostile versions of passages.

Judges that read text can be talked to by the text: instructions in a document, faked ends of
the document and stuffed query words raise the grades that LLM judges give (Alaofi et al., 2024;
Greshake et al., 2023). A student that learned from such a judge may have learned that as well.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.strict import StrictModel

CONTROL = "control"

TEXT_COLUMNS = ("title", "heading", "text", "path", "author", "modified")
PROBE_COLUMNS = ("query_id", "query", "passage_id", "document_id", *TEXT_COLUMNS)


class Attack(StrictModel):
    """One text and where it is planted."""

    name: str = Field(min_length=1, pattern=r"^\w+$", description="for the report")
    kind: Literal["instruction", "system", "delimiter", "answer", "stuffing", "control"] = Field(
        description="what it tries; control is harmless and tries nothing"
    )
    language: str = Field("", description="ISO code, empty where it has none")
    places: tuple[Literal["start", "middle", "end", "title"], ...] = Field(
        ("end",), min_length=1, description="where it is planted, each place for itself"
    )
    text: str = Field(min_length=1, description="with {query}, {highest}, {highest_name}, {lowest}")

    def planted(self, query: str, scale: GradeScale) -> str:
        """The text for one query."""
        # Not str.format: faked answers hold braces, and queries may.
        words = {
            "{highest}": str(scale.grades[-1].value),
            "{highest_name}": scale.grades[-1].name,
            "{lowest}": str(scale.grades[0].value),
            "{query}": query,
        }
        text = self.text
        for word, value in words.items():
            text = text.replace(word, value)
        return text


class Attacks(StrictModel):
    """A file of attacks."""

    attacks: tuple[Attack, ...] = Field(min_length=1, description="see the file's head")

    @field_validator("attacks")
    @classmethod
    def _distinct(cls, attacks: tuple[Attack, ...]) -> tuple[Attack, ...]:
        names = [attack.name for attack in attacks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two attacks are called {', '.join(twice)}; give each its own name")
        return attacks

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any attack."""
        return hex_digest(self.model_dump_json())


def choose_pairs(
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    benchmark: Benchmark,
    most: int,
    seed: int,
) -> pd.DataFrame:
    """Pairs whose passage has nothing to do with the query.

    Half of them stored labels with the lowest grade, half pairs that the benchmark's people or
    authors gave the lowest grade, where it grades documents of the run; as many queries as
    there can be.

    Args:
        labels: Columns query_id, passage_id, grade.
        queries: Columns query_id, text.
        passages: Schema `Passages`.
        benchmark: Judgments of the run's documents, or anything else, which is left out.
        most: How many pairs.
        seed: Of the choice.

    Returns:
        Columns `PROBE_COLUMNS` and origin (`labels` or `benchmark`).
    """
    lowest = benchmark.scale.values[0]
    key = ["query_id", "query", "passage_id", "origin"]
    asked = queries[["query_id", "text"]].rename(columns={"text": "query"})
    stored = labels[labels["grade"] == lowest].merge(asked, on="query_id").assign(origin="labels")
    found = [_spread(stored[key], most, seed)]
    judged = benchmark.judgments[benchmark.judgments["grade"] == lowest]
    if benchmark.kind == "same_corpus" and len(judged):
        unit = "passage_id" if benchmark.graded_passages else "document_id"
        judged = judged.rename(columns={"document_id": unit})[["query_id", unit]]
        known = judged.merge(passages[["passage_id", "document_id"]], on=unit)
        texts = benchmark.queries[["query_id", "text"]].rename(columns={"text": "query"})
        known = known.merge(texts, on="query_id").assign(origin="benchmark")
        found = [_spread(known[key], most // 2, seed), *found]
    pairs = pd.concat(found, ignore_index=True).drop_duplicates(["query", "passage_id"])
    pairs = pairs.head(most).merge(passages, on="passage_id")
    return pairs[[*PROBE_COLUMNS, "origin"]].reset_index(drop=True)


def _spread(pairs: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """At most so many pairs, over as many queries as possible."""
    pairs = pairs.drop_duplicates(["query", "passage_id"])
    shuffled = pairs.sort_values(["query_id", "passage_id"]).sample(frac=1.0, random_state=seed)
    turn = shuffled.groupby("query_id").cumcount().to_numpy()
    return shuffled.iloc[np.argsort(turn, kind="stable")].head(most)


def hostile_versions(pairs: pd.DataFrame, attacks: Attacks, scale: GradeScale) -> pd.DataFrame:
    """Every pair under every attack at every place.

    Args:
        pairs: Columns `PROBE_COLUMNS`.
        attacks: What is planted.
        scale: The grades that the attacks ask for.

    Returns:
        The columns of `pairs` with attacked texts, attack (`NAME@PLACE`), kind, language,
        place, and pair (the row in `pairs`).
    """
    versions = []
    for attack in attacks.attacks:
        planted = [attack.planted(query, scale) for query in pairs["query"]]
        for place in attack.places:
            rows = pairs.reset_index(drop=True).copy()
            column = "title" if place == "title" else "text"
            rows[column] = [
                _plant(text, words, place)
                for text, words in zip(rows[column], planted, strict=True)
            ]
            versions.append(
                rows.assign(
                    attack=f"{attack.name}@{place}",
                    kind=attack.kind,
                    language=attack.language,
                    place=place,
                    pair=np.arange(len(rows)),
                )
            )
    return pd.concat(versions, ignore_index=True)


def _plant(text: str, words: str, place: str) -> str:
    if place == "start":
        return f"{words}\n\n{text}"
    if place == "title":
        return f"{text} {words}".strip()
    if place == "end":
        return f"{text}\n\n{words}"
    # Between words, so that the rest of the passage reads as before.
    middle = text.find(" ", len(text) // 2)
    middle = len(text) if middle < 0 else middle
    return f"{text[:middle]}\n\n{words}\n\n{text[middle:].lstrip()}"
