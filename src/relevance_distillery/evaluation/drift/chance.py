"""What chance alone does: batches and references drawn from the training profile, by query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relevance_distillery.evaluation.drift.comparisons import Comparison
from relevance_distillery.evaluation.drift.measures import Array
from relevance_distillery.evaluation.drift.statistics import BatchStatistics
from relevance_distillery.labeler.tallies import Tally

_MOST_DRAWN = 1_000_000


@dataclass(frozen=True)
class Chance:
    """Draws a batch and a reference again and again from the held-out queries of training.

    Both are drawn, since the profile is a sample as well. Queries are drawn whole, because the
    pairs of one query are alike (cluster bootstrap; Davison & Hinkley, 1997, §3.8).

    Attributes:
        held_out: Tallies, a row a query.
        resamples: Draws.
        seed: Of the draws.
    """

    held_out: Tally
    resamples: int
    seed: int

    def draws(self, batch: BatchStatistics, texts: bool) -> tuple[Tally, Tally]:
        """Batches and references without drift.

        A drawn batch has no more pairs than the real one and no more queries, whichever is
        fewer, so chance is rather over- than understated.

        Args:
            batch: The size of the real one.
            texts: Whether the pairs that were read count, or all.

        Returns:
            Tallies of the drawn batches and of the drawn references, shape (resamples, width).
        """
        queries = len(self.held_out["pairs"])
        pairs = batch.read if texts else batch.pairs
        each = float(self.held_out["pairs"].sum()) / queries
        size = int(np.clip(min(batch.queries, pairs / each), 1, _MOST_DRAWN))
        rng = np.random.default_rng(self.seed)
        return self._drawn(rng, size), self._drawn(rng, queries)

    def _drawn(self, rng: np.random.Generator, size: int) -> Tally:
        queries = len(self.held_out["pairs"])
        weights = rng.multinomial(size, np.full(queries, 1 / queries), size=self.resamples)
        return {name: weights @ rows for name, rows in self.held_out.items()}


def quantile(comparison: Comparison, drawn: tuple[Tally, Tally], level: float) -> float:
    """What chance stays below in a share `level` of the draws; 0 where none is defined."""
    values: Array = comparison.measure(*drawn)
    values = values[np.isfinite(values)]
    return float(np.quantile(values, level)) if len(values) else 0.0
