"""Words of every script: with their marks, without what nobody sees, cut where no blanks are."""

import re
import unicodedata
from itertools import pairwise

MARKS = "".join(
    char
    for char in map(chr, range(0x300, 0x1F000))
    if unicodedata.category(char) in ("Mn", "Mc") and not "\ufe00" <= char <= "\ufe0f"
).replace("\u034f", "")
"""Vowel signs, accents and points; `re` does not count them to a word."""

UNSEEN = "\u00ad\u034f\u061c\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff"
"""A class of `re`: soft hyphens, joiners, directions and variants, which words are read without."""

WORD_PART = rf"[^\W_]+(?:[{MARKS}{UNSEEN}]+[^\W_]*)*"
"""A pattern for a run of letters, digits and their marks."""

# Han, kana and bopomofo; Thai and Lao; Burmese and Khmer; Tai, Balinese and Javanese.
_UNSPACED = (
    "\u3005-\u3007\u3040-\u30fa\u30fc-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003fffd\u0e00-\u0e4f\u0e80-\u0ecf\u1000-\u103f\u1050-\u109f\ua9e0-\ua9ef"
    "\uaa60-\uaa7f\u1780-\u17df\u1950-\u19cf\u1a20-\u1a7f\u1b00-\u1b4f\ua980-\ua9cf"
)
_CLUSTER = re.compile(f"[{_UNSPACED}][{MARKS}]*")
_PART = re.compile(f"(?:[{_UNSPACED}][{MARKS}]*)+|[^{_UNSPACED}]+")
_UNSEEN = re.compile(f"[{UNSEEN}]")
# Optional in writing: Hebrew points, Arabic vowels and stretching.
_POINTS = re.compile("[\u0591-\u05bd\u05bf\u05c1-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
_MOSTLY = 0.3


def fold(text: str, turkish: bool = False) -> str:
    """Text as it counts for sameness of words: NFKC, case folded, without what nobody sees.

    In Turkish `I` is the capital of `ı`.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _seen(text, turkish).casefold()


def lower(word: str, turkish: bool = False) -> str:
    """A word in lower case, its apostrophes straight, otherwise as `fold`."""
    return _seen(word, turkish).lower().replace("’", "'")


def _seen(text: str, turkish: bool) -> str:
    if not text.isascii():
        text = _UNSEEN.sub("", text).replace("İ", "i")
    return text.replace("I", "ı") if turkish else text


def without_points(text: str) -> str:
    """Text without Hebrew points and Arabic vowels, which most writers leave out."""
    return text if text.isascii() else _POINTS.sub("", text)


def cut(words: list[str]) -> list[str]:
    """Words, those of scripts without blanks as their characters and pairs of characters.

    Overlapping pairs find what dictionaries would cut about as well in Chinese, Japanese and
    Thai (Savoy, 2005), and need none.
    """
    if not _CLUSTER.search("".join(words)):
        return words
    found: list[str] = []
    for word in words:
        for part in _PART.findall(word):
            clusters = _CLUSTER.findall(part)
            found += [*clusters, *(a + b for a, b in pairwise(clusters))] if clusters else [part]
    return found


def is_unspaced(text: str) -> bool:
    """Much of the text is in a script that sets no blanks between words."""
    return len("".join(_CLUSTER.findall(text))) > _MOSTLY * len(text)


def ends_in_word(text: str) -> bool:
    """The last character belongs to a word."""
    return text[-1:].isalnum() or (text[-1:] in MARKS and text != "")


def normalised(text: str) -> str:
    """Text as compared for equality: NFKC, case folded, white space as single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
