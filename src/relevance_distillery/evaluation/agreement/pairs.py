"""Pairs that people and one judge graded: what every figure of agreement starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class GradedPairs:
    """What people and one judge said about the same pairs.

    Attributes:
        human: People's grades, shape (pairs,).
        judge: The judge's grades, or scores where `graded` is false, shape (pairs,).
        query: Number of each pair's query, shape (pairs,).
        queries: How many queries there are in all, those without pairs included.
        graded: The judge gave grades of the scale.
        weight: How many pairs each pair stands for, shape (pairs,): 1 / its inclusion
            probability where the pairs are a sample; None where all count alike.
    """

    human: NDArray[np.int64]
    judge: NDArray[np.float64]
    query: NDArray[np.int64]
    queries: int
    graded: bool = True
    weight: NDArray[np.float64] | None = None
