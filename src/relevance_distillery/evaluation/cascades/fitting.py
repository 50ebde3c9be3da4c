"""Fitting a cascade on graded pairs: calibrators, thresholds, and their validation.

Calibrators are cross-fitted over queries, thresholds are searched on the grades that those give.
The figures of the search are optimistic, since the thresholds were chosen on them; so the whole
procedure is repeated on folds of queries, each held-out fold graded by a cascade that never saw
it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.cascades.threshold_search import (
    Choice,
    StageView,
    choose,
    frontier,
    search,
    undominated,
)
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.answers import Answers, Places, majority
from relevance_distillery.judges.composites.calibration import cross_fit
from relevance_distillery.judges.composites.cascade import (
    CascadeFit,
    Decision,
    Identity,
    Stage,
    grade_and_confidence,
)
from relevance_distillery.judges.settings import CascadeSettings

FEWEST_QUERIES = 4
"""Folds of fewer queries would say nothing."""


@dataclass(frozen=True)
class GradedSet:
    """Pairs that people graded, with the answers of every judge of a cascade.

    Attributes:
        answers: One a judge, in the cascade's order.
        human: Places of people's grades, shape (pairs,).
        queries: Number of each pair's query, shape (pairs,).
    """

    name: str
    answers: tuple[Answers, ...]
    human: Places
    queries: Places

    def rows(self, chosen: np.ndarray) -> Self:
        """The pairs of a mask."""
        answers = tuple(answer.rows(chosen) for answer in self.answers)
        human, queries = self.human[chosen], self.queries[chosen]
        return replace(self, answers=answers, human=human, queries=queries)


@dataclass(frozen=True)
class Fitted:
    """A cascade and how it came about.

    Attributes:
        choice: Its thresholds, with optimistic figures, since they were chosen on them.
        value: The target that was aimed at.
        frontier: Thresholds and decisions that no others beat in cost and agreement on the
            graded set, cheapest first.
    """

    fit: CascadeFit
    choice: Choice
    value: float
    frontier: tuple[Choice, ...]


def check_calibration_set(name: str, human: Places, queries: Places, scale: GradeScale) -> None:
    """Refuse people's grades on which no cascade can be fitted, before a judge is paid.

    Raises:
        UserError: The set of that name lacks a grade, or has too few queries.
    """
    counts = np.bincount(human, minlength=scale.size)
    lacking = [str(scale.grades[place].value) for place in np.flatnonzero(counts == 0)]
    if lacking:
        raise UserError(
            f"the calibration set {name} has no pair with grade {', '.join(lacking)}: what a "
            "judge's answer is worth cannot be learned without; add such pairs, or set a "
            "`scale` without that grade"
        )
    different = len(np.unique(queries))
    if different < FEWEST_QUERIES:
        raise UserError(
            f"the calibration set {name} has {different} queries: give at least "
            f"{FEWEST_QUERIES}, thresholds are validated on queries that were held out"
        )


@dataclass(frozen=True)
class Fitting:
    """How a cascade is fitted: judges in the order in which they are asked.

    `prices` are of a call of each judge, in units of the last judge's.
    """

    judges: Sequence[Identity]
    scale: GradeScale
    prices: Sequence[float]
    settings: CascadeSettings
    seed: int

    def fit(self, graded: GradedSet) -> Fitted:
        """Fit it on the calibration set.

        Raises:
            UserError: As `check_calibration_set`; or there is one judge, or one that answered
                nothing.
        """
        if len(self.judges) < 2:
            raise UserError("a cascade needs at least two judges: judges=FIRST;…;LAST")
        check_calibration_set(graded.name, graded.human, graded.queries, self.scale)
        for identity, answer in zip(self.judges, graded.answers, strict=True):
            if not answer.given.any():
                raise UserError(
                    f"judge {identity.judge} graded none of the {len(answer)} pairs of the "
                    f"calibration set {graded.name}: see its failures, or leave it out of `judges`"
                )
        return self._fit(graded)

    def validate(self, graded: GradedSet) -> dict[str, Any]:
        """What the procedure reaches on queries that it did not see.

        Returns:
            Keys accuracy, agreement and cost of held-out pairs, each graded by a cascade that was
            fitted, thresholds included, on the other folds.
        """
        folds = query_folds(graded.queries, self.settings.folds, self.seed + 1)
        places = np.full(len(graded.human), -1, dtype=np.int64)
        asked = np.zeros((len(self.judges), len(graded.human)), dtype=bool)
        for fold in np.unique(folds):
            held_out = folds == fold
            fitted = self._fit(graded.rows(~held_out))
            decided = fitted.fit.replay(graded.rows(held_out).answers)
            places[held_out] = decided.places
            asked[:, held_out] = decided.asked(len(self.judges))
        counts = confusion_of(graded.human, places, self.scale)
        return {
            "accuracy": number(float(confusion.accuracy(counts))),
            "agreement": number(float(confusion.quadratic_kappa(counts))),
            "cost": number(float(np.asarray(self.prices) @ asked.mean(axis=1))),
        }

    def _fit(self, graded: GradedSet) -> Fitted:
        scale, settings = self.scale, self.settings
        folds = query_folds(graded.queries, settings.folds, self.seed)
        calibrated = [
            cross_fit(
                graded.answers[: stage + 1],
                graded.human,
                folds,
                scale.size,
                settings.map,
                settings.enough_examples,
            )
            for stage in range(len(self.judges))
        ]
        value = self._target(graded)
        vote = majority(graded.answers, scale.size)
        kinds: tuple[Decision, ...] = ("own", "posterior")
        if settings.decision != "auto":
            kinds = (settings.decision,)
        chosen, fronts = [], []
        for decisions in itertools.product(kinds, repeat=len(self.judges)):
            views = []
            for stage, decision in enumerate(decisions):
                # Which pairs leave is decided by the calibrator as it will be used: it has
                # plateaus, folds put them elsewhere, and a threshold would then send whole plateaus
                # the other way. The grade is always that of a calibrator which did not see the
                # query.
                calibrator, held_out = calibrated[stage]
                posterior = calibrator.posterior(graded.answers[: stage + 1])
                _, confidence = grade_and_confidence(posterior, decision, graded.answers[stage])
                places, _ = grade_and_confidence(held_out, decision, graded.answers[stage])
                views.append(StageView(confidence, places, self.prices[stage], decision))
            grid = search(views, vote, graded.human, scale.size)
            chosen.append(choose(grid, settings.target, value))
            fronts += frontier(grid)
        best = max(chosen, key=lambda choice: choice.rank(settings.target))
        calibrators = [calibrator for calibrator, _ in calibrated]
        stages = map(Stage, self.judges, calibrators, best.thresholds, best.decisions)
        fit = CascadeFit(tuple(stages), scale.size, scale.digest)
        return Fitted(fit, best, value, tuple(undominated(fronts)))

    def _target(self, graded: GradedSet) -> float:
        settings = self.settings
        if settings.value is not None:
            return settings.value
        if settings.target == "cost":
            return self.prices[-1] / 2
        counts = confusion_of(graded.human, graded.answers[-1].places, self.scale)
        measure = confusion.accuracy if settings.target == "accuracy" else confusion.quadratic_kappa
        return float(np.nan_to_num(measure(counts)))


def query_folds(queries: Places, folds: int, seed: int) -> Places:
    """A fold for every pair, fewer folds where there are fewer queries; no query is divided."""
    numbers, place = np.unique(queries, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    return (order % min(folds, len(numbers)))[place].astype(np.int64)


def confusion_of(human: Places, places: Places, scale: GradeScale) -> np.ndarray:
    """Confusion matrix over the pairs that have a grade, people in rows."""
    got = places >= 0
    return confusion.confusion(scale.values[human[got]], scale.values[places[got]], scale)
