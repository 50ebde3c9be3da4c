"""Words and stems of a language."""

from __future__ import annotations

import re
from functools import cached_property

import Stemmer

from relevance_distillery.text.stopwords import STOP_WORDS, WEAK_WORDS
from relevance_distillery.text.terms import NO_STEMMING, stemmer_name

WORD = re.compile(r"[^\W_]+(?:[-'’.&][^\W_]+)*")
"""A word with its inner hyphens, apostrophes and points: `INC-2417`, `don't`, `5.0`."""


class Language:
    """Stop words and stems of one language.

    Attributes:
        name: Snowball's name of it, or `none` where words are not stemmed.
    """

    def __init__(self, name: str) -> None:
        """Find the language.

        Args:
            name: A two-letter code (`en`), Snowball's name (`english`) or `none`.

        Raises:
            UserError: There is no stemmer for it.
        """
        self.name = stemmer_name(name)
        self._stemmer = None if self.name == NO_STEMMING else Stemmer.Stemmer(self.name)

    @cached_property
    def stop_words(self) -> frozenset[str]:
        """Stop words; empty where no list exists."""
        return STOP_WORDS.get(self.name, frozenset())

    @cached_property
    def weak_words(self) -> frozenset[str]:
        """Words that neither begin nor end a phrase."""
        return WEAK_WORDS.get(self.name, frozenset())

    def stem(self, word: str) -> str:
        """The stem of one word, in lower case."""
        lower = word.lower().replace("’", "'")
        return lower if self._stemmer is None else str(self._stemmer.stemWord(lower))

    def stems(self, text: str, content_only: bool = False) -> list[str]:
        """Stems of all words of a text, in order.

        Args:
            text: Any text.
            content_only: Leave stop words out.
        """
        words = [word.lower().replace("’", "'") for word in WORD.findall(text)]
        if content_only:
            words = [word for word in words if word not in self.stop_words]
        return words if self._stemmer is None else list(self._stemmer.stemWords(words))
