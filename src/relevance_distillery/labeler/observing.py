"""What can be counted about pairs and their grades without keeping any of it.

Training and a scored batch are counted by the same functions, so that they can be compared. A
tally is a dictionary of arrays, a row a pair: one-hot histograms, counts and sums. Rows add up, to
queries and to whole batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.encoders.base_model import quiet
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.template import InputTemplate
from relevance_distillery.labeler.vocabulary import Vocabulary

Tally = dict[str, NDArray[np.float64]]

FIELDS = ("text", "title", "heading", "path", "author", "modified")
SHARE_BINS = 10
QUERY_TOKENS = (3, 5, 8, 13, 24)
"""Lower ends of the bins behind the first, in tokens of the labeler; few, since queries are."""

TEXT_TOKENS = (16, 32, 64, 128, 192, 384)
_MOST_CHARACTERS = 20_000


def tally_grades(graded: pd.DataFrame, scale: GradeScale) -> Tally:
    """Count what a labeler said.

    Args:
        graded: Columns grade, expected_grade, confidence; rows without a grade are left out.
        scale: The grades.

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
        "grades": _one_hot(positions, scale.size),
        "expected_grade": _one_hot(_bin((expected - low) / (high - low)), SHARE_BINS),
        "confidence": _one_hot(_bin(confidence), SHARE_BINS),
        "confidence_sum": confidence[:, None],
    }


class PairReader:
    """Counts what is in the texts of pairs: lengths, unknown words, empty fields, cuts."""

    def __init__(
        self, template: InputTemplate, tokenizer: Any, together: bool, vocabulary: Vocabulary
    ) -> None:
        """Read as a labeler does.

        Args:
            template: From pair to input.
            tokenizer: The labeler's.
            together: Whether the labeler reads query and passage in one input.
            vocabulary: The words of training.
        """
        self._template, self._tokenizer = template, tokenizer
        self._together, self._vocabulary = together, vocabulary

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
        query_of, different_queries = _different(queries)
        passage_of, different_passages = _different(passages)
        query_tokens = self._tokens(different_queries)[query_of]
        text_tokens = self._tokens(different_passages)[passage_of]
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
        """Tokens of each text, without special ones."""
        return self._tokens(texts)

    def _tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        if not len(texts):
            return np.zeros(0, dtype=np.int64)
        # The last bin is open, so nobody needs the exact length of a book.
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
        if self._together:
            room = room - np.minimum(query, template.max_query_tokens)
        return (text > room) | (query > template.max_query_tokens)


def by_group(tally: Tally, groups: Sequence[str]) -> Tally:
    """Rows of one group summed, groups in order of their names.

    Args:
        tally: Rows of pairs.
        groups: The group of each row, for example its query.
    """
    names, place = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    summed = {}
    for name, rows in tally.items():
        summed[name] = np.zeros((len(names), rows.shape[1]))
        np.add.at(summed[name], place, rows)
    return summed


def _different(texts: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    place: dict[str, int] = {}
    of = [place.setdefault(text, len(place)) for text in texts]
    return np.array(of, dtype=np.int64), list(place)


def _present(pairs: pd.DataFrame) -> NDArray[np.float64]:
    present = np.zeros((len(pairs), len(FIELDS)))
    for column, field in enumerate(FIELDS):
        if field in pairs.columns:
            filled = pairs[field].fillna("").astype(str).str.strip() != ""
            present[:, column] = filled.to_numpy(dtype=np.float64)
    return present


def _bin(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip((shares * SHARE_BINS).astype(np.int64), 0, SHARE_BINS - 1)


def _length_bins(lengths: NDArray[np.int64], edges: Sequence[int]) -> NDArray[np.float64]:
    return _one_hot(np.searchsorted(np.asarray(edges), lengths, side="right"), len(edges) + 1)


def _one_hot(places: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    return np.eye(width)[places]
