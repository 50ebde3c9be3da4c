"""The judge that needs no key, no network and no GPU.

Three signals: cosine similarity of the bundled sentence encoder, IDF-weighted coverage of
the query's terms, and the link between a synthetic query and the passage that it was
written from. Cosine and coverage are standardised and averaged into a text score; the link
is added to it. Thresholds come from random and seed pairs (`anchors`), never from grades
that people gave.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.embedding import anchors
from relevance_distillery.judges.embedding.coverage import TermStatistics
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State
from relevance_distillery.judges.settings import EmbeddedSettings
from relevance_distillery.text.terms import passage_text

if TYPE_CHECKING:
    from relevance_distillery.encoders.sentence_encoder import SentenceEncoder

SHARD = 512  # pairs that are graded and committed together


@dataclass(frozen=True)
class _Fit:
    """What was fitted: means and deviations of the signals, thresholds, error scale."""

    cosine: list[float]
    coverage: list[float]
    thresholds: list[float]
    tau: float


class EmbeddedJudge(RegisteredJudge):
    """Grades by similarity, term coverage and the seed link; see the module.

    `facts` say what it was fitted on, for reports.
    """

    name = "embedded"

    def __init__(
        self,
        encoder: SentenceEncoder,
        terms: TermStatistics,
        fit: _Fit,
        settings: EmbeddedSettings,
        scale: GradeScale,
        facts: Mapping[str, Any],
    ) -> None:
        """Use `fit`, `prepare` or `restore`."""
        self.scale = scale
        self.facts = dict(facts)
        self.model = encoder.name
        self._encoder = encoder
        self._terms = terms
        self._fit = fit
        self._settings = settings
        # Changes with weights, thresholds or term statistics.
        state = json.dumps(self.to_state(), sort_keys=True, ensure_ascii=False)
        self.prompt_hash = hex_digest(state)

    @classmethod
    def fit(
        cls,
        passages: pd.DataFrame,
        queries: pd.DataFrame,
        scale: GradeScale,
        settings: EmbeddedSettings,
        *,
        language: str = "en",
        seed: int = 0,
    ) -> Self:
        """Count terms and choose thresholds; uses no grade.

        UserError where weights or quantiles contradict each other, the corpus has fewer than two
        documents or no text, or the encoder does not exist.
        """
        if settings.cosine_weight + settings.coverage_weight <= 0:
            raise UserError(
                "labeling.embedded: cosine_weight and coverage_weight are both 0; raise one of "
                "them."
            )
        if settings.relevant_quantile > settings.perfect_quantile:
            raise UserError(
                f"labeling.embedded: relevant_quantile={settings.relevant_quantile} is above "
                f"perfect_quantile={settings.perfect_quantile}; lower it."
            )
        rng = np.random.default_rng(seed)
        terms = TermStatistics.count(passage_text(passages), language)
        seeds, pseudo = anchors.seed_pairs(queries, passages, settings.sample, rng)
        randoms = anchors.random_pairs(seeds, passages, settings.sample, rng)
        encoder = _load_encoder(settings)
        signals = [
            np.column_stack([_cosines(pairs, encoder), terms.coverages(pairs)])
            for pairs in (seeds, randoms)
        ]
        # Both samples weigh the same however many pairs each has.
        mean = (signals[0].mean(axis=0) + signals[1].mean(axis=0)) / 2
        second = ((signals[0] - mean) ** 2).mean(axis=0) + ((signals[1] - mean) ** 2).mean(axis=0)
        deviation = np.maximum(np.sqrt(second / 2), 1e-6)
        weights = (settings.cosine_weight, settings.coverage_weight)
        share = np.array(weights) / sum(weights)
        of_seeds, of_randoms = ((sample - mean) / deviation for sample in signals)
        thresholds = anchors.choose_thresholds(
            of_randoms @ share,
            of_seeds @ share,
            scale,
            related=settings.related_quantile,
            relevant=settings.relevant_quantile,
            perfect=settings.perfect_quantile,
        )
        both = np.vstack([of_seeds, of_randoms])
        cosine, coverage = np.column_stack([mean, deviation]).tolist()
        tau = anchors.noise_scale(both[:, 0], both[:, 1], weights)
        fit = _Fit(cosine, coverage, thresholds.tolist(), tau)
        facts = {
            "seed_pairs": len(seeds),
            "pseudo_queries": pseudo,
            "random_pairs": len(randoms),
            "passages": len(passages),
        }
        return cls(encoder, terms, fit, settings, scale, facts)

    def scores(self, pairs: pd.DataFrame) -> np.ndarray:
        """The judge's evidence for relevance, in standard deviations, shape (pairs,)."""
        signals = (_cosines(pairs, self._encoder), self._terms.coverages(pairs))
        standard = (self._fit.cosine, self._fit.coverage)
        weights = (self._settings.cosine_weight, self._settings.coverage_weight)
        text = sum(
            weight * (signal - mean) / deviation
            for signal, (mean, deviation), weight in zip(signals, standard, weights, strict=True)
        ) / sum(weights)
        seeded = [pairs[name].to_numpy(bool) for name in ("is_seed", "in_seed_document")]
        bonus = [self._settings.seed_passage_bonus, self._settings.seed_document_bonus]
        return np.asarray(text + np.select(seeded, bonus, 0.0), dtype=np.float64)

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """Hashes of the texts, the seed link and everything that was fitted."""
        own = f"{self.name}\n{self.model}\n{self.prompt_hash}\n{self.scale.digest}\n"
        texts = ["query", "title", "heading", "path", "author", "modified", "text"]
        seen = pairs[[*texts, "is_seed", "in_seed_document"]].itertuples(index=False)
        return [
            hex_digest(own + json.dumps([*map(str, row[:-2]), *map(bool, row[-2:])]), 16)
            for row in seen
        ]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts in lists of at most `SHARD` pairs, in order."""
        thresholds = np.array(self._fit.thresholds)
        for pairs in shards:
            for start in range(0, len(pairs), SHARD):
                began = time.monotonic()
                shard = pairs.iloc[start : start + SHARD]
                shares = anchors.grade_probabilities(self.scores(shard), thresholds, self._fit.tau)
                grades = self.scale.values[anchors.median_position(shares)].tolist()
                seconds = (time.monotonic() - began) / len(shard)
                rows = zip(self.request_hashes(shard), grades, shares.tolist(), strict=True)
                yield [
                    Verdict(request, grade=grade, probabilities=tuple(chances), seconds=seconds)
                    for request, grade, chances in rows
                ]

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Fit the judge on the documents; see `fit`."""
        if sources.passages is None or sources.queries is None:
            raise UserError(
                f"judge={cls.name} learns from your documents: run `kedro run --pipeline=label "
                f'--params="judge={cls.name}"` first'
            )
        settings = sources.settings
        return cls.fit(
            sources.passages,
            sources.queries,
            sources.scale,
            settings.embedded,
            language=settings.language,
            seed=settings.seed,
        )

    def to_state(self) -> State:
        """Everything that `restore` needs, as plain JSON values."""
        return {
            "judge": self.name,
            "model": self.model,
            "scale_hash": self.scale.digest,
            "settings": self._settings.model_dump(),
            **asdict(self._fit),
            "facts": self.facts,
            "terms": asdict(self._terms),
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`; UserError where the encoder has other weights now."""
        settings = EmbeddedSettings.model_validate(state["settings"])
        encoder = _load_encoder(settings)
        if encoder.name != state["model"]:
            raise UserError(
                f"The judge was prepared with the encoder {state['model']} and now finds "
                f"{encoder.name}: run `kedro run --pipeline=label` to prepare it again."
            )
        fit = _Fit(**{field.name: state[field.name] for field in fields(_Fit)})
        terms = TermStatistics(**state["terms"])
        return cls(encoder, terms, fit, settings, sources.scale, state["facts"])


def _load_encoder(settings: EmbeddedSettings) -> SentenceEncoder:
    # Imported here, since it loads torch.
    from relevance_distillery.encoders.sentence_encoder import sentence_encoder

    return sentence_encoder(settings.encoder, settings.max_length)


def _cosines(pairs: pd.DataFrame, encoder: SentenceEncoder) -> np.ndarray:
    """Cosine of query and passage, shape (pairs,), float64."""
    texts = passage_text(pairs, ("title", "heading", "text"))
    queries = encoder.encode(pairs["query"].tolist())
    return np.einsum("ij,ij->i", queries, encoder.encode(texts)).astype(np.float64)
