"""What a cascade is worth on a benchmark: agreement, calls and cost, against simpler ways."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.calibration import expected_calibration_error
from relevance_distillery.evaluation.agreement.estimates import NO_INTERVAL, compare
from relevance_distillery.evaluation.agreement.metrics import METRICS, pooled
from relevance_distillery.evaluation.cascades.fitting import Fitted, GradedSet
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, interval
from relevance_distillery.evaluation.statistics.numbers import interval_json, number
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.cascade_fit import CascadeFit, majority, read_posterior
from relevance_distillery.judges.composites.confidence import Places

MEASURES = ("quadratic_kappa", "kappa", "binary_kappa", "accuracy", "bias")
"""What is reported of every way to grade, the primary metric first."""

MOST_POINTS = 40
"""So many points of the frontier are measured."""


@dataclass(frozen=True)
class System:
    """One way to grade a set.

    Attributes:
        places: Grades as places on the scale, -1 for none, shape (pairs,).
        asked: Which judges saw which pairs, shape (judges, pairs).
    """

    places: Places
    asked: NDArray[np.bool_]


@dataclass(frozen=True)
class ReportOptions:
    """How figures are computed.

    Attributes:
        resamples: Resamples of queries for each interval.
        permutations: Swaps for each p-value.
        seed: Seed of both.
        level: Nominal coverage of the intervals.
        usd: Price of a call of each judge in dollars; None where not all are known.
        prices: The same in calls of the last judge.
    """

    resamples: int
    permutations: int
    seed: int
    level: float
    usd: tuple[float, ...] | None
    prices: tuple[float, ...]


def systems(
    fit: CascadeFit, alternatives: Mapping[str, CascadeFit], graded: GradedSet, names: Sequence[str]
) -> dict[str, System]:
    """The cascade, and everything simpler that it has to beat.

    Args:
        fit: The cascade.
        alternatives: The same judges fitted in other ways, by name.
        graded: The benchmark.
        names: The judges' names.

    Returns:
        By name: `cascade`; the alternatives; every judge alone; the plain rule for every judge
        but the last, whose lowest grade is believed while the last judge is asked about the
        rest; and the vote of all.
    """
    judges, answers = len(names), graded.answers
    found = {"cascade": _through(fit, graded)}
    found |= {name: _through(other, graded) for name, other in alternatives.items()}
    everyone = np.ones((judges, len(graded.human)), dtype=bool)
    for number_, name in enumerate(names):
        own = np.zeros_like(everyone)
        own[number_] = True
        found[f"{name} alone"] = System(answers[number_].places, own)
    for number_, name in enumerate(names[:-1]):
        leaves = answers[number_].places == 0
        asked = np.zeros_like(everyone)
        asked[number_] = True
        asked[-1] = ~leaves
        places = np.where(leaves, 0, answers[-1].places)
        found[f"plain rule on {name}"] = System(places, asked)
    found["vote of all"] = System(majority(answers, fit.size), everyone)
    return found


def measure_systems(
    found: Mapping[str, System],
    graded: GradedSet,
    scale: GradeScale,
    names: Sequence[str],
    options: ReportOptions,
) -> dict[str, Any]:
    """Agreement with people, calls and cost of every system, and how the cascade compares.

    Returns:
        `systems`: by name the measures with intervals over queries, `graded` pairs, `calls`
        (share of pairs that each judge saw), `cost` (in calls of the last judge) and
        `usd_per_1000`; `cascade_minus`: by name of the other system the paired differences of
        every measure on the pairs that both graded.
    """
    rows: dict[str, Any] = {}
    minus: dict[str, Any] = {}
    for name, system in found.items():
        statistics = _statistics(system, graded, scale, system.places >= 0)
        rows[name] = {
            "graded": int((system.places >= 0).sum()),
            **_intervals(statistics, options),
            **_costs(system, names, options),
        }
        if name == "cascade":
            continue
        both = (system.places >= 0) & (found["cascade"].places >= 0)
        compared = compare(
            _statistics(found["cascade"], graded, scale, both),
            _statistics(system, graded, scale, both),
            options.resamples,
            options.permutations,
            options.seed,
        )
        minus[name] = {
            measure: interval_json(value.interval, METRICS[measure].undefined, NO_INTERVAL)
            | {"p": number(value.p)}
            for measure, value in compared.items()
        }
    return {"systems": rows, "cascade_minus": minus}


def measure_stages(
    fit: CascadeFit,
    graded: GradedSet,
    scale: GradeScale,
    names: Sequence[str],
    options: ReportOptions,
) -> list[dict[str, Any]]:
    """What leaves where, how right it is, and what had been paid until there.

    Returns:
        A row a judge, then the vote: pairs that were asked and that left, the accuracy and
        quadratic kappa of those that left, their mean confidence, and `cost`: of all judges
        that were asked about them, in calls of the last judge for one pair; `usd_per_1000`.
    """
    decided = fit.decide(graded.answers)
    rows = []
    for stage, name in enumerate([*names, "vote"]):
        left = decided.exits == stage
        right = decided.places == graded.human
        paid = list(options.prices[: stage + 1])
        usd = None if options.usd is None else 1000 * sum(options.usd[: stage + 1])
        row: dict[str, Any] = {
            "judge": name,
            "asked": int(decided.asked(len(names))[stage].sum()) if stage < len(names) else None,
            "left": int(left.sum()),
            "share": number(float(left.mean())),
            "accuracy": number(float(right[left].mean())) if left.any() else None,
            "quadratic_kappa": number(_kappa(graded, decided.places, left, scale)),
            "cost": number(sum(paid)),
            "usd_per_1000": number(usd),
        }
        if stage < len(names):
            row |= _stage_facts(fit, stage, graded, left)
        rows.append(row)
    return rows


def calibration_errors(
    maps: Mapping[str, CascadeFit], graded: GradedSet, names: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Expected calibration error of each judge's confidence in its own grade.

    Args:
        maps: The same judges fitted with different maps.
        graded: The benchmark.
        names: The judges' names.

    Returns:
        By judge with probabilities, by map.
    """
    found: dict[str, dict[str, float | None]] = {}
    for stage, name in enumerate(names):
        answer = graded.answers[stage]
        if not answer.sure.any():
            continue
        found[name] = {}
        for kind, fit in maps.items():
            posterior = fit.stages[stage].calibrator.posterior(graded.answers[: stage + 1])
            reading = read_posterior(posterior, "own", math.inf, answer)
            known = reading.confidence >= 0
            right = (reading.places == graded.human)[known]
            error = expected_calibration_error(reading.confidence[known], right)
            found[name][kind] = number(error)
    return found


def measure_frontier(
    fitted: Fitted,
    graded: GradedSet,
    scale: GradeScale,
    names: Sequence[str],
    options: ReportOptions,
) -> list[dict[str, Any]]:
    """Cascades from cheap to dear, chosen on the graded set and measured on the benchmark.

    Returns:
        A row each: thresholds, decisions, what they looked like where they were chosen
        (`chosen_on`), and agreement, calls and cost on the benchmark.
    """
    points = fitted.frontier
    if len(points) > MOST_POINTS:
        at = np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))
        points = tuple(points[place] for place in at)
    rows = []
    for choice, decisions in points:
        system = _through(fitted.fit.with_thresholds(choice.thresholds, decisions), graded)
        statistics = _statistics(system, graded, scale, system.places >= 0)
        rows.append(
            {
                "thresholds": [number(value) for value in choice.thresholds],
                "decisions": list(decisions),
                "chosen_on": {
                    "quadratic_kappa": number(choice.agreement),
                    "accuracy": number(choice.accuracy),
                    "cost": number(choice.cost),
                },
                **_intervals(statistics, options),
                **_costs(system, names, options),
            }
        )
    return rows


def _through(fit: CascadeFit, graded: GradedSet) -> System:
    decided = fit.decide(graded.answers)
    return System(decided.places, decided.asked(len(fit.stages)))


def _statistics(
    system: System, graded: GradedSet, scale: GradeScale, rows: NDArray[np.bool_]
) -> dict[str, SumStatistic]:
    values = scale.values
    counts = confusion.confusion_by_query(
        values[graded.human[rows]],
        values[system.places[rows]],
        graded.queries[rows],
        int(graded.queries.max()) + 1,
        scale,
    )
    return {measure: pooled(measure, counts, scale) for measure in MEASURES}


def _intervals(statistics: Mapping[str, SumStatistic], options: ReportOptions) -> dict[str, Any]:
    return {
        measure: interval_json(
            interval(value, options.resamples, options.seed, options.level),
            METRICS[measure].undefined,
            NO_INTERVAL,
        )
        for measure, value in statistics.items()
    }


def _costs(system: System, names: Sequence[str], options: ReportOptions) -> dict[str, Any]:
    shares = system.asked.mean(axis=1)
    usd = None if options.usd is None else 1000 * float(np.dot(options.usd, shares))
    return {
        "calls": {name: number(float(share)) for name, share in zip(names, shares, strict=True)},
        "cost": number(float(np.dot(options.prices, shares))),
        "usd_per_1000": number(usd),
    }


def _kappa(
    graded: GradedSet, places: Places, rows: NDArray[np.bool_], scale: GradeScale
) -> float | None:
    if not rows.any():
        return None
    counts = confusion.confusion(
        scale.values[graded.human[rows]], scale.values[places[rows]], scale
    )
    return float(confusion.quadratic_kappa(counts))


def _stage_facts(
    fit: CascadeFit, stage: int, graded: GradedSet, left: NDArray[np.bool_]
) -> dict[str, Any]:
    own = fit.stages[stage]
    confidence = fit.read(stage, graded.answers[: stage + 1]).confidence
    return {
        "threshold": number(own.threshold),
        "decision": own.decision,
        "calibrator": own.calibrator.kind,
        "mean_confidence": number(float(confidence[left].mean())) if left.any() else None,
    }
