"""Sixteen plain search engines over a benchmark's judged documents, as TREC run files.

Each one ranks the documents that were judged for a query, so that people's grades are complete
and the truth is known. They are real methods, good and bad ones, some made worse on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.encoders.sentence_encoder import sentence_encoder
from relevance_distillery.text.terms import analyzer

Scores = dict[str, np.ndarray]
"""By query: a score for each of its judged documents, in the order of `Judged.documents`."""

_CUT_WORDS = 20


class Judged:
    """Queries, and which documents were judged for each."""

    def __init__(self, benchmark: Benchmark) -> None:
        if benchmark.documents is None:
            raise ValueError("the benchmark has no documents")
        self.corpus = benchmark.documents.reset_index(drop=True)
        self.texts = (self.corpus["title"] + " " + self.corpus["text"]).str.strip()
        self.queries = dict(
            zip(benchmark.queries["query_id"], benchmark.queries["text"], strict=True)
        )
        place = {name: row for row, name in enumerate(self.corpus["document_id"])}
        judged = benchmark.judgments.groupby("query_id", sort=False)["document_id"]
        self.rows = {query: np.array([place[name] for name in ids]) for query, ids in judged}

    def scores(self, of_query: Callable[[str], np.ndarray]) -> Scores:
        """Scores of judged documents from scores of the whole corpus."""
        return {query: of_query(self.queries[query])[rows] for query, rows in self.rows.items()}


def systems(judged: Judged, seed: int = 0) -> dict[str, Scores]:
    """Scores by system."""
    rng = np.random.default_rng(seed)
    bm25 = _bm25(judged, judged.texts, "en", 0.9, 0.4)
    cut = judged.texts.map(lambda text: " ".join(text.split()[:_CUT_WORDS]))
    dense, dense_64, dense_cut = _dense(judged, cut)
    grams = _cosine(judged, TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2))
    return {
        "bm25": bm25,
        "bm25-k1.2-b.75": _bm25(judged, judged.texts, "en", 1.2, 0.75),
        "bm25-k2-b1": _bm25(judged, judged.texts, "en", 2.0, 1.0),
        "bm25-no-length": _bm25(judged, judged.texts, "en", 1.2, 0.0),
        "bm25-unstemmed": _bm25(judged, judged.texts, "none", 0.9, 0.4),
        "bm25-first-words": _bm25(judged, cut, "en", 0.9, 0.4),
        "bm25-short-query": _bm25(judged, judged.texts, "en", 0.9, 0.4, _three_words),
        "tf-idf": _cosine(
            judged, TfidfVectorizer(tokenizer=analyzer("en").terms, token_pattern=None)
        ),
        "character-n-grams": grams,
        "shared-words": _shared(judged),
        "dense": dense,
        "dense-64": dense_64,
        "dense-first-words": dense_cut,
        "bm25+dense": _fused([bm25, dense]),
        "bm25+dense+n-grams": _fused([bm25, dense, grams]),
        "bm25-noisy": {
            query: values + rng.normal(size=values.size) * values.std()
            for query, values in bm25.items()
        },
    }


def write_runs(judged: Judged, found: dict[str, Scores], folder: Path) -> None:
    """One TREC run file a system; scores are written with four digits, so that some tie."""
    folder.mkdir(parents=True, exist_ok=True)
    names = judged.corpus["document_id"].to_numpy()
    for system, scores in found.items():
        lines = []
        for query, values in scores.items():
            order = np.argsort(-values, kind="stable")
            for rank, place in enumerate(order, start=1):
                name = names[judged.rows[query][place]]
                lines.append(f"{query} Q0 {name} {rank} {values[place]:.4f} {system}\n")
        (folder / f"{system}.run").write_text("".join(lines), encoding="utf-8")


def _bm25(
    judged: Judged,
    texts: pd.Series,
    language: str,
    k1: float,
    b: float,
    shorten: Callable[[str], str] = str,
) -> Scores:
    passages = pd.DataFrame({"passage_id": judged.corpus["document_id"], "text": texts})
    index = BM25Channel.build(passages, language, k1, b)
    ids = passages["passage_id"].tolist()
    return judged.scores(lambda query: index.scores(shorten(query), ids))


def _three_words(query: str) -> str:
    return " ".join(query.split()[:3])


def _cosine(judged: Judged, vectorizer: TfidfVectorizer) -> Scores:
    matrix = vectorizer.fit_transform(judged.texts)
    return judged.scores(
        lambda query: np.asarray((matrix @ vectorizer.transform([query]).T).todense()).ravel()
    )


def _shared(judged: Judged) -> Scores:
    words = analyzer("en")
    documents = [set(words.terms(text)) for text in judged.texts]
    return judged.scores(
        lambda query: np.array([float(len(set(words.terms(query)) & one)) for one in documents])
    )


def _dense(judged: Judged, cut: pd.Series) -> tuple[Scores, Scores, Scores]:
    encoder = sentence_encoder("bundled")
    whole, short = encoder.encode(judged.texts.tolist()), encoder.encode(cut.tolist())

    def of(matrix: np.ndarray, size: int) -> Scores:
        return judged.scores(lambda query: matrix[:, :size] @ encoder.encode([query])[0][:size])

    return of(whole, whole.shape[1]), of(whole, 64), of(short, whole.shape[1])


def _fused(parts: list[Scores]) -> Scores:
    """Reciprocal ranks summed (Cormack, Clarke and Büttcher, 2009)."""
    return {
        query: np.sum([1.0 / (60.0 + rankdata(-one[query])) for one in parts], axis=0) * 100.0
        for query in parts[0]
    }
