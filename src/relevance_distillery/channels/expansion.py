"""Expansion: a dictionary of what else a query's words are called, learned or given by the user.

Learned are acronyms with their long forms, and words that are near in embedding space and occur
together. Nearness is corrected for how near each word's other neighbours are (CSLS; Conneau et
al., 2018), which takes out names, numbers and word pieces that all look alike; association is
normalised pointwise mutual information over passages (Bouma, 2009). Words that mostly stand side
by side are siblings, opposites and names: `almonds and walnuts`, `enable or disable`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.dense import FIELDS, Encode, exact_top
from relevance_distillery.documents.acronyms import expansions
from relevance_distillery.errors import UserError
from relevance_distillery.io.tables import iter_lines
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.language import WORD, Language
from relevance_distillery.text.terms import analyzer, passage_text
from relevance_distillery.text.words import is_unspaced

_HEADER = """\
# Learned from the corpus: terms of a line look for each other, of `a => b` only a for b.
# To change it, copy it, edit it and pass it back with mining.expansion.learn=false.
"""
_SENSES = 4  # of an acronym; more is a page that lists them
_VOCABULARY = 20_000
_RARE, _COMMON = 3, 0.1  # passages that hold a word, and their share
_HUB, _MUTUAL = 10, 3  # neighbours
_COSINE, _MARGIN, _ASSOCIATION = 0.6, 0.12, 0.2
_TITLE = 120  # characters
_BESIDE = 0.3  # of their passages with both words within two words of each other


class ExpansionSettings(StrictModel):
    """The dictionary of the expansion channel, and how much it counts."""

    synonyms: str | None = None
    """A file of synonyms in the format of search engines: `a, b` or `a => b` a line."""
    learn: bool = True
    """Learn synonyms from the corpus too; false for your file alone."""
    weight: float = Field(0.3, ge=0, le=1)
    """Of an added term beside the query's own; less for a dictionary you trust less."""

    def dictionary(self, learned: str, language: str) -> "Dictionary":
        """What was learned and what the user's file says; UserError where that cannot be read."""
        found = Dictionary(language, self.weight)
        found.read(enumerate(learned.splitlines(), 1), "expansion_dictionary")
        if self.synonyms:
            path = Path(self.synonyms).expanduser()
            if not path.is_file():
                raise UserError(f"synonyms={path}: no such file; check the path")
            found.read(iter_lines(path), path.name)
        return found


class Dictionary:
    """Terms to add to a query, each at `weight`, by the words and phrases in it."""

    def __init__(self, language: str = "none", weight: float = 0.0) -> None:
        """Without entries."""
        self.weight = weight
        self._words = analyzer(language)
        self._added: dict[tuple[str, ...], dict[str, None]] = {}
        self._sizes: set[int] = set()

    def read(self, lines: Iterable[tuple[int, str]], source: str) -> None:
        """Add the entries of a synonym file: groups `a, b`, one-way `a, b => c`, comments `#`.

        UserError for a line (given with its number) that says nothing or too much.
        """
        for number, line in lines:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            sides = [
                [tuple(self._words.terms(term)) for term in side.split(",")]
                for side in line.split("=>")
            ]
            if len(sides) > 2 or sum(map(len, sides)) < 2 or any(() in side for side in sides):
                raise UserError(
                    f"{source}, line {number}: is neither `a, b` nor `a => b` with a word in every "
                    "place; correct the line, or begin it with # to skip it"
                )
            for start in sides[0]:
                self._sizes.add(len(start))
                for term in sides[-1]:
                    self._added.setdefault(start, {}).update(dict.fromkeys(term))

    def terms(self, query: str) -> list[str]:
        """Stemmed terms to add to a query, none of its own."""
        own = tuple(self._words.terms(query))
        found: dict[str, None] = {}
        for size in sorted(self._sizes):
            for start in range(len(own) - size + 1):
                found.update(self._added.get(own[start : start + size], {}))
        return [term for term in found if term not in set(own)]


def learn_dictionary(passages: pd.DataFrame, index: BM25Channel, encode: Encode) -> str:
    """A synonym file with the acronyms of a corpus and its words of like meaning.

    `passages` follow the schema `Passages`, `index` is BM25 over them, `encode` reads single words.
    """
    language = Language(index.language)
    counts, texts = Counter[str](), passage_text(passages, FIELDS)
    for text in texts:
        counts.update(WORD.findall(text))
    lines = [_HEADER, "# Acronyms"]
    for short, longs in expansions(passages, language).items():
        distinct = {tuple(language.terms(long)): long for long in reversed(longs)}
        # An acronym that is a word too (`CAR`, `IT`) would expand every query with the word.
        is_word = short.lower() in language.stop_words or counts[short.lower()] >= counts[short]
        if len(distinct) <= _SENSES and not is_word:
            lines += [f"{short}, {long}" for long in reversed(distinct.values())]
    pairs = _words(texts, counts, index, encode, language)
    return "\n".join([*lines, "", "# Words", *(f"{one}, {two}" for one, two in pairs)]) + "\n"


def _words(
    texts: list[str], counts: Counter[str], index: BM25Channel, encode: Encode, language: Language
) -> Iterator[tuple[str, str]]:
    """Pairs of words, each among the other's nearest, that share more passages than by chance."""
    forms: dict[str, str] = {}  # the commonest word of each stem
    for word in sorted(counts, key=lambda word: (-counts[word], word)):
        low, rest, terms = word.lower(), word[1:], language.terms(word)
        plain = rest in (low[1:], rest.upper()) and not any(map(str.isdigit, word))
        if plain and rest and len(terms) == 1 and not is_unspaced(word):
            forms.setdefault(terms[0], low)
    total, words, held = len(index.passage_ids), list[str](), list[np.ndarray]()
    for stem in list(forms)[:_VOCABULARY]:
        holders = index.passages_with(stem)
        if _RARE <= len(holders) <= _COMMON * total and forms[stem] not in language.stop_words:
            words.append(forms[stem])
            held.append(holders)
    vectors = encode(words)
    rows, cosines = exact_top(vectors, vectors, _HUB + 1)
    hub = (cosines.sum(axis=1) - 1) / _HUB
    near = {
        (one, int(two)): cosine
        for one in range(len(words))
        for two, cosine in zip(rows[one, : _MUTUAL + 1], cosines[one], strict=False)
    }
    for (one, two), cosine in near.items():
        # Vectors of very short names tell their letters alone.
        named = max(len(words[one]), len(words[two])) > 3
        mutual = one < two and (two, one) in near and named
        if mutual and cosine >= max(_COSINE, (hub[one] + hub[two]) / 2 + _MARGIN):
            both = np.intersect1d(held[one], held[two], assume_unique=True)
            chance = held[one].size * held[two].size / total
            if (
                both.size
                and np.log(both.size / chance) >= -_ASSOCIATION * np.log(both.size / total)
                and _beside(words[one], words[two], [texts[row] for row in both[:100]]) < _BESIDE
            ):
                yield words[one], words[two]


def _beside(one: str, two: str, texts: list[str]) -> float:
    """Share of texts, titles left out, in which words stand within two words of each other."""
    texts = [text for text in texts if len(text) >= _TITLE]
    one, two, gap = re.escape(one), re.escape(two), r"\w*\W+(?:\w+\W+)?"
    pattern = re.compile(rf"\b(?:{one}{gap}{two}|{two}{gap}{one})", re.IGNORECASE)
    return sum(1 for text in texts if pattern.search(text)) / max(len(texts), 1)
