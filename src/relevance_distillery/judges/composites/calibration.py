"""From a judge's answer to the probability of every grade that people might give.

A judge that gives probabilities has them mapped by isotonic regression (Zadrozny and Elkan,
2002), one function a grade or one for all, as in the annotation cascade of arXiv 2606.25871. A
judge that gives grades alone has no confidence of its own: its probabilities are the shares of
people's grades where it and the judges before it gave the same grades.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from pydantic import TypeAdapter

from relevance_distillery.errors import UserError
from relevance_distillery.judges.composites.answers import Answers, Floats, Mask, Places
from relevance_distillery.judges.settings import ENOUGH_EXAMPLES, MapKind

PSEUDO_COUNT = 10.0
"""So many pairs are added to each combination of grades, spread as its back-off says."""

_DIGITS = 6


@dataclass(frozen=True)
class Isotonic:
    """A monotone piecewise linear function from rising raw probabilities to calibrated ones."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, values: Floats) -> Floats:
        """Calibrated probabilities of raw ones, both of any shape."""
        return np.interp(values, self.x, self.y)

    @classmethod
    def fit(cls, values: Floats, hits: Floats) -> Self:
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
        single: The function for all grades; None for `none`.
        per_class: One function a grade, None where the grade has too few examples and takes
            `single`.
    """

    kind: MapKind
    size: int
    single: Isotonic | None = None
    per_class: tuple[Isotonic | None, ...] = ()

    @classmethod
    def fit(
        cls, kind: MapKind, probabilities: Floats, human: Places, enough: int = ENOUGH_EXAMPLES
    ) -> Self:
        """Fit on graded pairs; grades with fewer examples than `enough` take the map of all.

        `probabilities` are the judge's, shape (pairs, grades), no nan; `human` the places of
        people's grades, shape (pairs,).
        """
        size = probabilities.shape[1]
        if kind == "none":
            return cls(kind, size)
        hits = (human[:, None] == np.arange(size)[None, :]).astype(np.float64)
        single = Isotonic.fit(probabilities.ravel(), hits.ravel())
        if kind == "single":
            return cls(kind, size, single)
        per_class = tuple(
            Isotonic.fit(probabilities[:, grade], hits[:, grade])
            if hits[:, grade].sum() >= enough
            else None
            for grade in range(size)
        )
        return cls(kind, size, single, per_class)

    def posterior(self, answers: Sequence[Answers]) -> Floats:
        """Calibrated probabilities of the last judge, shape (pairs, grades); nan without any."""
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
        return np.where(answers[-1].has_probabilities[:, None], mapped, np.nan)

    def to_state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class GradeTable:
    """Shares of people's grades for each combination of the judges' grades.

    A combination that is rare is smoothed towards what the later judges alone say, the last of
    them counting longest, and in the end towards the shares of all pairs (after Jelinek and
    Mercer, 1980).

    Attributes:
        judges: How many judges, counted from the last, are read together.
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
    def fit(cls, answers: Sequence[Answers], human: Places, size: int) -> Self:
        """Count places of people's grades, shape (pairs,); the judge in question answers last."""
        levels = []
        for depth in range(len(answers), 0, -1):
            counts: dict[int, Floats] = {}
            for cell, grade in zip(_cells(answers[-depth:], size), human, strict=True):
                counts.setdefault(int(cell), np.zeros(size))[grade] += 1.0
            levels.append({cell: tuple(row.tolist()) for cell, row in sorted(counts.items())})
        share = np.bincount(human, minlength=size) / max(1, len(human))
        return cls(len(answers), size, tuple(levels), tuple(np.round(share, _DIGITS).tolist()))

    def posterior(self, answers: Sequence[Answers]) -> Floats:
        """Smoothed shares, shape (pairs, grades)."""
        found = np.tile(np.array(self.prior), (len(answers[-1]), 1))
        unseen = (0.0,) * self.size
        for depth, level in enumerate(reversed(self.levels), start=1):
            cells, pair_of = np.unique(_cells(answers[-depth:], self.size), return_inverse=True)
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
            "levels": [{str(at): list(row) for at, row in level.items()} for level in self.levels],
        }


Calibrator = ProbabilityMap | GradeTable


def calibrator_from_state(state: Mapping[str, Any]) -> Calibrator:
    """The calibrator that wrote `state`; UserError where there is no such kind any longer."""
    if state["kind"] in ("none", "single", "per_class"):
        return TypeAdapter(ProbabilityMap).validate_python(state)
    if state["kind"] in ("own_grade", "all_grades"):
        return TypeAdapter(GradeTable).validate_python(state)
    raise UserError(
        f"the stored cascade has a calibrator {state['kind']!r}, which this release does not "
        "know: run `kedro run --pipeline=cascade` again"
    )


def cross_fit(
    answers: Sequence[Answers],
    human: Places,
    folds: Places,
    size: int,
    probability_map: MapKind,
    enough: int,
) -> tuple[Calibrator, Floats]:
    """Fit the calibrator of the last judge among `answers`, those of all judges asked so far.

    `human` are places of people's grades, `folds` numbers of folds of queries, both of shape
    (pairs,); a grade needs `enough` examples for a map of its own.

    Returns:
        The calibrator, fitted on all pairs, and what calibrators fitted on other queries say
        about each pair, shape (pairs, grades); nan where the judge gave no usable answer.
    """
    last = answers[-1]
    maps = last.has_probabilities.any()
    usable = last.has_probabilities if maps else last.given

    def fit(rows: Mask) -> Calibrator:
        if maps and last.probabilities is not None:
            own = last.probabilities[rows]
            return ProbabilityMap.fit(probability_map, own, human[rows], enough)
        return GradeTable.fit([answer.rows(rows) for answer in answers], human[rows], size)

    held_out = np.full((len(human), size), np.nan)
    for fold in np.unique(folds):
        inside, outside = usable & (folds == fold), usable & (folds != fold)
        if inside.any() and outside.any():
            held_out[inside] = fit(outside).posterior([answer.rows(inside) for answer in answers])
    return fit(usable), held_out


def _cells(answers: Sequence[Answers], size: int) -> Places:
    """A number for each combination of grades, "no grade" being one more, shape (pairs,)."""
    cells = np.zeros(len(answers[0]), dtype=np.int64)
    for answer in answers:
        cells = cells * (size + 1) + answer.places + 1
    return cells
