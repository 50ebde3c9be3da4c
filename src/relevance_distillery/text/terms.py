"""Text to stemmed terms, the same for the index, for queries and for term coverage."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import pandas as pd
import Stemmer
from pydantic import AfterValidator

from relevance_distillery.errors import UserError
from relevance_distillery.text.words import WORD_PART, cut, fold, without_points

PASSAGE_FIELDS = ("title", "heading", "path", "author", "modified", "text")
"""The passage columns that lexical matching reads, in this order."""

NO_STEMMING = "none"

_ISO_639_1 = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "es": "spanish", "et": "estonian", "fi": "finnish", "fr": "french",
    "hi": "hindi", "hu": "hungarian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip

# Letters and digits are kept apart from everything else, the underscore included, so that
# `travel_policy-2024.md` in a path matches a query that says "travel policy 2024".
_WORD = re.compile(WORD_PART)
_REMEMBERED = 100_000  # words; by default a stemmer forgets beyond 10,000
# Latin letters and punctuation: no marks, and blanks between words.
_PLAIN = re.compile("[\0-\u02ff\u2010-\u205f]*")
_PLAIN_WORD = re.compile(r"[^\W_]+")


def stemmer_name(language: str) -> str:
    """The Snowball stemmer for a language: a name of `Stemmer.algorithms()`, or `none`.

    The language is an ISO 639-1 code (`en`), a stemmer's own name (`english`), or `none` for one
    that has no stemmer. UserError where there is none for it.
    """
    key = language.strip().lower()
    name = _ISO_639_1.get(key, key)
    if name == NO_STEMMING or name in Stemmer.algorithms():
        return name
    raise UserError(
        f"There is no stemmer for language={language!r}: use one of "
        f"{', '.join(sorted(_ISO_639_1))}, or none to match words as they are written."
    )


def _known_language(language: str) -> str:
    try:
        stemmer_name(language)
    except UserError as error:
        raise ValueError(str(error)) from error
    return language


StemmerLanguage = Annotated[str, AfterValidator(_known_language)]
"""Type of a parameter: ISO code or name of a language that has a stemmer, or `none`."""


class Analyzer:
    """Splits text into lower-case words and stems them with the stemmer `name`, or `none`.

    Words are runs of letters, digits and marks after Unicode NFKC and case folding; scripts
    without blanks give pairs of characters. Nothing is dropped as a stop word, since inverse
    document frequency takes the weight from words that occur everywhere. The stemmers are
    Snowball's (Porter, 2001). `is_turkish`: `I` is the capital of `ı`.
    """

    def __init__(self, language: str) -> None:
        """Choose the stemmer; see `stemmer_name` for what `language` may be."""
        self.name = stemmer_name(language)
        self.is_turkish = self.name == "turkish"
        self._stemmer = (
            None if self.name == NO_STEMMING else Stemmer.Stemmer(self.name, _REMEMBERED)
        )

    def terms(self, text: str) -> list[str]:
        """The stemmed words of `text`, in order, with repetitions."""
        return self.stemmed(self.words(text))

    def words(self, text: str) -> list[str]:
        """The words of `text` as `terms` stems them."""
        folded = without_points(fold(text, self.is_turkish))
        # The same words, found in a fifth of the time.
        plain = _PLAIN.fullmatch(folded)
        return _PLAIN_WORD.findall(folded) if plain else cut(_WORD.findall(folded))

    def stemmed(self, words: list[str]) -> list[str]:
        """The stem of each of some lower-case words."""
        return words if self._stemmer is None else list(self._stemmer.stemWords(words))

    def located(self, text: str) -> list[tuple[int, int, tuple[str, ...]]]:
        """Each word of `text` as it is written: start, end and its stemmed terms.

        A word has several terms where normalisation takes it apart, as with `½`.
        """
        return [
            (found.start(), found.end(), tuple(self.terms(found.group())))
            for found in _WORD.finditer(text)
        ]


@lru_cache(maxsize=8)
def analyzer(language: str) -> Analyzer:
    """One analyzer a language, kept, since its stemmer remembers words."""
    return Analyzer(language)


def passage_text(table: pd.DataFrame, fields: Sequence[str] = PASSAGE_FIELDS) -> list[str]:
    """Everything of a passage that can be matched by words, one string a row.

    `fields` are the columns to join, of passages or pairs; absent ones count as empty.
    """
    columns = [table[field].fillna("").astype(str) for field in fields if field in table.columns]
    return [" \n".join(parts) for parts in zip(*columns, strict=True)] if columns else []
