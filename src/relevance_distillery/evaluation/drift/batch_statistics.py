"""A batch counted shard by shard: what is kept of a shard is as small for a million pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import digest_number
from relevance_distillery.labeler.tallies import PairReader, Tally, tally_grades
from relevance_distillery.scoring.shards import GradedShard

_SMALLEST = 256
_HASHES = 2.0**64
_SEED = 20_260_121


@dataclass(frozen=True)
class BatchStatistics:
    """A batch, or as much of it as was graded.

    Attributes:
        totals: Sums over pairs, see `labeler.tallies`; each of shape (width,).
        queries: Different queries, exact up to 255, within about 6 % beyond.
    """

    totals: Tally
    queries: int

    @property
    def pairs(self) -> int:
        """Graded pairs."""
        return int(self.totals.get("pairs", [0])[0])

    @property
    def read(self) -> int:
        """Pairs whose texts were counted."""
        return int(self.totals.get("read", [0])[0])


def observe(
    graded: GradedShard, reader: PairReader, scale: GradeScale, share: float
) -> dict[str, Any]:
    """Count one shard; rows without a grade are left out.

    Of a share of the rows the texts are read; which ones depends on the shard's number alone, so
    that a resumed scoring reads the same.

    Returns:
        Plain JSON: tally (name to sums) and queries (the smallest hashes of query texts).
    """
    has_grade = graded.grades["grade"].notna().to_numpy()
    texts = graded.shard.texts
    # Drawn, not every n-th: files often hold a fixed number of documents a query.
    chance = np.random.default_rng([_SEED, graded.shard.number]).random(len(texts))
    tally = {
        **tally_grades(graded.grades, scale),
        **reader.tally(texts[has_grade & (chance < share)]),
    }
    hashes = {digest_number(query) for query in set(texts["query"][has_grade].str.strip())}
    return {
        # Sums of six-digit figures, rounded, so that adding them shard by shard repeats exactly.
        "tally": {
            name: [int(v) if v == int(v) else v for v in np.round(rows.sum(axis=0), 6).tolist()]
            for name, rows in tally.items()
        },
        "queries": sorted(hashes)[:_SMALLEST],
    }


def merge(observed: Iterable[Mapping[str, Any]]) -> BatchStatistics:
    """Sum what `observe` gave; the order does not matter."""
    totals: Tally = {}
    hashes: set[int] = set()
    for shard in observed:
        for name, values in shard["tally"].items():
            totals[name] = totals.get(name, 0.0) + np.asarray(values, dtype=np.float64)
        hashes = set(sorted(hashes | set(shard["queries"]))[:_SMALLEST])
    queries = len(hashes)
    if queries == _SMALLEST:
        # How many different ones there were, by the k-th smallest hash (Bar-Yossef et al., 2002).
        queries = round((_SMALLEST - 1) / (max(hashes) / _HASHES))
    return BatchStatistics(totals, queries)
