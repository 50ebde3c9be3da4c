"""Fitting a cascade on graded pairs: calibrators, thresholds, and an honest look at both.

Calibrators are chosen and cross-fitted over queries (`judges.composites.calibrating`), thresholds
are searched on what they say (`cascade_thresholds`). The figures of the search flatter, since the
thresholds were chosen on them; so the whole procedure is repeated on folds of queries, each
held-out fold graded by a cascade that never saw it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.cascades.thresholds import (
    Choice,
    Grid,
    StageView,
    choose,
    frontier,
    search,
)
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.calibrating import Calibrated, calibrate, query_folds
from relevance_distillery.judges.composites.cascade_fit import (
    NEVER,
    CascadeFit,
    Decision,
    Identity,
    Stage,
    majority,
    read_posterior,
)
from relevance_distillery.judges.composites.confidence import (
    Answers,
    Places,
    check_calibration_grades,
)
from relevance_distillery.judges.composites.settings import CascadeSettings, Target

FEWEST_QUERIES = 4
"""Folds of fewer queries would say nothing."""


@dataclass(frozen=True)
class GradedSet:
    """Pairs that people graded, with the answers of every judge of a cascade.

    Attributes:
        name: Of the set, for messages and reports.
        answers: One a judge, in the cascade's order.
        human: Places of people's grades, shape (pairs,).
        queries: Number of each pair's query, shape (pairs,).
    """

    name: str
    answers: tuple[Answers, ...]
    human: Places
    queries: Places

    def rows(self, chosen: np.ndarray) -> GradedSet:
        """The pairs of a mask."""
        answers = tuple(answer.rows(chosen) for answer in self.answers)
        return GradedSet(self.name, answers, self.human[chosen], self.queries[chosen])


@dataclass(frozen=True)
class Fitted:
    """A cascade and how it came about.

    Attributes:
        fit: The cascade.
        choice: Its thresholds, with figures that flatter, since they were chosen on them.
        value: The target that was aimed at.
        frontier: Thresholds and decisions that no others beat in cost and agreement on the
            graded set, cheapest first.
        losses: Log loss of each calibrator tried, by stage.
    """

    fit: CascadeFit
    choice: Choice
    value: float
    frontier: tuple[tuple[Choice, tuple[Decision, ...]], ...]
    losses: tuple[dict[str, float], ...]


def fit_cascade(
    judges: Sequence[Identity],
    graded: GradedSet,
    scale: GradeScale,
    prices: Sequence[float],
    settings: CascadeSettings,
    seed: int,
) -> Fitted:
    """Fit a cascade.

    Args:
        judges: In the order in which they are asked.
        graded: The calibration set.
        scale: The grades.
        prices: Of a call of each judge, in units of the last judge's.
        settings: How.
        seed: Of the folds.

    Raises:
        UserError: The set lacks a grade, has too few queries, or a judge answered nothing.
    """
    check_graded_set(judges, graded, scale)
    return _fit(judges, graded, scale, prices, settings, seed)


def check_graded_set(judges: Sequence[Identity], graded: GradedSet, scale: GradeScale) -> None:
    """Refuse a set on which no cascade can be fitted.

    Raises:
        UserError: It lacks a grade, has too few queries, or a judge answered nothing.
    """
    if len(judges) < 2:
        raise UserError("a cascade needs at least two judges: judges=FIRST;…;LAST")
    check_calibration_set(graded.name, graded.human, graded.queries, scale)
    for identity, answer in zip(judges, graded.answers, strict=True):
        if not answer.given.any():
            raise UserError(
                f"judge {identity.judge} graded none of the {len(answer)} pairs of the "
                f"calibration set {graded.name}: see its failures, or leave it out of `judges`"
            )


def check_calibration_set(name: str, human: Places, queries: Places, scale: GradeScale) -> None:
    """Refuse people's grades on which no cascade can be fitted, before a judge is paid.

    Args:
        name: Of the set, for the message.
        human: Places of people's grades, shape (pairs,).
        queries: Each pair's query, shape (pairs,).
        scale: The grades.

    Raises:
        UserError: They lack a grade, or there are too few queries.
    """
    check_calibration_grades(human, scale, name)
    different = len(np.unique(queries))
    if different < FEWEST_QUERIES:
        raise UserError(
            f"the calibration set {name} has {different} queries: give at least "
            f"{FEWEST_QUERIES}, thresholds are validated on queries that were held out"
        )


def validate_cascade(
    judges: Sequence[Identity],
    graded: GradedSet,
    scale: GradeScale,
    prices: Sequence[float],
    settings: CascadeSettings,
    seed: int,
) -> dict[str, Any]:
    """What the procedure reaches on queries that it did not see.

    Returns:
        Keys accuracy, agreement and cost of held-out pairs, each graded by a cascade that was
        fitted, thresholds included, on the other folds.
    """
    folds = query_folds(graded.queries, settings.folds, seed + 1)
    places = np.full(len(graded.human), -1, dtype=np.int64)
    asked = np.zeros((len(judges), len(graded.human)), dtype=bool)
    for fold in np.unique(folds):
        held_out = folds == fold
        inside = _fit(judges, graded.rows(~held_out), scale, prices, settings, seed)
        decided = inside.fit.decide(graded.rows(held_out).answers)
        places[held_out] = decided.places
        asked[:, held_out] = decided.asked(len(judges))
    got = places >= 0
    counts = confusion.confusion(scale.values[graded.human[got]], scale.values[places[got]], scale)
    return {
        "accuracy": number(float(confusion.accuracy(counts))),
        "agreement": number(float(confusion.quadratic_kappa(counts))),
        "cost": number(float(np.asarray(prices) @ asked.mean(axis=1))),
    }


def _fit(
    judges: Sequence[Identity],
    graded: GradedSet,
    scale: GradeScale,
    prices: Sequence[float],
    settings: CascadeSettings,
    seed: int,
) -> Fitted:
    folds = query_folds(graded.queries, settings.folds, seed)
    calibrated = [
        calibrate(
            graded.answers[: stage + 1],
            graded.human,
            graded.queries,
            folds,
            scale.size,
            settings.map,
            settings.enough_examples,
        )
        for stage in range(len(judges))
    ]
    value = _target(graded, scale, prices, settings)
    vote = majority(graded.answers, scale.size)
    best: tuple[Choice, tuple[Decision, ...]] | None = None
    fronts: list[tuple[Choice, tuple[Decision, ...]]] = []
    for decisions in _decisions(len(judges), settings):
        grid = _grid(calibrated, graded, decisions, prices, vote, scale.size)
        found = choose(grid, settings.target, value)
        if best is None or _better(found, best[0], settings.target):
            best = (found, decisions)
        fronts += [(choice, decisions) for choice in frontier(grid)]
    assert best is not None
    choice, decisions = best
    return Fitted(
        _cascade(judges, calibrated, choice.thresholds, decisions, scale),
        choice,
        value,
        tuple(_undominated(fronts)),
        tuple(stage.losses for stage in calibrated),
    )


def _decisions(stages: int, settings: CascadeSettings) -> list[tuple[Decision, ...]]:
    if settings.decision != "auto":
        return [(settings.decision,) * stages]
    kinds: tuple[Decision, ...] = ("own", "posterior")
    return list(itertools.product(kinds, repeat=stages))


def _grid(
    calibrated: Sequence[Calibrated],
    graded: GradedSet,
    decisions: Sequence[Decision],
    prices: Sequence[float],
    vote: Places,
    size: int,
) -> Grid:
    views = []
    for stage, (found, decision) in enumerate(zip(calibrated, decisions, strict=True)):
        answer = graded.answers[stage]
        # Who leaves is decided by the map as it will be used: maps have plateaus, folds put
        # them elsewhere, and a threshold would then send whole plateaus the other way. The
        # grade is always that of a calibrator which did not see the query.
        seen = found.calibrator.posterior(graded.answers[: stage + 1])
        leaving = read_posterior(seen, decision, NEVER, answer)
        given = read_posterior(found.held_out, decision, NEVER, answer)
        views.append(StageView(leaving.confidence, given.places, prices[stage]))
    return search(views, vote, graded.human, size)


def _cascade(
    judges: Sequence[Identity],
    calibrated: Sequence[Calibrated],
    thresholds: Sequence[float],
    decisions: Sequence[Decision],
    scale: GradeScale,
) -> CascadeFit:
    stages = tuple(
        Stage(*parts)
        for parts in zip(
            judges, [own.calibrator for own in calibrated], thresholds, decisions, strict=True
        )
    )
    return CascadeFit(stages, scale.size, scale.digest)


def _target(
    graded: GradedSet, scale: GradeScale, prices: Sequence[float], settings: CascadeSettings
) -> float:
    if settings.value is not None:
        return settings.value
    if settings.target == "cost":
        return prices[-1] / 2
    last = graded.answers[-1]
    given = last.given
    counts = confusion.confusion(
        scale.values[graded.human[given]], scale.values[last.places[given]], scale
    )
    measure = confusion.accuracy if settings.target == "accuracy" else confusion.quadratic_kappa
    return float(np.nan_to_num(measure(counts)))


def _better(new: Choice, old: Choice, target: Target) -> bool:
    """Whether one decision rule's best combination beats another's; equals keep the first."""

    def key(choice: Choice) -> tuple[float, ...]:
        gained = choice.accuracy if target == "accuracy" else choice.agreement
        if choice.reached != (target == "cost"):
            return (choice.reached, -round(choice.cost, 9), round(gained, 9))
        return (choice.reached, round(gained, 9), -round(choice.cost, 9))

    return key(new) > key(old)


def _undominated(
    found: Sequence[tuple[Choice, tuple[Decision, ...]]],
) -> list[tuple[Choice, tuple[Decision, ...]]]:
    kept: list[tuple[Choice, tuple[Decision, ...]]] = []
    for pair in sorted(found, key=lambda pair: (pair[0].cost, -pair[0].agreement)):
        if not kept or pair[0].agreement > kept[-1][0].agreement + 1e-6:
            kept.append(pair)
    return kept
