"""A second pass over a file: what a query's other passages say of one of them.

Pseudo-relevance feedback with dense vectors (Rocchio, 1971; Yu et al., ANCE-PRF, 2021): a passage
is compared with the others of its query, which count the more the better they score. Less the mean
of all queries, that also tells queries apart whose passages resemble each other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from query_level import rows_of

from relevance_distillery.encoders.sentence_encoder import sentence_encoder
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.calibration import cut_points_like

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_RIDGE = 1e-4


def keep_vectors(pairs: pd.DataFrame, target: Path) -> None:
    """Vectors of the passages by the encoder as it comes, a row a pair; nothing where they are."""
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    texts = (pairs["title"].fillna("") + "\n" + pairs["text"]).str.strip().tolist()
    with torch.autocast("cpu", torch.bfloat16):
        vectors = sentence_encoder("bundled", 192).encode(texts)
    np.savez(target, vectors=vectors.astype(np.float16))


def support(scores: Floats, vectors: Floats, queries: Ints) -> Floats:
    """Mean similarity to the query's other passages, weighed by exp(score), less its mean.

    Scores are in logits, shape (pairs,); vectors have length 1, shape (pairs, width). The mean
    counts queries alike; a passage that is alone has it.
    """
    found = np.full(len(scores), np.nan)
    levels = []
    for rows in rows_of(queries):
        if len(rows) < 2:
            continue
        weights = np.exp(scores[rows] - scores[rows].max())
        alike = (vectors[rows] @ vectors[rows].T) * weights
        others = np.maximum(weights.sum() - weights, 1e-6)
        found[rows] = (alike.sum(axis=1) - np.diag(alike)) / others
        levels.append(found[rows].mean())
    return np.nan_to_num(found - np.mean(levels))


class SecondPass:
    """Grades from the score and the support, by a linear rule that a teacher's grades fit."""

    def __init__(self, columns: Floats, grades: Ints, sets: NDArray[np.str_]) -> None:
        """Fit to columns of shape (pairs, columns); sets count alike."""
        _, number, sizes = np.unique(sets, return_inverse=True, return_counts=True)
        weights = 1 / sizes[number]
        weights /= weights.mean()
        self._mean, self._deviation = columns.mean(axis=0), columns.std(axis=0)
        inputs = self._standard(columns)
        pull = _RIDGE * len(inputs) * np.eye(inputs.shape[1])
        gram = inputs.T @ (inputs * weights[:, None]) + pull
        self._slopes = np.linalg.solve(gram, inputs.T @ (weights * (grades - grades.mean())))
        self._cuts = cut_points_like(grades, self.scores(columns), DEFAULT_SCALE)

    def scores(self, columns: Floats) -> Floats:
        """Scores, shape (pairs,)."""
        return self._standard(columns) @ self._slopes

    def grades(self, columns: Floats) -> Ints:
        """Each grade as often as in what fitted the rule."""
        return np.searchsorted(self._cuts, self.scores(columns), "right")

    def _standard(self, columns: Floats) -> Floats:
        return (columns - self._mean) / self._deviation
