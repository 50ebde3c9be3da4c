"""Counts of pairs and their grades that hold no text, for the comparison of a batch with training.

Training and a scored batch are counted by the same functions. A tally is a dictionary of arrays,
a row a pair: one-hot histograms, counts and sums. Rows add up, to queries and to whole batches.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.encoders.base_model import quiet
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.text.terms import NO_STEMMING, analyzer

Tally = dict[str, NDArray[np.float64]]

FIELDS = ("text", "title", "heading", "path", "author", "modified")
SHARE_BINS = 10
QUERY_TOKENS = (3, 5, 8, 13, 24)
"""Lower ends of the bins behind the first, in tokens of the labeler; few, since queries are."""

TEXT_TOKENS = (16, 32, 64, 128, 192, 384)
_MOST_CHARACTERS = 20_000

COMMON = 50
"""How many of the most widespread words count as common: function words, in running text."""

MOST_TERMS = 100_000
FEWEST_TEXTS = 2
_HASH_BYTES = 4


class Vocabulary:
    """The words of some texts as keyed hashes: enough to count unknown words, nothing to read.

    Words are taken as written (Unicode NFKC, case folded), without stemming, so that no language
    has to be known. A word of a single text, often a name or a number, is not kept.

    Attributes:
        key: Of the hashes, 16 bytes. It is stored in the profile too: it prevents the use of
            precomputed tables of hashes, not guesses by somebody who holds the profile.
        hashes: Shape (terms,), the most widespread first.
    """

    def __init__(self, key: bytes, hashes: NDArray[Any]) -> None:
        self.key, self.hashes = key, hashes
        self._known = np.sort(hashes)
        self._common = np.sort(hashes[:COMMON])

    @classmethod
    def of(cls, texts: Iterable[str], most: int = MOST_TERMS) -> Self:
        """The vocabulary of different texts; the key follows from them, so runs repeat.

        Of more than `most` words those of the fewest texts are left out.
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
        return cls(key, keyed_hashes((term for _, term in kept), key, _HASH_BYTES))

    def counts(self, texts: Sequence[str]) -> tuple[NDArray, NDArray, NDArray]:
        """Words, unknown words and common words of each text, with repetitions.

        Three arrays of shape (texts,), dtype int64.
        """
        words = analyzer(NO_STEMMING)
        rows = [words.terms(text) for text in texts]
        place: dict[str, int] = {}
        flat = [place.setdefault(term, len(place)) for row in rows for term in row]
        hashes = keyed_hashes(place, self.key, _HASH_BYTES)
        sizes = np.array([len(row) for row in rows], dtype=np.int64)
        of = np.repeat(np.arange(len(rows)), sizes)
        terms = np.array(flat, dtype=np.int64)
        known, common = np.isin(hashes, self._known), np.isin(hashes, self._common)
        return (
            sizes,
            np.bincount(of, ~known[terms], len(rows)).astype(np.int64),
            np.bincount(of, common[terms], len(rows)).astype(np.int64),
        )

    @classmethod
    def from_text(cls, key: str, hashes: str) -> Self:
        """From the hexadecimal key and packed hashes."""
        return cls(bytes.fromhex(key), unpack_hashes(hashes, _HASH_BYTES))


class PairReader:
    """Counts what is in the texts of pairs: lengths, unknown words, empty fields, cuts."""

    def __init__(self, labeler: Labeler, vocabulary: Vocabulary) -> None:
        """Read pairs as a labeler does and compare their words with those of training."""
        self._template, self._tokenizer = labeler.facts.template, labeler.tokenizer
        self._jointly, self._vocabulary = labeler.model.encodes_jointly, vocabulary

    def tally(self, pairs: pd.DataFrame) -> Tally:
        """Count pairs.

        Args:
            pairs: Columns query, text and, where there are any, title, heading, path, author,
                modified; none with an empty query, or with neither title nor text.

        Returns:
            read (n, 1), query_tokens and text_tokens (n, bins; without special tokens),
            query_terms (n, 2: words, unknown), text_terms (n, 3: words, unknown, common),
            fields (n, len(FIELDS); 1 where there is something), truncated (n, 1).
        """
        queries, passages = self._template.render(pairs)
        query_of, unique_queries = pd.factorize(np.array(queries, dtype=object))
        passage_of, unique_passages = pd.factorize(np.array(passages, dtype=object))
        different_queries, different_passages = list(unique_queries), list(unique_passages)
        query_tokens = self.lengths(different_queries)[query_of]
        text_tokens = self.lengths(different_passages)[passage_of]
        query_terms = np.column_stack(self._vocabulary.counts(different_queries)[:2])
        text_terms = np.column_stack(self._vocabulary.counts(different_passages))
        return {
            "read": np.ones((len(pairs), 1)),
            "query_tokens": _length_bins(query_tokens, QUERY_TOKENS),
            "text_tokens": _length_bins(text_tokens, TEXT_TOKENS),
            "query_terms": query_terms[query_of].astype(np.float64),
            "text_terms": text_terms[passage_of].astype(np.float64),
            "fields": _present(pairs),
            "truncated": self._cut(query_tokens, text_tokens)[:, None].astype(np.float64),
        }

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text, without special ones, shape (texts,)."""
        if not len(texts):
            return np.zeros(0, dtype=np.int64)
        # The last bin is open, so the exact length of a book is not needed.
        short = [text[:_MOST_CHARACTERS] for text in texts]
        with quiet():
            rows = self._tokenizer(
                short,
                add_special_tokens=False,
                truncation=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
        return np.array([len(row) for row in rows], dtype=np.int64)

    def _cut(self, query: NDArray[np.int64], text: NDArray[np.int64]) -> NDArray[np.bool_]:
        template = self._template
        special = self._tokenizer.num_special_tokens_to_add(pair=not template.textual)
        room = template.max_length - special
        if self._jointly:
            room = room - np.minimum(query, template.max_query_tokens)
        return (text > room) | (query > template.max_query_tokens)


def tally_grades(graded: pd.DataFrame, scale: GradeScale) -> Tally:
    """Count a labeler's columns grade, expected_grade, confidence, in rows that have a grade.

    Returns:
        pairs (n, 1), grades (n, grades), expected_grade and confidence (n, 10; bins of equal
        width over the scale and over 0–1), confidence_sum (n, 1).
    """
    graded = graded[graded["grade"].notna().to_numpy()]
    positions = scale.positions(graded["grade"].to_numpy(dtype=np.int64))
    expected = graded["expected_grade"].to_numpy(dtype=np.float64)
    confidence = graded["confidence"].to_numpy(dtype=np.float64)
    low, high = float(scale.values[0]), float(scale.values[-1])
    return {
        "pairs": np.ones((len(graded), 1)),
        "grades": np.eye(scale.size)[positions],
        "expected_grade": _share_bins((expected - low) / (high - low)),
        "confidence": _share_bins(confidence),
        "confidence_sum": confidence[:, None],
    }


def by_group(tally: Tally, groups: Sequence[str]) -> Tally:
    """Rows of one group, for example a query, summed; groups in order of their names."""
    names, place = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    summed = {}
    for name, rows in tally.items():
        summed[name] = np.zeros((len(names), rows.shape[1]))
        np.add.at(summed[name], place, rows)
    return summed


def _present(pairs: pd.DataFrame) -> NDArray[np.float64]:
    present = np.zeros((len(pairs), len(FIELDS)))
    for column, field in enumerate(FIELDS):
        if field in pairs.columns:
            filled = pairs[field].fillna("").astype(str).str.strip() != ""
            present[:, column] = filled.to_numpy(dtype=np.float64)
    return present


def _share_bins(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    bins = np.clip((shares * SHARE_BINS).astype(np.int64), 0, SHARE_BINS - 1)
    return np.eye(SHARE_BINS)[bins]


def _length_bins(lengths: NDArray[np.int64], edges: Sequence[int]) -> NDArray[np.float64]:
    return np.eye(len(edges) + 1)[np.searchsorted(np.asarray(edges), lengths, side="right")]


def keyed_hashes(texts: Iterable[str], key: bytes, size: int) -> NDArray[Any]:
    """Keyed hashes (BLAKE2b) of `size` bytes, shape (texts,), little-endian integers."""
    digests = (hashlib.blake2b(t.encode(), digest_size=size, key=key).digest() for t in texts)
    return np.frombuffer(b"".join(digests), dtype=f"<u{size}")


def pack_hashes(hashes: NDArray[Any]) -> str:
    """Base64 of what `keyed_hashes` gave."""
    return base64.b64encode(hashes.tobytes()).decode()


def unpack_hashes(packed: str, size: int) -> NDArray[Any]:
    """The inverse of `pack_hashes`, for hashes of `size` bytes."""
    return np.frombuffer(base64.b64decode(packed), dtype=f"<u{size}")
