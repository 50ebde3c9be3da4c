"""Queries out of the documents' own words: no model, no key, no network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from relevance_distillery.synthesizers.acronyms import expansions
from relevance_distillery.synthesizers.base import QUERY_COLUMNS, digest, hashed
from relevance_distillery.synthesizers.saliency import Corpus
from relevance_distillery.synthesizers.styles import WRITERS
from relevance_distillery.synthesizers.subject import Subject
from relevance_distillery.synthesizers.typos import misspell
from relevance_distillery.text.language import Language

DEFAULT_STYLES: Mapping[str, float] = {
    "known_item": 0.25,
    "keyword": 0.28,
    "question": 0.20,
    "metadata": 0.12,
    "short": 0.08,
    "acronym": 0.14,
}
_VERSION = 1
_LOWER_SHARE = 0.8
_TRIES = 6
_MAX_LENGTH = 120


class ExtractiveSynthesizer:
    """Writes queries in the styles of `styles.WRITERS`.

    Every choice follows from the seed and the passage's id: a document that comes or goes
    changes the queries of others only as far as it changes the corpus frequencies.

    Attributes:
        name: `extractive`.
        prompt_hash: Changes with language, weights, share of typos and the method's version.
    """

    name = "extractive"

    def __init__(
        self,
        language: str = "english",
        styles: Mapping[str, float] = DEFAULT_STYLES,
        typo_share: float = 0.06,
    ) -> None:
        """Set how to write.

        Args:
            language: Language of the documents, see `Language`.
            styles: How often each style is tried, in relation to the others.
            typo_share: Share of queries with one slip of the fingers.

        Raises:
            ValueError: A style is unknown, or no style has a weight.
        """
        unknown = sorted(set(styles) - set(WRITERS))
        if unknown or not any(weight > 0 for weight in styles.values()):
            raise ValueError(f"styles {unknown} are unknown or no style has a weight")
        self.language = Language(language)
        self.styles = {name: float(styles[name]) for name in WRITERS if styles.get(name, 0) > 0}
        self.typo_share = typo_share
        self.prompt_hash = digest(_VERSION, self.language.name, self.styles, typo_share)

    def write(
        self, passages: pd.DataFrame, seeds: pd.DataFrame, per_passage: int, seed: int
    ) -> pd.DataFrame:
        """Queries for `seeds`; see `Synthesizer.write`."""
        corpus = Corpus(passages, self.language)
        longs = expansions(passages, self.language)
        rows: list[tuple[str, str, str, int, str, str, str]] = []
        for record in seeds.to_dict("records"):
            subject = Subject({str(key): value for key, value in record.items()}, corpus, longs)
            passage_id = str(record["passage_id"])
            rng = np.random.default_rng(hashed(seed, self.name, passage_id))
            for style, text in self._queries(subject, per_passage, rng):
                query_id = f"q-{digest(self.name, passage_id, style, text)}"
                rows.append((query_id, text, passage_id, 1, style, self.name, self.prompt_hash))
        table = pd.DataFrame(rows, columns=list(QUERY_COLUMNS))
        return table.astype({"frequency": "int64"})

    def _queries(
        self, subject: Subject, count: int, rng: np.random.Generator
    ) -> list[tuple[str, str]]:
        """(style, text) of up to `count` different queries for one passage."""
        found: dict[str, str] = {}
        weights = dict(self.styles)
        tries = count * _TRIES
        while len(found) < count and weights and tries:
            tries -= 1
            names = list(weights)
            shares = np.array([weights[name] for name in names])
            style = names[int(rng.choice(len(names), p=shares / shares.sum()))]
            text = self._finish(WRITERS[style](subject, rng), style, rng)
            if not text:
                weights.pop(style)
            elif text.lower() not in {known.lower() for known in found}:
                found[text] = style
        return [(style, text) for text, style in found.items()]

    def _finish(self, text: str, style: str, rng: np.random.Generator) -> str:
        """As it is typed: mostly in lower case, sometimes with a slip."""
        text = " ".join(text.split()).strip(" -,.:;'\"")
        if len(text) > _MAX_LENGTH:
            return ""
        if rng.random() < self.typo_share:
            text = misspell(text, rng)
        return text.lower() if rng.random() < _LOWER_SHARE else text
