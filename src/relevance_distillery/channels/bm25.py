"""BM25 over passages (Robertson and Zaragoza, 2009), by bm25s (Lù, 2024)."""

from __future__ import annotations

import hashlib
import json
import logging
from array import array
from collections.abc import Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.text.terms import Analyzer, analyzer, passage_text

if TYPE_CHECKING:
    import bm25s

_FORMAT = 1
_FACTS = "index.json"
_BLOCK = 4096


class BM25Channel:
    """Ranks passages by BM25 over title, heading, path, author, date and text.

    A saved index is memory-mapped when it is loaded, so that a corpus larger than the
    memory can be searched. Ranking is exact and deterministic: ties keep the order of the
    passages table, and passages that share no term with the query are not returned.

    Attributes:
        passage_ids: The indexed passages, in the order of the table.
        language: Name of the stemmer, or `none`.
        fingerprint: Changes with the text of any passage, their order, the stemmer or
            BM25's constants.
    """

    def __init__(
        self,
        index: bm25s.BM25 | None,
        passage_ids: Sequence[str],
        language: str,
        fingerprint: str,
    ) -> None:
        """Wrap an index; use `build` or `load`. `index` is None for an empty corpus."""
        self.passage_ids = pd.Index(list(passage_ids)).astype("str")
        self.language = language
        self.fingerprint = fingerprint
        self._index: Any = index
        self._analyzer: Analyzer = analyzer(language)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with its arrays as such: of a memory map they would be copied."""
        index = copy(self._index)
        if index is not None:
            index.scores = {name: np.asarray(array) for name, array in index.scores.items()}
        return type(self), (index, self.passage_ids, self.language, self.fingerprint)

    @classmethod
    def build(
        cls, passages: pd.DataFrame, language: str = "en", k1: float = 1.2, b: float = 0.75
    ) -> BM25Channel:
        """Index a passages table.

        Args:
            passages: Columns passage_id (unique) and any of title, heading, path, author,
                modified, text.
            language: ISO 639-1 code or stemmer name, see `terms.stemmer_name`.
            k1: Saturation of a term's frequency.
            b: How much longer passages are penalised, 0 to 1.

        Raises:
            UserError: There is no stemmer for the language.
        """
        words = analyzer(language)
        ids = passages["passage_id"].astype(str).tolist()
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps([_FORMAT, _bm25s().__version__, words.name, k1, b]).encode())
        # Numbered by first occurrence: bm25s numbers a set, whose order changes between processes.
        terms: dict[str, int] = {}

        @cache
        def number(word: str) -> int:
            return terms.setdefault(words.stemmed([word])[0], len(terms))

        corpus: list[array[int]] = []
        for start in range(0, len(ids), _BLOCK):
            part = passages.iloc[start : start + _BLOCK]
            for name, text in zip(ids[start : start + _BLOCK], passage_text(part), strict=True):
                digest.update(json.dumps([name, text]).encode())
                corpus.append(array("i", map(number, words.words(text))))
        index = None
        if terms:
            index = _bm25s().BM25(k1=k1, b=b, method="lucene", csc_backend="scipy")
            index.index((corpus, terms), create_empty_token=False, show_progress=False)
        return cls(index, ids, words.name, digest.hexdigest())

    def search(
        self,
        queries: pd.DataFrame,
        k: int,
        added: Sequence[Sequence[str]] | None = None,
        weight: float = 0.0,
    ) -> pd.DataFrame:
        """The best `k` passages of every query.

        Args:
            queries: Columns query_id, text.
            k: How many passages a query may return; more than the corpus holds is no error.
            added: Stemmed terms beside those of each query's text.
            weight: Of what these add to a score.

        Returns:
            Columns query_id, passage_id, rank (1 for the best), score (BM25, above 0),
            queries in the order given; a query without a known term has no rows.
        """
        beside = [()] * len(queries) if added is None else added
        best = [
            self._best(self._analyzer.terms(str(text)), k, more, weight)
            for text, more in zip(queries["text"], beside, strict=True)
        ]
        sizes = [rows.size for rows, _ in best]
        none = np.empty(0, dtype=np.int64)
        places = np.concatenate([none, *(rows for rows, _ in best)])
        return pd.DataFrame(
            {
                "query_id": queries["query_id"].astype("str").array.repeat(sizes),
                "passage_id": self.passage_ids.array.take(places),
                "rank": np.concatenate([none, *(np.arange(1, size + 1) for size in sizes)]),
                "score": np.concatenate([none, *(found for _, found in best)], dtype=np.float64),
            }
        )

    def scores(self, query: str, passage_ids: Sequence[str]) -> np.ndarray:
        """BM25 of one query for passages of the index, any number, in any order.

        Returns:
            Scores, shape (len(passage_ids),), float64, 0 where no term is shared.

        Raises:
            ValueError: A passage is not in the index.
        """
        rows = self.passage_ids.get_indexer(pd.Index(list(passage_ids)))
        if (rows < 0).any():
            raise ValueError(f"{(rows < 0).sum()} passages are not in the index")
        return self._all_scores(self._analyzer.terms(query))[1][rows].astype(np.float64)

    def passages_with(self, term: str) -> np.ndarray:
        """Rows of `passage_ids` that hold a stemmed term, each once."""
        if self._index is None or not (known := self._index.get_tokens_ids([term])):
            return np.empty(0, dtype=np.int64)
        start, end = self._index.scores["indptr"][known[0] : known[0] + 2]
        return np.asarray(self._index.scores["indices"][start:end])

    def _all_scores(self, query: Sequence[str]) -> tuple[list[int], np.ndarray]:
        """Numbers of a query's known terms; its scores, shape (passages,), float32."""
        if self._index is None:
            return [], np.zeros(len(self.passage_ids), dtype=np.float32)
        terms = self._index.get_tokens_ids(query)
        return terms, np.asarray(self._index.get_scores_from_ids(terms))

    def _best(
        self, query: Sequence[str], k: int, added: Sequence[str], weight: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the `k` highest positive scores, best first, ties in row order; the scores."""
        terms, scores = self._all_scores(query)
        if added:
            scores = scores + np.float32(weight) * self._all_scores(added)[1]
        least = np.finfo(np.float32).tiny
        if self._index is not None and k > 0:
            # What the rarest term of k passages alone adds, they reach: most that share a
            # frequent word are below.
            ends = self._index.scores["indptr"]
            lists = [(ends[term + 1] - ends[term], ends[term]) for term in terms]
            size, start = min((one for one in lists if one[0] >= k), default=(0, 0))
            if size:
                least = _kth(self._index.scores["data"][start : start + size], k)
        rows = np.flatnonzero(scores >= least)
        if 0 < k < rows.size:
            # Everything that ties with the k-th stays until the stable sort, else the cut
            # inside a tie would depend on the partition.
            rows = rows[scores[rows] >= _kth(scores[rows], k)]
        rows = rows[np.argsort(-scores[rows], kind="stable")][: max(k, 0)]
        return rows, scores[rows]

    def save(self, folder: Path) -> None:
        """Write the index into `folder`, which is made; who needs it atomic renames it after."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._index is not None:
            self._index.save(folder, show_progress=False)
        facts = {
            "format": _FORMAT,
            "language": self.language,
            "fingerprint": self.fingerprint,
            "empty": self._index is None,
            "passage_ids": self.passage_ids.tolist(),
        }
        (folder / _FACTS).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> BM25Channel:
        """Open a saved index, memory-mapped.

        Raises:
            UserError: There is no index in the folder, or it cannot be read.
        """
        try:
            facts = read_facts(folder)
            index = None
            if not facts["empty"]:
                index = _bm25s().BM25.load(folder, mmap=True, show_progress=False)
            return cls(index, facts["passage_ids"], facts["language"], facts["fingerprint"])
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"The BM25 index in {folder} cannot be read ({type(error).__name__}): "
                "delete that folder and run `kedro run --pipeline=mine`."
            ) from error


def _bm25s() -> Any:
    """The library, imported when it is needed."""
    import bm25s

    # It sets its logger to DEBUG when it is imported.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s


def read_facts(folder: Path) -> dict:
    """The facts of a saved index.

    Raises:
        OSError: There is no saved index in the folder.
        ValueError: The facts are no JSON, or of another format.
    """
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    if facts.get("format") != _FORMAT:
        raise ValueError(f"format {facts.get('format')} instead of {_FORMAT}")
    return facts


def _kth(scores: np.ndarray, k: int) -> np.floating:
    """The k-th highest score."""
    return np.partition(scores, scores.size - k)[scores.size - k]
