"""What people would say, from grades alone: smoothed tables and multinomial regression.

A judge that gives no probabilities has no confidence of its own. What its grade is worth shows
when it is read together with what the judges before it said: where a cheap judge and a dearer
one agree on "irrelevant", people seldom disagree. Four calibrators, simplest first: a table of
the judge's own grade; a table of all grades, backing off to fewer judges where a combination
is rare (as in Jelinek and Mercer, 1980); multinomial logistic regression on all answers; the
same with products of grades. Which one serves is chosen by `calibrating`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from relevance_distillery.judges.composites.confidence import (
    Answers,
    Calibrator,
    Floats,
    Places,
    ProbabilityMap,
)

PSEUDO_COUNT = 10.0
"""So many pairs are added to each combination of grades, spread as its back-off says."""

_PENALTY = 0.1
_DIGITS = 6
_FLOOR = 1e-3


@dataclass(frozen=True)
class GradeTable:
    """Counts of people's grades for each combination of the judges' grades.

    Attributes:
        judges: How many judges, counted from the last, are read together.
        size: How many grades the scale has.
        levels: One table for each back-off, the most detailed first: from a combination's
            number to counts of people's grades.
        prior: Share of each grade among people's, the last back-off.
    """

    judges: int
    size: int
    levels: tuple[Mapping[int, tuple[float, ...]], ...]
    prior: tuple[float, ...]

    @property
    def kind(self) -> str:
        """`own_grade`, or `all_grades` where earlier judges are read too."""
        return "own_grade" if self.judges == 1 else "all_grades"

    @classmethod
    def fit(cls, answers: Sequence[Answers], human: Places, size: int, judges: int) -> GradeTable:
        """Count.

        Args:
            answers: Of all judges asked so far, the judge in question last.
            human: Places of people's grades, shape (pairs,).
            size: How many grades the scale has.
            judges: How many judges to read together, counted from the last.
        """
        levels = []
        for depth in range(judges, 0, -1):
            counts: dict[int, Floats] = {}
            for cell, grade in zip(_cells(answers[-depth:], size), human, strict=True):
                counts.setdefault(int(cell), np.zeros(size))[grade] += 1.0
            levels.append({cell: tuple(row.tolist()) for cell, row in sorted(counts.items())})
        share = np.bincount(human, minlength=size) / max(1, len(human))
        return cls(judges, size, tuple(levels), tuple(np.round(share, _DIGITS).tolist()))

    def posterior(self, answers: Sequence[Answers]) -> Floats:
        """Smoothed shares, shape (pairs, grades)."""
        found = np.tile(np.array(self.prior), (len(answers[-1]), 1))
        for depth, level in enumerate(reversed(self.levels), start=1):
            cells, pair_of = np.unique(_cells(answers[-depth:], self.size), return_inverse=True)
            unseen = (0.0,) * self.size
            counts = np.array([level.get(int(cell), unseen) for cell in cells])
            counts = counts.reshape(len(cells), self.size)[pair_of]
            total = counts.sum(axis=1, keepdims=True)
            found = (counts + PSEUDO_COUNT * found) / (total + PSEUDO_COUNT)
        return found

    def to_state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": self.kind,
            "judges": self.judges,
            "size": self.size,
            "prior": list(self.prior),
            "levels": [
                {str(cell): list(row) for cell, row in level.items()} for level in self.levels
            ],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> GradeTable:
        """The inverse of `to_state`."""
        levels = tuple(
            {int(cell): tuple(row) for cell, row in level.items()} for level in state["levels"]
        )
        return cls(state["judges"], state["size"], levels, tuple(state["prior"]))


@dataclass(frozen=True)
class GradeRegression:
    """Multinomial logistic regression on the answers of all judges asked so far.

    Features: which grade each judge gave (none of them where it gave none), the logarithms of
    its probabilities where it has any, and, with `products`, every pair of grades of two
    judges.

    Attributes:
        size: How many grades the scale has.
        products: Whether pairs of grades are features.
        weights: Shape (grades, features).
        offsets: Shape (grades,).
        read: Which judges' probabilities are features, one a judge.
    """

    size: int
    products: bool
    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]
    read: tuple[bool, ...]

    @property
    def kind(self) -> str:
        """`regression`, or `regression_with_products`."""
        return "regression_with_products" if self.products else "regression"

    @cached_property
    def _weights(self) -> Floats:
        return np.array(self.weights)

    @classmethod
    def fit(
        cls, answers: Sequence[Answers], human: Places, size: int, *, products: bool
    ) -> GradeRegression:
        """Maximise the penalised likelihood; the penalty keeps rare combinations near 0."""
        from sklearn.linear_model import LogisticRegression

        read = tuple(answer.probabilities is not None for answer in answers)
        features = _features(answers, size, products, read)
        rows, pair_of = np.unique(np.column_stack([features, human]), axis=0, return_inverse=True)
        seen = rows[:, -1].astype(np.int64)
        model = LogisticRegression(C=_PENALTY, max_iter=1000)
        # Equal rows are counted once with their weight: with grades alone there are few.
        model.fit(rows[:, :-1], seen, sample_weight=np.bincount(pair_of.ravel()))
        weights, offsets = np.zeros((size, features.shape[1])), np.full(size, -30.0)
        if len(model.classes_) == 2:
            coefficients = np.vstack([-model.coef_[0] / 2, model.coef_[0] / 2])
            intercepts = np.array([-model.intercept_[0] / 2, model.intercept_[0] / 2])
        else:
            coefficients, intercepts = model.coef_, model.intercept_
        weights[model.classes_], offsets[model.classes_] = coefficients, intercepts
        return cls(
            size,
            products,
            tuple(tuple(row) for row in np.round(weights, _DIGITS).tolist()),
            tuple(np.round(offsets, _DIGITS).tolist()),
            read,
        )

    def posterior(self, answers: Sequence[Answers]) -> Floats:
        """Probabilities, shape (pairs, grades)."""
        scores = _features(answers, self.size, self.products, self.read) @ self._weights.T
        scores += self.offsets
        scores -= scores.max(axis=1, keepdims=True)
        raised = np.exp(scores)
        return raised / raised.sum(axis=1, keepdims=True)

    def to_state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": self.kind,
            "size": self.size,
            "weights": [list(row) for row in self.weights],
            "offsets": list(self.offsets),
            "read": list(self.read),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> GradeRegression:
        """The inverse of `to_state`."""
        return cls(
            state["size"],
            state["kind"] == "regression_with_products",
            tuple(tuple(row) for row in state["weights"]),
            tuple(state["offsets"]),
            tuple(state["read"]),
        )


def calibrator_from_state(state: Mapping[str, Any]) -> Calibrator:
    """The calibrator that wrote `state`."""
    if state["kind"] in ("none", "single", "per_class"):
        return ProbabilityMap.from_state(state)
    if state["kind"] in ("own_grade", "all_grades"):
        return GradeTable.from_state(state)
    return GradeRegression.from_state(state)


def _cells(answers: Sequence[Answers], size: int) -> Places:
    """A number for each combination of grades, "no grade" being one more, shape (pairs,)."""
    cells = np.zeros(len(answers[0]), dtype=np.int64)
    for answer in answers:
        cells = cells * (size + 1) + answer.places + 1
    return cells


def _features(
    answers: Sequence[Answers], size: int, products: bool, read: Sequence[bool]
) -> Floats:
    grades = [
        (answer.places[:, None] == np.arange(size)[None, :]).astype(np.float64)
        for answer in answers
    ]
    blocks = list(grades)
    for answer, wanted in zip(answers, read, strict=True):
        if wanted:
            known = np.full((len(answer), size), 1.0 / size)
            if answer.probabilities is not None:
                known = np.nan_to_num(answer.probabilities, nan=1.0 / size)
            blocks.append(np.round(np.log(np.clip(known, _FLOOR, 1.0)), _DIGITS))
    if products:
        for later in range(len(grades)):
            for earlier in range(later):
                both = grades[earlier][:, :, None] * grades[later][:, None, :]
                blocks.append(both.reshape(len(both), size * size))
    return np.hstack(blocks)
