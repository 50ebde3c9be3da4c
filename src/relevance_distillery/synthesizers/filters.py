"""Filters for queries that would teach nothing or leak the benchmark, with counts."""

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from relevance_distillery.learning.splits import NearDuplicates
from relevance_distillery.text.language import WORD, Language
from relevance_distillery.text.words import WORD_PART, lower

_PART = re.compile(WORD_PART)


def query_key(text: str, language: Language) -> str:
    """Equal for queries that differ in case, order, endings and stop words only."""
    stems = language.stems(text, content_only=True) or language.stems(text)
    return " ".join(sorted(stems)) or text.casefold().strip()


def overlapping(
    texts: Sequence[str], reference: Sequence[str], language: Language, threshold: float = 0.8
) -> np.ndarray:
    """Which queries are equal or nearly equal to one of a reference, shape (len(texts),).

    Nearly equal: the Jaccard similarity of their sets of stems, stop words included where
    nothing else is left, reaches the threshold.
    """
    near = NearDuplicates(reference, lambda text: query_key(text, language).split(), threshold)
    return np.array([near.holds(text) for text in texts], dtype=bool)


def duplicates(queries: pd.DataFrame, language: Language) -> np.ndarray:
    """Which synthetic queries say the same as an earlier row, shape (queries,).

    Rows of real queries are never duplicates: their log has merged them already.
    """
    keys = queries["text"].map(lambda text: query_key(text, language))
    return (keys.duplicated() & (queries["style"] != "real")).to_numpy()


def too_common(
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    language: Language,
    max_share: float,
    min_documents: int,
) -> np.ndarray:
    """Which queries have all their words in too many documents, shape (queries,).

    Too many: more than `max_share` of the documents of `passages`, and than `min_documents`.
    """
    limit = max(min_documents, math.floor(max_share * passages["document_id"].nunique()))
    numbers = {name: n for n, name in enumerate(passages["document_id"].unique())}
    holders: dict[str, set[int]] = {}
    for row in passages.itertuples(index=False):
        text = f"{row.title} {row.heading} {row.path} {row.author} {row.modified} {row.text}"
        # Paths and compounds count with their parts too, as lexical search sees them.
        stems = set(language.stems(text)) | set(language.stems(_apart(text)))
        for stem in stems:
            holders.setdefault(stem, set()).add(numbers[row.document_id])
    hits = np.zeros(len(queries), dtype=bool)
    for place, text in enumerate(queries["text"]):
        stems = set(language.stems(_apart(text), content_only=True)) or set(language.stems(text))
        sets = sorted((holders.get(stem, set()) for stem in stems), key=len)
        hits[place] = bool(sets) and len(set.intersection(*sets)) > limit
    return hits


def _apart(text: str) -> str:
    return " ".join(_PART.findall(text))


def not_retrieved(
    queries: pd.DataFrame, passages: pd.DataFrame, language: Language, k: int
) -> np.ndarray:
    """Which queries do not find their seed document in the top `k` of BM25, shape (queries,).

    The round-trip test of Alberti et al. (2019): a query that does not retrieve its own
    document describes it too loosely, or not at all.
    """
    # Imported here: it loads bm25s.
    from relevance_distillery.channels.bm25 import BM25Channel

    channel = BM25Channel.build(passages, language.name)
    run = channel.search(queries[["query_id", "text"]], k)
    owner = dict(zip(passages["passage_id"], passages["document_id"], strict=True))
    found = set(zip(run["query_id"], run["passage_id"].map(owner), strict=True))
    wanted = zip(queries["query_id"], queries["passage_id"].map(owner), strict=True)
    return np.array([pair not in found for pair in wanted], dtype=bool)


def copied(queries: pd.DataFrame, passages: pd.DataFrame, longest: int) -> np.ndarray:
    """Which queries copy over `longest` words in a row from their passage, shape (queries,).

    A model that pastes a sentence writes a query that every word matcher finds at once; people
    do not type so. Titles and headings may be copied: that is how a known page is looked for.
    """
    texts = dict(zip(passages["passage_id"], passages["text"], strict=True))
    hits = np.zeros(len(queries), dtype=bool)
    for place, (query, passage_id) in enumerate(
        zip(queries["text"], queries["passage_id"], strict=True)
    ):
        words = _plain_words(query)
        if len(words) <= longest:
            continue
        source = f" {' '.join(_plain_words(texts.get(passage_id, '')))} "
        runs = range(len(words) - longest)
        hits[place] = any(f" {' '.join(words[at : at + longest + 1])} " in source for at in runs)
    return hits


def _plain_words(text: str) -> list[str]:
    return [lower(word) for word in WORD.findall(text)]


def count_styles(queries: pd.DataFrame) -> dict[str, int]:
    """How many queries there are of each style."""
    counts = queries["style"].value_counts().sort_index()
    return {str(style): int(count) for style, count in counts.items()}


class QueryFilter:
    """Applies filters one after the other: `queries` are those that are left.

    `dropped` has for each filter how many queries it dropped, by style.
    """

    def __init__(self, queries: pd.DataFrame) -> None:
        self.queries = queries.reset_index(drop=True)
        self.dropped: dict[str, dict[str, int]] = {}

    def drop(
        self, name: str, find: Callable[[pd.DataFrame], np.ndarray], synthetic_only: bool = True
    ) -> None:
        """Drop the queries for which `find` is True; people's own only if not `synthetic_only`."""
        real = (self.queries["style"] == "real").to_numpy()
        open_rows = ~real if synthetic_only else np.ones(len(real), dtype=bool)
        hits = np.zeros(len(real), dtype=bool)
        if open_rows.any():
            hits[open_rows] = find(self.queries[open_rows].reset_index(drop=True))
        self.dropped[name] = count_styles(self.queries[hits])
        self.queries = self.queries[~hits].reset_index(drop=True)
