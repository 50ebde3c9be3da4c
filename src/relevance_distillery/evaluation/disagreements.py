"""Where a judge and people differ, as examples that a person can read and decide.

Which words a judge may have gone by is shown by marking those that query and document share;
matching is by stems, as in the lexical channel.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement.graded_pairs import grading_judges
from relevance_distillery.evaluation.excerpts import excerpt, plain, segments
from relevance_distillery.grading import GradeScale
from relevance_distillery.text.terms import Analyzer, analyzer

KINDS = ("too generous", "too strict")

_KEY = ["query_id", "document_id"]
_TEXTS_FOR_FREQUENCIES = 2000
_COMMON, _COMMON_TEXTS = 0.15, 3
"""A query's word that stands in more than this share of the documents, and in more documents
than this, explains nothing."""


def pick(
    grades: pd.DataFrame,
    pairs: pd.DataFrame | None,
    judges: Sequence[str],
    scale: GradeScale,
    most: int = 12,
    seed: int = 0,
    language: str = "english",
) -> list[dict[str, Any]]:
    """The worst disagreements, spread over judges, queries and both kinds of error.

    Args:
        grades: The benchmark_grades table; columns query_id, document_id, human, NAME_grade.
        pairs: Texts, columns query_id, query, document_id, title, text and perhaps heading;
            several rows a pair where a document was split. None where there are no texts.
        judges: Whose errors are looked for; the grades of all others are shown beside.
        scale: The grades.
        most: How many examples at most.
        seed: Decides between disagreements of one size.
        language: Stemmer for the marks, see `channels.terms.stemmer_name`.

    Returns:
        Examples, ready for JSON: query_id, document_id, judge (whose error it is), kind (one
        of `KINDS`), distance (steps on the scale), human, grades (by judge, None where it
        gave none); and query, title, excerpt as `Segments`, all empty without texts.
    """
    chosen = _worst(grades, judges, scale, most, seed)
    graded = grading_judges(grades)
    found = []
    for row, judge, kind, distance in chosen:
        facts = grades.iloc[row]
        found.append(
            {
                "query_id": str(facts["query_id"]),
                "document_id": str(facts["document_id"]),
                "judge": judge,
                "kind": kind,
                "distance": distance,
                "human": int(facts["human"]),
                "grades": {
                    name: None if pd.isna(facts[f"{name}_grade"]) else int(facts[f"{name}_grade"])
                    for name in graded
                },
                "query": [],
                "title": [],
                "excerpt": [],
            }
        )
    if found and pairs is not None and len(pairs):
        _add_texts(found, pairs, analyzer(language))
    return found


def _worst(
    grades: pd.DataFrame, judges: Sequence[str], scale: GradeScale, most: int, seed: int
) -> list[tuple[int, str, str, int]]:
    """Rows of `grades` with judge, kind and distance, the worst of each group in turn.

    Within a group, a query that has no example yet comes before one that has, then the
    larger distance, then chance.
    """
    generator = np.random.default_rng(seed)
    human = scale.positions(grades["human"].to_numpy(dtype=np.int64))
    groups: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    for judge in judges:
        given = grades.get(f"{judge}_grade")
        if given is None or given.isna().all():
            continue
        rows = np.flatnonzero(given.notna().to_numpy())
        judged = scale.positions(given.iloc[rows].to_numpy(dtype=np.int64))
        steps = judged - human[rows]
        chance = generator.random(len(rows))
        for kind, sign in zip(KINDS, (1, -1), strict=True):
            wrong = np.flatnonzero(sign * steps > 0)
            groups[judge, kind] = sorted(
                (-int(abs(steps[at])), float(chance[at]), int(rows[at])) for at in wrong
            )
    queries = grades["query_id"].astype(str).to_numpy()
    used: Counter[str] = Counter()
    taken: set[int] = set()
    found: list[tuple[int, str, str, int]] = []
    while len(found) < most and any(groups.values()):
        for (judge, kind), ranked in groups.items():
            ranked[:] = [entry for entry in ranked if entry[2] not in taken]
            if not ranked or len(found) == most:
                continue
            best = min(ranked, key=lambda entry: (used[queries[entry[2]]], entry))
            taken.add(best[2])
            used[queries[best[2]]] += 1
            found.append((best[2], judge, kind, -best[0]))
    return found


def _add_texts(found: list[dict[str, Any]], pairs: pd.DataFrame, words: Analyzer) -> None:
    wanted = pd.MultiIndex.from_tuples([(one["query_id"], one["document_id"]) for one in found])
    keys = pd.MultiIndex.from_arrays([pairs[name].astype(str) for name in _KEY])
    texts = pairs[keys.isin(wanted)]
    by_pair = {
        (str(query), str(document)): rows
        for (query, document), rows in texts.groupby(_KEY, sort=False)
    }
    share, limit = _frequencies(pairs, words)
    for one in found:
        rows = by_pair.get((one["query_id"], one["document_id"]))
        if rows is None:
            continue
        query = plain(rows["query"].iloc[0])
        terms = _telling(words.terms(query), share, limit)
        title = plain(rows["title"].iloc[0]) if "title" in rows else ""
        pieces = [
            excerpt(plain(text), terms, words) for text in dict.fromkeys(rows["text"].tolist())
        ]
        best = max(pieces, key=lambda piece: piece[0])
        one["query"] = segments(query, terms.keys() & _shared(rows, title, words), words)
        one["title"] = segments(title, terms.keys(), words)
        one["excerpt"] = best[1]


def _shared(rows: pd.DataFrame, title: str, words: Analyzer) -> set[str]:
    """The document's terms: a word of the query is marked only where the document has it."""
    return {term for text in (title, *rows["text"].map(plain)) for term in words.terms(text)}


def _frequencies(pairs: pd.DataFrame, words: Analyzer) -> tuple[dict[str, float], float]:
    """Share of the documents that each term stands in, and above which share it is common.

    From at most 2,000 texts, evenly spread.
    """
    texts = pairs["text"].drop_duplicates()
    texts = texts.iloc[:: max(1, math.ceil(len(texts) / _TEXTS_FOR_FREQUENCIES))]
    counts = Counter(term for text in texts for term in set(words.terms(plain(text))))
    shares = {term: count / len(texts) for term, count in counts.items()}
    return shares, max(_COMMON, _COMMON_TEXTS / len(texts))


def _telling(terms: Sequence[str], share: Mapping[str, float], limit: float) -> dict[str, float]:
    """The query's terms that are worth a mark, with their inverse document frequency."""
    rare = {term for term in terms if share.get(term, 0.0) <= limit}
    return {
        term: math.log(1.0 + 1.0 / max(share.get(term, 0.0), 1e-4)) for term in (rare or set(terms))
    }
