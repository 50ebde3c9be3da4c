"""The worst disagreements of judges with people, as excerpts with the query's words marked.

Words match by their stems, as in the lexical channel.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.judgments import KEY
from relevance_distillery.documents import markdown
from relevance_distillery.evaluation.agreement.graded_pairs import grading_judges
from relevance_distillery.grading import GradeScale
from relevance_distillery.text.terms import Analyzer, analyzer

EXCERPT = 400
"""Longest excerpt of a document, in characters."""

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")

Segments = list[list[Any]]
"""A text in pieces: [text, whether it matches the query]."""

KINDS = ("too generous", "too strict")

_TEXTS_FOR_FREQUENCIES = 2000
_COMMON, _COMMON_TEXTS = 0.15, 3
"""A word of the query that occurs in more than this share of the documents, and in more documents
than this, is not marked."""


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

    `grades` is the benchmark_grades table with columns query_id, document_id, human, NAME_grade.
    `pairs` has the texts, columns query_id, query, document_id, title, text; several rows a pair
    where a document was split, None where there are no texts. Errors of `judges` are listed, with
    the grades of all others; the seed decides between disagreements of one size. `language` is
    that of the stemmer for the marks, see `text.terms`.

    Returns:
        Examples, ready for JSON: query_id, document_id, judge (whose error it is), kind (one
        of `KINDS`), distance (steps on the scale), human, grades (by judge, None where it
        gave none); and query, title, excerpt as `Segments`, all empty without texts.
    """
    graded = grading_judges(grades)
    found = []
    for row, judge, kind, distance in _worst(grades, judges, scale, most, seed):
        facts = grades.iloc[row]
        given = {name: facts[f"{name}_grade"] for name in graded}
        found.append(
            {
                "query_id": str(facts["query_id"]),
                "document_id": str(facts["document_id"]),
                "judge": judge,
                "kind": kind,
                "distance": distance,
                "human": int(facts["human"]),
                "grades": {name: None if pd.isna(g) else int(g) for name, g in given.items()},
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
    wanted = {(one["query_id"], one["document_id"]) for one in found}
    keys = pd.MultiIndex.from_arrays([pairs[name].astype(str) for name in KEY])
    by_pair = {
        (str(query), str(document)): rows
        for (query, document), rows in pairs[keys.isin(wanted)].groupby(KEY, sort=False)
    }
    # How common a term is, from at most 2,000 texts, evenly spread.
    sample = pairs["text"].drop_duplicates()
    sample = sample.iloc[:: max(1, math.ceil(len(sample) / _TEXTS_FOR_FREQUENCIES))]
    counts = Counter(term for text in sample for term in set(words.terms(shown(text))))
    share = {term: count / len(sample) for term, count in counts.items()}
    limit = max(_COMMON, _COMMON_TEXTS / len(sample))
    for one in found:
        rows = by_pair.get((one["query_id"], one["document_id"]))
        if rows is None:
            continue
        query = plain(rows["query"].iloc[0])
        asked = set(words.terms(query))
        rare = {term for term in asked if share.get(term, 0.0) <= limit} or asked
        # Inverse document frequency of the words to mark.
        terms = {term: math.log(1.0 + 1.0 / max(share.get(term, 0.0), 1e-4)) for term in rare}
        title = shown(rows["title"].iloc[0]) if "title" in rows else ""
        pieces = [
            excerpt(shown(text), terms, words) for text in dict.fromkeys(rows["text"].tolist())
        ]
        best = max(pieces, key=lambda piece: piece[0])
        # A word of the query is marked only where the document has it.
        own = {term for text in (title, *rows["text"].map(shown)) for term in words.terms(text)}
        one["query"] = segments(query, terms.keys() & own, words)
        one["title"] = segments(title, terms.keys(), words)
        one["excerpt"] = best[1]


def excerpt(
    text: str, terms: Mapping[str, float], words: Analyzer, longest: int = EXCERPT
) -> tuple[float, Segments]:
    """The passage of a text with the most weight of query terms, its matching words marked.

    Returns:
        Its weight (each term once, repetitions a tenth), and its segments.
    """
    located = words.located(text)
    hits = [
        (start, end, found)
        for start, end, parts in located
        if (found := [part for part in parts if part in terms])
    ]
    best, first, last = _densest(hits, terms, longest)
    # The matches are in the middle of what is shown.
    spare = max(0, longest - (last - first)) // 2
    first, last = max(0, first - spare), last + spare
    if first == 0:
        last = max(last, longest)
    if last > len(text):
        first, last = max(0, min(first, len(text) - longest)), len(text)
    first = next((start for start, end, _ in located if start >= first or end > last), first)
    last = next((end for _, end, _ in reversed(located) if end <= last), last)
    if last <= first:  # one endless word
        first, last = 0, min(len(text), longest)
    if len(text) - last <= 3:
        last = len(text)
    shown = segments(text[first:last], terms.keys(), words)
    before = [["… ", False]] if first > 0 else []
    after = [[" …", False]] if last < len(text) else []
    return best, [*before, *shown, *after]


def _densest(
    hits: Sequence[tuple[int, int, Sequence[str]]], terms: Mapping[str, float], longest: int
) -> tuple[float, int, int]:
    """Weight, start and end of the best window; one window slides over the matches."""
    best, first, last = 0.0, 0, 0
    counts: Counter[str] = Counter()
    left = 0
    for start, end, parts in hits:
        counts.update(parts)
        while hits[left][0] < end - longest and hits[left][0] < start:
            counts.subtract(hits[left][2])
            left += 1
        weight = sum(
            terms[part] * (1 + (count - 1) / 10) for part, count in counts.items() if count > 0
        )
        if weight > best:
            best, first, last = weight, hits[left][0], end
    return best, first, last


def segments(text: str, terms: Iterable[str], words: Analyzer) -> Segments:
    """A text in pieces, joined they are `text`, by whether they match a term."""
    wanted = set(terms)
    found: Segments = []
    at = 0
    for start, end, parts in words.located(text):
        if wanted.intersection(parts):
            if start > at:
                found.append([text[at:start], False])
            found.append([text[start:end], True])
            at = end
    if at < len(text):
        found.append([text[at:], False])
    return found


def shown(text: Any) -> str:
    """A document's Markdown in one line, as `plain` has it, without the marks."""
    return plain(markdown.shown(text)) if isinstance(text, str) else ""


def plain(text: Any) -> str:
    """One line, without characters that no page can show or that turn its direction."""
    if not isinstance(text, str):
        return ""
    return " ".join(_UNSEEN.sub(" ", _DIRECTION.sub("", text)).split())
