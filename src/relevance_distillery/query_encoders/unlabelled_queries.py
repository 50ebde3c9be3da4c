"""Strings that stand for queries: what an encoder of queries is aligned on needs no grades."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from relevance_distillery.io.digests import digest_number
from relevance_distillery.query_encoders.settings import StringSettings
from relevance_distillery.text.words import normalised

_TRAIL = re.compile(r"\s+[/|>»›·–—]\s+")
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+")
_OPENED = 2  # words; a query of no more has no opening
_EDGES = "\"'.,;:!?()[]{}<>*#_`|/\\-–—“”‘’"


def unlabelled_strings(
    queries: Iterable[str],
    passages: pd.DataFrame,
    settings: StringSettings,
    held_out: Iterable[str] = (),
    seed: int = 0,
) -> list[str]:
    """Queries, titles, headings and spans of passages, of each wording one.

    The order is random and depends on the strings alone: the first thousand are a sample of all,
    and stay what they are when `most` grows.

    Args:
        queries: Texts of real or synthetic queries, whatever their grades.
        passages: Columns passage_id, text and, where there are any, title, heading.
        settings: How many.
        held_out: Texts of queries that test: none of them is returned, however it is written.
        seed: Of the spans and of the order.
    """
    tested = {"", *map(normalised, held_out)}
    known = [text for text in queries if normalised(text) not in tested]
    openings = _openings(known) or settings.openings
    found: dict[str, str] = {}
    for text in (*known, *_marked(passages), *_spans(passages, openings, settings, seed)):
        found.setdefault(normalised(text), " ".join(text.split()))
    for text in tested:
        found.pop(text, None)
    order = sorted(found, key=lambda text: (digest_number(f"{seed} {text}"), text))
    return [found[text] for text in order[: settings.most]]


def _marked(passages: pd.DataFrame) -> Iterator[str]:
    """Titles and headings, and the parts of those that lead from a section to its subsection."""
    for column in ("title", "heading"):
        if column in passages:
            for text in passages[column].fillna("").astype(str).unique():
                yield text
                yield from _TRAIL.split(text)


def _openings(queries: Sequence[str]) -> list[str]:
    """The first two words of queries that begin alike, as often as they do."""
    begun = [" ".join(words[:2]) for text in queries if len(words := text.split()) > _OPENED]
    counts = Counter(begun)
    return [text for text in begun if counts[text] > 1]


def _spans(
    passages: pd.DataFrame, openings: Sequence[str], settings: StringSettings, seed: int
) -> Iterator[str]:
    """Runs of words, some behind an opening."""
    for name, text in zip(passages["passage_id"], passages["text"].astype(str), strict=True):
        sentences = [words for one in _SENTENCE.split(text) if (words := one.split())]
        draw = random.Random(digest_number(f"{seed} {name}"))
        weights = [len(words) for words in sentences]
        for _ in range(settings.spans if sentences else 0):
            words = draw.choices(sentences, weights)[0]
            size = draw.randint(1, min(settings.longest_span, len(words)))
            start = draw.randint(0, len(words) - size)
            span = " ".join(words[start : start + size]).strip(_EDGES)
            asked = openings and draw.random() < settings.asked
            yield f"{draw.choice(openings)} {span}" if asked else span
