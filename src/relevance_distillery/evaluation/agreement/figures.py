"""Agreement of a judge with people: one number from two arrays of grades.

Every function takes people's grades and the judge's for the same pairs, shape (pairs,), and
the scale whose grades they are; a grade that nobody used still counts. It returns nan where
the figure is not defined, and raises ValueError where the arrays differ in length or hold a
grade outside the scale. The arithmetic is in `confusion`.
"""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import ArrayLike

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.confusion import Floats
from relevance_distillery.grading import GradeScale


def _figure(
    measure: Callable[[Floats], Floats], human: ArrayLike, judge: ArrayLike, scale: GradeScale
) -> float:
    return float(measure(confusion.confusion(human, judge, scale)))


def kappa(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Cohen's kappa (Cohen, 1960): agreement beyond chance, every error alike."""
    return _figure(confusion.kappa, human, judge, scale)


def quadratic_kappa(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Cohen's kappa with quadratic weights (Cohen, 1968)."""
    return _figure(confusion.quadratic_kappa, human, judge, scale)


def binary_kappa(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Cohen's kappa of relevant against irrelevant, by the scale's threshold."""
    threshold = int(scale.positions([scale.relevant_from])[0])
    return _figure(lambda counts: confusion.binary_kappa(counts, threshold), human, judge, scale)


def krippendorff_alpha(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Krippendorff's alpha for ordinal data (Krippendorff, 2011), people and judge as raters."""
    return _figure(confusion.krippendorff_alpha, human, judge, scale)


def gwet_ac2(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Gwet's AC2 with quadratic weights (Gwet, 2014)."""
    return _figure(confusion.gwet_ac2, human, judge, scale)


def accuracy(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Share of pairs with exactly people's grade."""
    return _figure(confusion.accuracy, human, judge, scale)


def within_one(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Share of pairs at most one grade away from people's."""
    return _figure(confusion.within_one, human, judge, scale)


def mean_absolute_error(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Mean distance from people's grade, in grades."""
    return _figure(confusion.mean_absolute_error, human, judge, scale)


def bias(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Mean of judge minus people, in grades: above 0 the judge is too generous."""
    return _figure(confusion.bias, human, judge, scale)


def spearman(human: ArrayLike, judge: ArrayLike, scale: GradeScale) -> float:
    """Spearman's rank correlation over all pairs, ties at their middle rank."""
    return _figure(confusion.spearman, human, judge, scale)
