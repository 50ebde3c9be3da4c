"""How far two distributions are apart: effect sizes, since in the end all is significant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FLOOR = 0.005
"""A bin with a smaller share counts as this much, or an empty bin would decide everything."""


def shares(counts: Array) -> Array:
    """Counts over their sum, shape (..., bins); nan where the sum is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = counts / counts.sum(axis=-1, keepdims=True)
    return result


def stability_index(batch: Array, reference: Array) -> Array:
    """Population stability index: sum of (b - r) ln(b / r) over the bins' shares.

    Below 0.1 is usually read as stable and above 0.25 as another population (Siddiqi, 2006,
    Credit Risk Scorecards); under chance it is about (bins - 1)(1/n + 1/m) (Yurdakul, 2018).

    Args:
        batch: Counts, shape (..., bins).
        reference: Counts, shape (..., bins).

    Returns:
        Shape (...); 0 for equal shares, nan where one side is empty.
    """
    b, r = np.maximum(shares(batch), FLOOR), np.maximum(shares(reference), FLOOR)
    result: Array = ((b - r) * np.log(b / r)).sum(axis=-1)
    return result


def jensen_shannon(batch: Array, reference: Array) -> Array:
    """Jensen–Shannon divergence in bits (Lin, 1991): 0 for equal shares, 1 for disjoint ones.

    Args:
        batch: Counts, shape (..., bins).
        reference: Counts, shape (..., bins).

    Returns:
        Shape (...); nan where one side is empty.
    """
    b, r = shares(batch), shares(reference)
    middle = (b + r) / 2
    return (_relative(b, middle) + _relative(r, middle)) / 2


def _relative(of: Array, to: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(of == 0, 0.0, of * np.log2(of / to))
    result: Array = terms.sum(axis=-1)
    return result


def ratio(part: Array, whole: Array) -> Array:
    """The share of `part` in `whole`, shape (...); nan where `whole` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = np.where(whole == 0, np.nan, part / whole)
    return result
