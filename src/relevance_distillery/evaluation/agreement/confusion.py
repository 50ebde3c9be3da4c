"""Agreement of a judge with people, every figure from a matrix of counts.

All figures here are pooled over pairs and depend on the data through the matrix of counts
alone. So a resample of queries costs one sum of small matrices, and every function takes a
stack of matrices at once: `counts` has the shape (..., grades, grades), people in rows, the
judge in columns, and the result has the shape (...). Grades stand for their places on the
scale, so one step is one grade. Where a figure is not defined it is nan; who writes it down
turns that into null with a reason.
"""

import numpy as np
from numpy.typing import ArrayLike

from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.grading import GradeScale


def confusion(
    human: ArrayLike, judge: ArrayLike, scale: GradeScale, weight: ArrayLike | None = None
) -> Floats:
    """How often each grade of people met each grade of the judge, values of `scale`.

    `weight` says how many pairs each pair stands for: 1 / its inclusion probability in a sample
    (Horvitz and Thompson, 1952); 1 each when None. All have the shape (pairs,).

    Returns:
        Counts, shape (grades, grades), people in rows.

    Raises:
        ValueError: The two arrays differ in length, or hold a grade outside `scale`.
    """
    query = np.zeros(np.size(human), dtype=np.int64)
    return confusion_by_query(human, judge, query, 1, scale, weight)[0]


def confusion_by_query(
    human: ArrayLike,
    judge: ArrayLike,
    query: ArrayLike,
    queries: int,
    scale: GradeScale,
    weight: ArrayLike | None = None,
) -> Floats:
    """One confusion matrix a query, as `confusion`, shape (queries, grades, grades).

    `query` numbers each pair's query, 0 to `queries` - 1, shape (pairs,); a query without pairs
    has a matrix of zeros.
    """
    rows, columns = scale.positions(human), scale.positions(judge)
    if rows.shape != columns.shape:
        raise ValueError(f"{rows.size} grades by people but {columns.size} by the judge")
    cells = (np.asarray(query, dtype=np.int64) * scale.size + rows) * scale.size + columns
    flat = np.bincount(cells, weights=weight, minlength=queries * scale.size**2)
    return flat.reshape(queries, scale.size, scale.size).astype(np.float64)


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """The ratio, nan where the denominator is 0 up to rounding."""
    defined = denominator > 1e-12
    return np.where(defined, numerator / np.where(defined, denominator, 1.0), np.nan)


def _mean_over_pairs(counts: Floats, values: Floats) -> Floats:
    return divide((counts * values).sum((-1, -2)), counts.sum((-1, -2)))


def _steps(size: int) -> Floats:
    """Signed distance of judge and people in grades, shape (grades, grades)."""
    places = np.arange(size, dtype=np.float64)
    return places[None, :] - places[:, None]


def _weighted_kappa(counts: Floats, disagreement: Floats) -> Floats:
    total = counts.sum((-1, -2))
    rows, columns = counts.sum(-1), counts.sum(-2)
    expected = np.einsum("...i,...j,ij->...", rows, columns, disagreement)
    observed = (counts * disagreement).sum((-1, -2))
    return 1.0 - divide(observed * total, expected)


def kappa(counts: Floats) -> Floats:
    """Cohen's kappa (Cohen, 1960): agreement beyond chance, every error alike."""
    return _weighted_kappa(counts, 1.0 - np.eye(counts.shape[-1]))


def quadratic_kappa(counts: Floats) -> Floats:
    """Cohen's kappa with quadratic weights (Cohen, 1968): an error of two grades counts four.

    1 for perfect agreement, 0 for chance, negative below chance; not defined where people
    and judge gave one and the same grade to every pair.
    """
    return _weighted_kappa(counts, _steps(counts.shape[-1]) ** 2)


def binary_kappa(counts: Floats, threshold: int) -> Floats:
    """Cohen's kappa of relevant (grades from a place on the scale on) against irrelevant."""
    return kappa(halves(counts, threshold))


def halves(counts: Floats, threshold: int) -> Floats:
    """Grades below and from a place on the scale summed up, shape (..., 2, 2)."""
    upper = np.arange(counts.shape[-1]) >= threshold
    side = np.stack([~upper, upper]).astype(np.float64)
    return side @ counts @ side.T


def krippendorff_alpha(counts: Floats) -> Floats:
    """Krippendorff's alpha for ordinal data (Krippendorff, 2011), people and judge as raters.

    The distance of two grades is how many ratings lie between them, so it depends on how
    often the grades were given and not on their numbers.
    """
    coincidences = counts + np.swapaxes(counts, -1, -2)
    ratings = coincidences.sum(-1)
    total = ratings.sum(-1)
    middle = np.cumsum(ratings, axis=-1) - ratings / 2.0
    distance = (middle[..., :, None] - middle[..., None, :]) ** 2
    observed = (coincidences * distance).sum((-1, -2))
    expected = (ratings[..., :, None] * ratings[..., None, :] * distance).sum((-1, -2))
    return 1.0 - divide(observed * (total - 1.0), expected)


def gwet_ac2(counts: Floats) -> Floats:
    """Gwet's AC2 with quadratic weights (Gwet, 2014, chapter 5).

    Chance is the agreement of raters who are sure of most pairs and guess the rest, so one
    grade that is much more frequent than the others does not push it towards zero as it
    does kappa.
    """
    size = counts.shape[-1]
    weights = 1.0 - _steps(size) ** 2 / (size - 1) ** 2
    total = counts.sum((-1, -2))
    share = (counts.sum(-1) + counts.sum(-2)) / (2.0 * np.where(total > 0, total, 1.0))[..., None]
    chance = weights.sum() / (size * (size - 1)) * (share * (1.0 - share)).sum(-1)
    agreement = _mean_over_pairs(counts, weights)
    return divide(agreement - chance, 1.0 - chance)


def accuracy(counts: Floats) -> Floats:
    """Share of pairs with exactly people's grade."""
    return _mean_over_pairs(counts, np.eye(counts.shape[-1]))


def within_one(counts: Floats) -> Floats:
    """Share of pairs at most one grade away from people's."""
    return _mean_over_pairs(counts, (np.abs(_steps(counts.shape[-1])) <= 1).astype(np.float64))


def mean_absolute_error(counts: Floats) -> Floats:
    """Mean distance from people's grade, in grades."""
    return _mean_over_pairs(counts, np.abs(_steps(counts.shape[-1])))


def bias(counts: Floats) -> Floats:
    """Mean of judge minus people, in grades: above 0 the judge is too generous."""
    return _mean_over_pairs(counts, _steps(counts.shape[-1]))


def spearman(counts: Floats) -> Floats:
    """Spearman's rank correlation over all pairs, ties at their middle rank."""

    def centred(margin: Floats) -> Floats:
        rank = np.cumsum(margin, axis=-1) - margin / 2.0
        return rank - margin.sum(-1, keepdims=True) / 2.0

    rows, columns = counts.sum(-1), counts.sum(-2)
    human, judge = centred(rows), centred(columns)
    covariance = np.einsum("...ij,...i,...j->...", counts, human, judge)
    spread = (rows * human**2).sum(-1) * (columns * judge**2).sum(-1)
    return divide(covariance, np.sqrt(spread))


def recall_by_grade(counts: Floats) -> Floats:
    """Share of each grade of people that the judge found again, shape (..., grades)."""
    return divide(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1))


def precision_by_grade(counts: Floats) -> Floats:
    """Share of each grade of the judge that people gave too, shape (..., grades)."""
    return divide(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-2))
