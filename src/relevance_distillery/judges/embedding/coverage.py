"""How much of a query's information a passage holds: IDF-weighted term coverage."""

import math
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from relevance_distillery.text.terms import analyzer, passage_text


@dataclass(frozen=True)
class TermStatistics:
    """In how many passages of a corpus, of so many, each stemmed term occurs.

    `language` is the stemmer's name.
    """

    passages: int
    frequencies: dict[str, int]
    language: str

    @classmethod
    def count(cls, texts: Iterable[str], language: str) -> Self:
        """Count the terms of a corpus, one text a passage."""
        words = analyzer(language)
        counts: Counter[str] = Counter()
        passages = 0
        for text in texts:
            counts.update(set(words.terms(text)))
            passages += 1
        return cls(passages, dict(sorted(counts.items())), words.name)

    def weight(self, term: str) -> float:
        """Inverse document frequency as in BM25 (Robertson and Spärck Jones), above 0."""
        frequency = self.frequencies.get(term, 0)
        return math.log(1 + (self.passages - frequency + 0.5) / (frequency + 0.5))

    @cached_property
    def _corrections(self) -> dict[str, str | None]:
        return {}

    def coverage(self, query: str, passage_terms: frozenset[str]) -> float:
        """Share of the query's IDF weight whose terms occur in a passage.

        A term that no passage of the corpus holds also counts as found where the passage has the
        known term that is one edit away: a typo. 0 to 1; 0 for a query without words.
        """
        terms = dict.fromkeys(analyzer(self.language).terms(query))
        total = found = 0.0
        for term in terms:
            if term not in self._corrections:
                self._corrections[term] = nearest_known(term, self.frequencies)
            # A misspelt word weighs what the corrected one weighs.
            corrected = self._corrections[term] or term
            weight = self.weight(corrected)
            total += weight
            if term in passage_terms or corrected in passage_terms:
                found += weight
        return found / total if total else 0.0

    def coverages(self, pairs: pd.DataFrame) -> np.ndarray:
        """Coverage of every pair by all `PASSAGE_FIELDS`, shape (pairs,), float64, 0 to 1."""
        words = analyzer(self.language)
        held: dict[str, frozenset[str]] = {}
        values = np.zeros(len(pairs))
        for row, (query, text) in enumerate(zip(pairs["query"], passage_text(pairs), strict=True)):
            if text not in held:
                held[text] = frozenset(words.terms(text))
            values[row] = self.coverage(query, held[text])
        return values


MIN_LENGTH = 4  # shorter terms are left alone: one edit turns them into too many other words


def nearest_known(term: str, frequencies: Mapping[str, int]) -> str | None:
    """The most frequent known term within one edit of an unknown one.

    An edit deletes, inserts or replaces a letter, or swaps two neighbours (Damerau, 1964).
    Terms with a digit are never corrected: `2023` is not a misspelt `2024`. Ties are broken by the
    alphabet; None where nothing is near, or where the term is known already.
    """
    if term in frequencies or len(term) < MIN_LENGTH or not term.isalpha():
        return None
    letters = string.ascii_lowercase + "".join(sorted(set(term) - set(string.ascii_lowercase)))
    splits = [(term[:at], term[at:]) for at in range(len(term) + 1)]
    edits = {left + right[1:] for left, right in splits if right}
    edits |= {left + right[1] + right[0] + right[2:] for left, right in splits if len(right) > 1}
    edits |= {left + letter + right[1:] for left, right in splits if right for letter in letters}
    edits |= {left + letter + right for left, right in splits for letter in letters}
    known = [edit for edit in edits if edit in frequencies]
    return min(known, key=lambda edit: (-frequencies[edit], edit)) if known else None
