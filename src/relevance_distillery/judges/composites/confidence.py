"""How sure one may be of a judge's answer: calibrators towards what people would say.

A calibrator turns the answers of one judge, or of all judges asked so far, into a probability
for every grade that people might give. A judge that gives probabilities has its own mapped, as
in arXiv 2606.25871: by isotonic regression (Zadrozny and Elkan, 2002), one map for all grades
or one per grade. For a judge that gives grades alone see `grade_maps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

MapKind = Literal["none", "single", "per_class"]

ENOUGH_EXAMPLES = 50
"""A grade that people gave less often than this takes the map of all grades together."""

_DIGITS = 6


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
    def given(self) -> NDArray[np.bool_]:
        """Where there is a grade, shape (pairs,)."""
        return self.places >= 0

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Where there are probabilities, shape (pairs,)."""
        if self.probabilities is None:
            return np.zeros(len(self.places), dtype=bool)
        return np.asarray(np.isfinite(self.probabilities).all(axis=1), dtype=bool)


class Calibrator(Protocol):
    """From answers to what people would say."""

    @property
    def kind(self) -> str:
        """Its name in states and reports."""
        ...

    def posterior(self, answers: Sequence[Answers]) -> Floats:
        """Probability of every grade, shape (pairs, grades); nan where nothing is known.

        Args:
            answers: Of all judges asked so far, the judge in question last.
        """
        ...

    def to_state(self) -> dict[str, Any]:
        """Plain JSON values."""
        ...


@dataclass(frozen=True)
class Knots:
    """A monotone piecewise linear function: from raw to calibrated probability."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, values: Floats) -> Floats:
        """The function, constant beyond its ends."""
        return np.interp(values, self.x, self.y)

    @classmethod
    def fit(cls, values: Floats, hits: Floats) -> Knots:
        """Isotonic regression of 0/1 `hits` on `values`, both of shape (n,)."""
        from sklearn.isotonic import IsotonicRegression

        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(values, hits)
        return cls(
            tuple(np.round(model.X_thresholds_, _DIGITS).tolist()),
            tuple(np.round(model.y_thresholds_, _DIGITS).tolist()),
        )


@dataclass(frozen=True)
class ProbabilityMap:
    """Calibrates a judge's own probabilities, grade by grade, and renormalises them.

    Attributes:
        kind: `none` takes them as they are, `single` maps all grades alike, `per_class` each
            grade by its own function.
        size: How many grades the scale has.
        single: The function for all grades; None for `none`.
        per_class: One function a grade, None where the grade has too few examples and takes
            `single`.
    """

    kind: str
    size: int
    single: Knots | None = None
    per_class: tuple[Knots | None, ...] = ()

    def posterior(self, answers: Sequence[Answers]) -> Floats:
        """Calibrated probabilities of the last judge, shape (pairs, grades)."""
        raw = answers[-1].probabilities
        if raw is None:
            return np.full((len(answers[-1]), self.size), np.nan)
        if self.single is None:
            return raw
        maps = self.per_class or (None,) * self.size
        columns = np.column_stack(
            [(own or self.single)(raw[:, grade]) for grade, own in enumerate(maps)]
        )
        total = columns.sum(axis=1, keepdims=True)
        # Where every function says zero there is nothing to renormalise.
        mapped = np.where(total > 1e-9, columns / np.maximum(total, 1e-9), raw)
        return np.where(answers[-1].sure[:, None], mapped, np.nan)

    def to_state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": self.kind,
            "size": self.size,
            "single": _knots_state(self.single),
            "per_class": [_knots_state(knots) for knots in self.per_class],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ProbabilityMap:
        """The inverse of `to_state`."""
        return cls(
            state["kind"],
            state["size"],
            _knots(state["single"]),
            tuple(_knots(knots) for knots in state["per_class"]),
        )


def fit_probability_map(
    kind: MapKind, probabilities: Floats, human: Places, enough: int = ENOUGH_EXAMPLES
) -> ProbabilityMap:
    """Fit a map on graded pairs.

    Args:
        kind: Which map.
        probabilities: The judge's, shape (pairs, grades), no nan.
        human: Places of people's grades, shape (pairs,).
        enough: Grades with fewer examples take the map of all grades.
    """
    if kind not in get_args(MapKind):
        raise ValueError(f"unknown map {kind!r}")
    size = probabilities.shape[1]
    if kind == "none":
        return ProbabilityMap("none", size)
    hits = (human[:, None] == np.arange(size)[None, :]).astype(np.float64)
    single = Knots.fit(probabilities.ravel(), hits.ravel())
    if kind == "single":
        return ProbabilityMap("single", size, single)
    per_class = tuple(
        Knots.fit(probabilities[:, grade], hits[:, grade])
        if hits[:, grade].sum() >= enough
        else None
        for grade in range(size)
    )
    return ProbabilityMap("per_class", size, single, per_class)


def check_calibration_grades(human: Places, scale: GradeScale, where: str) -> None:
    """Refuse a calibration set in which people never gave some grade.

    Args:
        human: Places of people's grades, shape (pairs,).
        scale: The grades.
        where: Name of the set, for the message.

    Raises:
        UserError: Names the grades that are missing.
    """
    counts = np.bincount(human, minlength=scale.size)
    lacking = [str(scale.grades[place].value) for place in np.flatnonzero(counts == 0)]
    if lacking:
        raise UserError(
            f"the calibration set {where} has no pair with grade {', '.join(lacking)}: what a "
            "judge's answer is worth cannot be learned without; add such pairs, or set a "
            "`scale` without that grade"
        )


def _knots_state(knots: Knots | None) -> dict[str, list[float]] | None:
    return None if knots is None else {"x": list(knots.x), "y": list(knots.y)}


def _knots(state: Mapping[str, Sequence[float]] | None) -> Knots | None:
    return None if state is None else Knots(tuple(state["x"]), tuple(state["y"]))
