"""What judges said about pairs, as arrays, and the majority of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

KEY = ["query_id", "passage_id"]


@dataclass(frozen=True)
class Answers:
    """What one judge said about some pairs.

    Attributes:
        places: The grade's place on the scale, -1 where it gave none, shape (pairs,).
        probabilities: Shape (pairs, grades), rows of nan where there are none; None for a judge
            that never gives any.
    """

    places: Places
    probabilities: Floats | None = None

    def __len__(self) -> int:
        return len(self.places)

    def rows(self, chosen: NDArray[Any]) -> Answers:
        """The answers of these pairs, by mask or number."""
        kept = None if self.probabilities is None else self.probabilities[chosen]
        return Answers(self.places[chosen], kept)

    @property
    def given(self) -> Mask:
        """Where there is a grade, shape (pairs,)."""
        return self.places >= 0

    @property
    def has_probabilities(self) -> Mask:
        """Where there are probabilities, shape (pairs,)."""
        if self.probabilities is None:
            return np.zeros(len(self.places), dtype=bool)
        return np.asarray(np.isfinite(self.probabilities).all(axis=1), dtype=bool)

    def votes(self, size: int) -> Floats:
        """1 for the judge's grade and 0 for the others, shape (pairs, grades); 0 without one."""
        return (self.places[:, None] == np.arange(size)[None, :]).astype(np.float64)

    @classmethod
    def of_labels(cls, labels: pd.DataFrame, pairs: int, scale: GradeScale) -> Answers:
        """The answers in a table of labels.

        Args:
            labels: Columns grade and probabilities; the index is each pair's number.
            pairs: How many pairs there are; those without a label have no answer.
            scale: The grades.
        """
        places = np.full(pairs, -1, dtype=np.int64)
        places[labels.index] = scale.positions(labels["grade"].to_numpy())
        known = labels["probabilities"].notna()
        if not known.any():
            return cls(places)
        probabilities = np.full((pairs, scale.size), np.nan)
        probabilities[labels.index[known]] = np.stack(labels["probabilities"][known].tolist())
        return cls(places, probabilities)


def numbered(table: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """A table of some pairs, its index being each pair's number among all.

    Args:
        table: Columns query_id and passage_id, and others.
        keys: Columns query_id and passage_id of all pairs.
    """
    index = pd.MultiIndex.from_frame(keys[KEY].astype(str))
    return table.set_axis(index.get_indexer(pd.MultiIndex.from_frame(table[KEY])), axis=0)


def majority(answers: Sequence[Answers], size: int) -> Places:
    """The grade that most judges gave; among equals that of the latest judge that gave one.

    Returns:
        Places, shape (pairs,); -1 where no judge gave a grade.
    """
    votes = np.sum([answer.votes(size) for answer in answers], axis=0)
    leading = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    found = np.full(len(votes), -1, dtype=np.int64)
    for answer in answers:
        place = np.maximum(answer.places, 0)
        counts = answer.given & leading[np.arange(len(votes)), place]
        found = np.where(counts, place, found)
    return found
