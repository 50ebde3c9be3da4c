"""The second pass over a file: what the first one saw lies in its parts, which get new grades."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.io.progress import Progress
from relevance_distillery.labeler.calibration import Array
from relevance_distillery.labeler.inference import SHARD_ROWS, Labeler
from relevance_distillery.learning.second_pass import FEWEST_PASSAGES
from relevance_distillery.scoring.graders import Grader
from relevance_distillery.scoring.pairs_file import PairsFile
from relevance_distillery.scoring.parts import ScoredParts
from relevance_distillery.scoring.shards import GradedShard, PairShard, grade_shard

logger = logging.getLogger(__name__)


class _FirstLook:
    """A labeler that keeps what it saw of the rows that it graded."""

    name = digest = ""

    def __init__(self, labeler: Labeler) -> None:
        self._labeler, self.seen = labeler, np.zeros(0, labeler.seen_as)

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        graded, self.seen = self._labeler.look(pairs)
        return graded


class _SecondLook:
    """Grades of a shard's rows by their second scores, or by the first where these are NaN."""

    name = digest = ""

    def __init__(self, labeler: Labeler, first: Array, second: Array) -> None:
        few = np.isnan(second)
        self._parts = (labeler, first, few), (labeler.again, second, ~few)

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        graded = []
        for labeler, scores, known in self._parts:
            rows = pairs.index[known[pairs.index]]
            raw = np.zeros((len(rows), labeler.scale.size))
            graded.append(labeler.decide(raw, scores[rows], rows))
        return pd.concat(graded).loc[pairs.index]


def labeler_of(grader: Grader) -> Labeler:
    """A grader with a second pass; UserError where it has none."""
    if not isinstance(grader, Labeler):
        raise UserError(
            f"second_pass: {grader.name} is no labeler, and others grade no pair twice; leave "
            "second_pass out"
        )
    _ = grader.again
    return grader


def look_at_shard(labeler: Labeler, shard: PairShard) -> GradedShard:
    """Grade one shard as `grade_shard`, and keep what the second pass needs."""
    look = _FirstLook(labeler)
    graded = grade_shard(look, shard)
    seen = np.zeros(len(shard.texts), labeler.seen_as)
    seen[graded.grades["grade"].notna()] = look.seen
    return replace(graded, seen=seen)


def grade_again(labeler: Labeler, pairs: PairsFile, parts: ScoredParts) -> None:
    """Write those parts again that have pairs of queries with enough passages.

    All of it comes from what the first pass saw, so that one that was killed starts afresh.
    """
    second, seen = labeler.facts.second_pass, parts.seen(labeler.seen_as)
    assert second is not None
    scores, first, queries = second.scores(seen), np.array(seen["score"]), np.array(seen["query"])
    again = ~np.isnan(scores)
    touched = set((np.flatnonzero(again) // SHARD_ROWS).tolist())
    with Progress(len(touched) * SHARD_ROWS, "second pass") as progress:
        for shard in pairs.shards(skip=set(range(parts.expected)) - touched):
            start = shard.number * SHARD_ROWS
            rows = slice(start, start + len(shard.texts))
            parts.write(grade_shard(_SecondLook(labeler, first[rows], scores[rows]), shard))
            progress.advance(SHARD_ROWS)
    logger.info(
        "second pass: %d of %d pairs graded again; %d queries with fewer than %d passages keep "
        "their first grades",
        again.sum(),
        (queries != 0).sum(),
        len(np.unique(queries[~again & (queries != 0)])),
        FEWEST_PASSAGES,
    )
