"""Predictions of labelled units by models that have not seen them.

A model knows the labels that it learned from, so its errors on them say nothing about its
errors elsewhere. Splitting the labels into folds, each predicted by a model of the others, lets
all of them teach and all of them correct (cross-prediction; Zrnic and Candès, 2024, PNAS 121).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FitPredict = Callable[[NDArray[np.int64], NDArray[np.int64]], ArrayLike]


def cross_fitted(
    units: NDArray[Any],
    folds: int,
    fit_predict: FitPredict,
    seed: int = 0,
    labelled: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Predict every row with models that were not fitted on its unit.

    Args:
        units: Unit (query) of each row, shape (rows,); rows of one unit stay together.
        folds: How many parts the labelled units are split into.
        fit_predict: From the row numbers to fit on and the row numbers to predict, to the
            predictions of the latter. Called once a fold.
        seed: Seed of the split.
        labelled: Which rows may teach, shape (rows,); all when None. The other rows are
            predicted by every fold's model and get the mean.

    Returns:
        Predictions, shape (rows,), to be given to `powered_mean` (after averaging over the
        rows of a query) as the machine's values.

    Raises:
        ValueError: Fewer labelled units than folds, fewer than two folds, or a prediction of
            another length than asked for.
    """
    units = np.asarray(units)
    teaching = np.ones(units.size, bool) if labelled is None else np.asarray(labelled, dtype=bool)
    names, number = np.unique(units, return_inverse=True)
    known = np.unique(number[teaching])
    if folds < 2 or known.size < folds:
        raise ValueError(
            f"{known.size} labelled units cannot be split into {folds} folds (2 or more)"
        )
    fold = np.full(names.size, -1)
    fold[np.random.default_rng(seed).permutation(known)] = np.arange(known.size) % folds
    # Unlabelled rows of a unit with labelled ones belong to its fold: they resemble them.
    of_row = fold[number]
    predictions = np.zeros(units.size)
    for part in range(folds):
        fitted = np.flatnonzero(teaching & (of_row != part))
        asked = np.flatnonzero((of_row == part) | (of_row == -1))
        found = np.asarray(fit_predict(fitted, asked), dtype=np.float64).ravel()
        if found.size != asked.size:
            raise ValueError(f"{found.size} predictions for {asked.size} rows")
        predictions[asked] += np.where(of_row[asked] == -1, found / folds, found)
    return predictions
