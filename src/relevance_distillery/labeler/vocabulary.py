"""The words of some texts as keyed hashes: enough to count unknown words, nothing to read."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.text.terms import NO_STEMMING, analyzer

COMMON = 50
"""How many of the most widespread words count as common: function words, in running text."""

MOST_TERMS = 100_000
FEWEST_TEXTS = 2
_HASH_BYTES = 4


class Vocabulary:
    """Hashes of the words that occur in at least two texts.

    Words are taken as written (Unicode NFKC, case folded): unknown words are counted alike in
    training and in a batch, so inflection needs no stemmer, and no language has to be known.
    A word of a single text, often a name or a number, is not kept.

    Attributes:
        key: Of the hashes, 16 bytes; it stands in the profile too, so it keeps tables of
            ready-made hashes away and nobody who holds the profile.
        hashes: Shape (terms,), the most widespread first.
    """

    def __init__(self, key: bytes, hashes: NDArray[np.uint32]) -> None:
        """See the class."""
        self.key, self.hashes = key, hashes
        self._known = np.sort(hashes)
        self._common = np.sort(hashes[:COMMON])

    @classmethod
    def of(cls, texts: Iterable[str], most: int = MOST_TERMS) -> Vocabulary:
        """The vocabulary of different texts; the key follows from them, so runs repeat.

        Args:
            texts: Each counts once for each of its words.
            most: Words that are kept; those of the fewest texts are left out.
        """
        words = analyzer(NO_STEMMING)
        frequency: Counter[str] = Counter()
        digest = hashlib.blake2b(digest_size=16)
        for text in texts:
            digest.update(text.encode() + b"\0")
            frequency.update(set(words.terms(text)))
        key = digest.digest()
        kept = sorted(
            ((-count, term) for term, count in frequency.items() if count >= FEWEST_TEXTS)
        )[:most]
        return cls(key, _hashes([term for _, term in kept], key))

    def counts(self, texts: Sequence[str]) -> tuple[NDArray, NDArray, NDArray]:
        """Words, unknown words and common words of each text.

        Returns:
            Three arrays of shape (texts,), dtype int64; repetitions count.
        """
        words = analyzer(NO_STEMMING)
        rows = [words.terms(text) for text in texts]
        place: dict[str, int] = {}
        flat = [place.setdefault(term, len(place)) for row in rows for term in row]
        hashes = _hashes(list(place), self.key)
        sizes = np.array([len(row) for row in rows], dtype=np.int64)
        of = np.repeat(np.arange(len(rows)), sizes)
        terms = np.array(flat, dtype=np.int64)
        known, common = np.isin(hashes, self._known), np.isin(hashes, self._common)
        return (
            sizes,
            np.bincount(of, ~known[terms], len(rows)).astype(np.int64),
            np.bincount(of, common[terms], len(rows)).astype(np.int64),
        )

    def as_text(self) -> str:
        """The hashes as base64 of little-endian 32-bit numbers."""
        return base64.b64encode(self.hashes.astype("<u4").tobytes()).decode()

    @classmethod
    def from_text(cls, key: str, hashes: str) -> Vocabulary:
        """From the hexadecimal key and what `as_text` gave."""
        decoded = np.frombuffer(base64.b64decode(hashes), dtype="<u4").astype(np.uint32)
        return cls(bytes.fromhex(key), decoded)


def _hashes(terms: Sequence[str], key: bytes) -> NDArray[np.uint32]:
    joined = b"".join(
        hashlib.blake2b(term.encode(), digest_size=_HASH_BYTES, key=key).digest() for term in terms
    )
    return np.frombuffer(joined, dtype="<u4").astype(np.uint32)
