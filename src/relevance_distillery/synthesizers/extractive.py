"""Queries out of the documents' own words: no model, no key, no network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from relevance_distillery.synthesizers.base import QUERY_COLUMNS, digest, hashed, misspell
from relevance_distillery.synthesizers.phrases import Corpus
from relevance_distillery.synthesizers.seed_passage import SeedPassage, expansions
from relevance_distillery.synthesizers.settings import DEFAULT_STYLES, style_weights
from relevance_distillery.synthesizers.styles import WRITERS
from relevance_distillery.text.language import Language

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
            typo_share: Share of queries with one keyboard typo.

        Raises:
            UserError: A style or the language is unknown, or no style has a weight.
        """
        self.language = Language(language)
        self.styles = style_weights(styles)
        self.typo_share = typo_share
        self.prompt_hash = digest(_VERSION, self.language.name, self.styles, typo_share)

    def write(
        self, passages: pd.DataFrame, seeds: pd.DataFrame, per_passage: int, seed: int
    ) -> pd.DataFrame:
        """Queries for some passages of a corpus.

        Args:
            passages: The whole corpus, a `passages` table.
            seeds: The rows of it to write queries for, most wanted first.
            per_passage: How many queries a seed passage gets at most.
            seed: Everything random follows from it; the same passage in the same corpus
                gets the same queries.

        Returns:
            A `queries` table in the order of `seeds`; a passage that offers nothing to
            ask for has no rows.
        """
        corpus = Corpus(passages, self.language)
        longs = expansions(passages, self.language)
        rows: list[tuple[str, str, str, int, str, str, str]] = []
        for record in seeds.to_dict("records"):
            passage = SeedPassage({str(key): value for key, value in record.items()}, corpus, longs)
            passage_id = str(record["passage_id"])
            rng = np.random.default_rng(hashed(seed, self.name, passage_id))
            for style, text in self._queries(passage, per_passage, rng):
                query_id = f"q-{digest(self.name, passage_id, style, text)}"
                rows.append((query_id, text, passage_id, 1, style, self.name, self.prompt_hash))
        table = pd.DataFrame(rows, columns=list(QUERY_COLUMNS))
        return table.astype({"frequency": "int64"})

    def _queries(
        self, passage: SeedPassage, count: int, rng: np.random.Generator
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
            text = self._finish(WRITERS[style](passage, rng), style, rng)
            if not text:
                weights.pop(style)
            elif text.lower() not in {known.lower() for known in found}:
                found[text] = style
        return [(style, text) for text, style in found.items()]

    def _finish(self, text: str, style: str, rng: np.random.Generator) -> str:
        """As it is typed: mostly in lower case, sometimes with a typo."""
        text = " ".join(text.split()).strip(" -,.:;'\"")
        if len(text) > _MAX_LENGTH:
            return ""
        if rng.random() < self.typo_share:
            text = misspell(text, rng)
        return text.lower() if rng.random() < _LOWER_SHARE else text
