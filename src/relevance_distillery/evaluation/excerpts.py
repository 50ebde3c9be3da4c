"""Texts in pieces: the words of a document that match a query, and where most of them stand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relevance_distillery.text.terms import Analyzer

EXCERPT = 400
"""Longest excerpt of a document, in characters."""

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")

Segments = list[list[Any]]
"""A text in pieces: [text, whether it matches the query]."""


def excerpt(
    text: str, terms: Mapping[str, float], words: Analyzer, longest: int = EXCERPT
) -> tuple[float, Segments]:
    """The stretch of a text with the most of a query's weight, its matching words marked.

    Args:
        text: One line of text.
        terms: Stemmed terms of the query and what each is worth.
        words: Splits and stems the text.
        longest: Most characters, the dots at a cut end not counted.

    Returns:
        The worth of the stretch (each term once, repetitions a tenth), and its segments.
    """
    located = words.located(text)
    hits = [
        (start, end, found)
        for start, end, parts in located
        if (found := [part for part in parts if part in terms])
    ]
    best, first, last = _densest(hits, terms, longest)
    # The matches stand in the middle of what is shown.
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
    return best, _with_dots(shown, first > 0, last < len(text))


def _densest(
    hits: Sequence[tuple[int, int, Sequence[str]]], terms: Mapping[str, float], longest: int
) -> tuple[float, int, int]:
    """Worth, start and end of the most telling stretch; one window slides over the matches."""
    best, first, last = 0.0, 0, 0
    counts: Counter[str] = Counter()
    left = 0
    for start, end, parts in hits:
        counts.update(parts)
        while hits[left][0] < end - longest and hits[left][0] < start:
            counts.subtract(hits[left][2])
            left += 1
        worth = sum(
            terms[part] * (1 + (count - 1) / 10) for part, count in counts.items() if count > 0
        )
        if worth > best:
            best, first, last = worth, hits[left][0], end
    return best, first, last


def segments(text: str, terms: Iterable[str], words: Analyzer) -> Segments:
    """A text in pieces of which every other one matches a term.

    Args:
        text: Any text.
        terms: Stemmed terms.
        words: Splits and stems the text.

    Returns:
        [text, matched]; joined they are `text`.
    """
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


def _with_dots(shown: Segments, before: bool, after: bool) -> Segments:
    return [
        *([["… ", False]] if before else []),
        *shown,
        *([[" …", False]] if after else []),
    ]


def plain(text: Any) -> str:
    """One line, without characters that no page can show or that turn its direction."""
    if not isinstance(text, str):
        return ""
    return " ".join(_UNSEEN.sub(" ", _DIRECTION.sub("", text)).split())
