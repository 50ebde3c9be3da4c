"""Salient phrases of a passage, by statistics of the whole corpus.

Words are weighed by tf-idf over documents (Spärck Jones, 1972) and phrases by the words in
them, with a bonus for what the author marked (title, heading, bold) and for word sequences
that other documents use too: the idea of class-based tf-idf (Grootendorst, 2022), with each
document as a class, and of collocations (Church & Hanks, 1990).
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from relevance_distillery.documents.markdown import blocks, bold
from relevance_distillery.text.language import WORD, Language, words

_PUNCTUATION = frozenset('.,;:!?()[]{}"“”„/|–—=<>*#+…')
_BONUS = {"title": 1.6, "heading": 1.5, "bold": 1.3, "body": 1.0}
_MAX_WORDS = 3
_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")
_BEFORE_NOUNS = words(
    """the a an this that these those our your my their its his her no any every each some all of
    for with by in on per without about from into between against during under over new old"""
)
_AFTER_NOUNS = words("of is are was were has have must can will may")
_BEFORE_VERBS = words(
    """to will can may must should would could shall i you we they he she it who not cannot please
    don't never didn't doesn't won't which also always did does"""
)


@dataclass(frozen=True)
class Phrase:
    """A run of one to three words that could be searched for.

    Attributes:
        score: Salience for its passage, higher is more.
        position: Number of the block where it was first found.
        source: `title`, `heading`, `bold` or `body`.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    score: float
    position: int
    source: str

    @property
    def text(self) -> str:
        """The words in one string."""
        return " ".join(self.words)


def content_runs(text: str, language: Language) -> list[list[str]]:
    """Sequences of content words between stop words and punctuation."""
    found: list[list[str]] = []
    current: list[str] = []
    end = 0
    text = _POSSESSIVE.sub("", text)
    for match in WORD.finditer(text):
        between = text[end : match.start()]
        end = match.end()
        word = match.group()
        broken = any(char in _PUNCTUATION for char in between) or " - " in between
        # "IT" and "US" are names, "it" and "us" are not.
        named = word.isupper() and len(word) > 1 and not text.isupper()
        stop = word.lower().replace("’", "'") in language.stop_words and not named
        if broken or stop:
            if current:
                found.append(current)
            current = []
        if not stop:
            current.append(word)
    if current:
        found.append(current)
    return found


class Corpus:
    """Frequencies over all documents, of which there are `size`."""

    def __init__(self, passages: pd.DataFrame, language: Language) -> None:
        """Count stems and pairs of neighbouring stems in the whole `passages` table."""
        self.language = language
        self.documents_with: dict[str, set[int]] = {}
        pairs: dict[tuple[str, str], set[int]] = {}
        self._marked: set[tuple[str, ...]] = set()
        self._after_noun_marker: Counter[str] = Counter()
        self._after_verb_marker: Counter[str] = Counter()
        self._capitals: Counter[str] = Counter()
        self.title_stems: set[str] = set()
        numbers = {name: n for n, name in enumerate(passages["document_id"].unique())}
        self.size = len(numbers)
        dates = passages.drop_duplicates("document_id")["modified"].astype(str)
        self._dates = Counter(dates.str[:4]) + Counter(dates.str[:7])
        for row in passages.itertuples(index=False):
            document = numbers[row.document_id]
            named = [str(row.title), str(row.heading)]
            self.title_stems.update(language.stems(str(row.title)))
            for text in (*named, *blocks(str(row.text))):
                self._note_markers(text)
                for run in content_runs(text, language):
                    row_stems = [language.stem(word) for word in run]
                    for stem in row_stems:
                        self.documents_with.setdefault(stem, set()).add(document)
                    for pair in pairwise(row_stems):
                        pairs.setdefault(pair, set()).add(document)
            for text in (*named, *bold(str(row.text))):
                for run in content_runs(text, language):
                    self._marked.add(tuple(language.stem(word) for word in run))
        self._pairs = {pair: len(found) for pair, found in pairs.items()}

    def _note_markers(self, text: str) -> None:
        found = WORD.findall(text)
        for word in found[1:]:
            self._capitals[word.lower()] += 1 if word[0].isupper() else -1
        lower = [word.lower() for word in found]
        for before, word in pairwise(lower):
            if before in _BEFORE_NOUNS:
                self._after_noun_marker[word] += 1
            elif before in _BEFORE_VERBS:
                self._after_verb_marker[word] += 1
            if word in _AFTER_NOUNS:
                self._after_noun_marker[before] += 1

    def is_name(self, word: str) -> bool:
        """Whether a word is mostly written with a capital inside sentences, at least twice."""
        return self._capitals[word.lower()] >= 2

    def nounlike(self, word: str) -> float:
        """Between 0 and 1: does a word follow articles and prepositions, or pronouns and modals?

        A rough part-of-speech tag from the words beside it in this corpus;
        less than half where it was never seen beside any. English only, 1 elsewhere.
        """
        if self.language.name != "english" or self.is_name(word) or word.isupper():
            return 1.0
        nouns = self._after_noun_marker[word.lower()]
        verbs = self._after_verb_marker[word.lower()]
        return (nouns + 0.4) / (nouns + verbs + 1)

    def date_share(self, date: str) -> float:
        """Share of the documents that carry a year (`2026`) or month (`2026-03`)."""
        return self._dates[date] / max(self.size, 1)

    def frequency(self, stem: str) -> int:
        """In how many documents a stem occurs."""
        return len(self.documents_with.get(stem, ()))

    def idf(self, stem: str) -> float:
        """Inverse document frequency (Robertson & Spärck Jones), never negative."""
        df = self.frequency(stem)
        return math.log(1 + (self.size - df + 0.5) / (df + 0.5))

    def support(self, stems: tuple[str, ...]) -> float:
        """1 for a sequence seen once, more where other documents or headings use it too."""
        if len(stems) < 2:
            return 1.0
        seen = min(self._pairs.get(pair, 0) for pair in pairwise(stems))
        return (1.25 if seen >= 2 else 0.8) * (1.3 if stems in self._marked else 1.0)

    def phrases(self, title: str, heading: str, text: str) -> list[Phrase]:
        """Phrases of one passage, the highest score first.

        Words that occur in one document only and nowhere in a title or heading weigh less:
        they distinguish passages, but searchers do not think of them.
        """
        sources = [("title", title), ("heading", heading)]
        sources += [("bold", item) for item in bold(text)]
        sources += [("body", block) for block in blocks(text)]
        counts: Counter[tuple[str, ...]] = Counter()
        first: dict[tuple[str, ...], tuple[tuple[str, ...], int, str]] = {}
        for position, (source, content) in enumerate(sources):
            for run in content_runs(content, self.language):
                for start in range(len(run)):
                    for stop in range(start + 1, min(start + _MAX_WORDS, len(run)) + 1):
                        span = tuple(run[start:stop])
                        if not self.searchable(span):
                            continue
                        stems = tuple(self.language.stem(word) for word in span)
                        counts[stems] += 1
                        first.setdefault(stems, (span, position, source))
        found = [
            Phrase(span, stems, self.score(span, counts[stems], source), position, source)
            for stems, (span, position, source) in first.items()
        ]
        return sorted(found, key=lambda phrase: (-phrase.score, phrase.position, phrase.text))

    def score(self, span: tuple[str, ...], count: int = 1, source: str = "title") -> float:
        """Salience of a run of words for the passage where it occurs `count` times."""
        stems = tuple(self.language.stem(word) for word in span)
        weights = [
            self.idf(stem) * (0.65 if self.frequency(stem) < 2 and source == "body" else 1.0)
            for stem in stems
        ]
        mean = sum(weights) / len(weights)
        length = (0.8, 1.15, 1.1)[len(stems) - 1]
        nouns = min(self.nounlike(span[0]) + 0.25, self.nounlike(span[-1]))
        score = mean * length * (1 + math.log(count)) * _BONUS[source] * self.support(stems)
        return score * min(1.0, 0.1 + nouns)

    def searchable(self, span: tuple[str, ...]) -> bool:
        """Whether a run of words could be a query, by its first and last word."""
        weak = self.language.weak_words
        for edge in {span[0], span[-1]}:
            if edge.lower() in weak or len(edge) < 2:
                return False
            if self.language.name == "english" and edge.endswith("ly") and edge.islower():
                return False
        if span[0][0].isdigit():
            return False
        if span[-1].replace(".", "").isdigit():
            # A figure says something only after a name: "ISO 27001", "Harbourline 5.0".
            return len(span) > 1 and span[-2][0].isupper()
        return len({word.lower() for word in span}) == len(span)
