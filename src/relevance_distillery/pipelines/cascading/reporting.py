"""Everything that is said about a cascade, as the content of cascade_report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relevance_distillery.evaluation.agreement.measurement import FEW_QUERIES
from relevance_distillery.evaluation.cascades.fitting import Fitted, GradedSet
from relevance_distillery.evaluation.cascades.report import (
    ReportOptions,
    calibration_errors,
    measure_frontier,
    measure_stages,
    measure_systems,
    systems,
)
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.cascade_fit import CascadeFit
from relevance_distillery.judges.composites.settings import CascadeSettings
from relevance_distillery.pipelines.cascading.parameters import CascadingParameters
from relevance_distillery.pipelines.cascading.prices import CallPrice


def summarise(
    *,
    fitted: Fitted,
    validation: dict[str, Any],
    maps: Mapping[str, CascadeFit],
    train: GradedSet,
    benchmark: GradedSet,
    facts: Mapping[str, Any],
    names: Sequence[str],
    prices: Sequence[CallPrice],
    units: tuple[float, ...],
    settings: CascadeSettings,
    parameters: CascadingParameters,
    scale: GradeScale,
) -> dict[str, Any]:
    """The report.

    Args:
        fitted: The cascade.
        validation: From `validate_cascade`.
        maps: The same cascade with each map of probabilities, where a judge gives any.
        train: Where it was fitted.
        benchmark: Where it is measured.
        facts: From `ask_judges`.
        names: The judges' names in the cascade.
        prices: What their calls cost.
        units: The same in calls of the last judge.
        settings: Of the fit.
        parameters: Of the measurement.
        scale: The grades.
    """
    known = all(price.usd_per_1000 is not None for price in prices)
    options = ReportOptions(
        resamples=parameters.resamples,
        permutations=parameters.permutations,
        seed=parameters.seed,
        level=parameters.confidence,
        usd=tuple((price.usd_per_1000 or 0.0) / 1000 for price in prices) if known else None,
        prices=units,
    )
    others = {f"map {kind}": fit for kind, fit in maps.items() if kind != settings.map}
    queries = len(np.unique(benchmark.queries))
    return {
        "judges": list(names),
        "train_set": _set_facts(train, facts["sets"]["train_set"], facts["failed"]["train_set"]),
        "benchmark": _set_facts(
            benchmark, facts["sets"]["benchmark"], facts["failed"]["benchmark"]
        ),
        "cost_unit": "dollars, in calls of the last judge" if known else "calls of the last judge",
        "prices": [price.as_json() for price in prices],
        "fit": {
            "target": settings.target,
            "value": number(fitted.value),
            "reached": fitted.choice.reached,
            "chosen_on": {
                "accuracy": number(fitted.choice.accuracy),
                "agreement": number(fitted.choice.agreement),
                "cost": number(fitted.choice.cost),
            },
            "validation": validation,
            "map": settings.map,
            "log_losses": [
                {kind: number(loss) for kind, loss in losses.items()} for losses in fitted.losses
            ],
        },
        "stages": measure_stages(fitted.fit, benchmark, scale, names, options),
        **measure_systems(
            systems(fitted.fit, others, benchmark, names), benchmark, scale, names, options
        ),
        "calibration_error": calibration_errors(maps, benchmark, names),
        "frontier": measure_frontier(fitted, benchmark, scale, names, options),
        "notes": _notes(queries, facts, known),
    }


def _set_facts(
    graded: GradedSet, facts: Mapping[str, Any], failed: Mapping[str, int]
) -> dict[str, Any]:
    return {
        **facts,
        "pairs": len(graded.human),
        "queries": len(np.unique(graded.queries)),
        "without_answer": dict(failed),
    }


def _notes(queries: int, facts: Mapping[str, Any], known: bool) -> list[str]:
    notes = []
    if queries < FEW_QUERIES:
        notes.append(f"Intervals over {queries} queries are not to be trusted.")
    for place in ("train_set", "benchmark"):
        if not facts["sets"][place]["human"]:
            notes.append(f"The grades of {facts['sets'][place]['name']} were not given by people.")
    if not known:
        notes.append(
            "The price of at least one judge is not known: cost counts the calls of the last "
            "judge alone."
        )
    return notes
