"""What each system is worth on average, by people's grades, by a machine's, and by both."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relevance_distillery.evaluation.statistics.arrays import Floats, Mask
from relevance_distillery.evaluation.statistics.bootstrap import interval, mean_of_pairs
from relevance_distillery.evaluation.statistics.bootstrap_t import UNBOUNDED, Bounds
from relevance_distillery.evaluation.statistics.numbers import interval_json, number
from relevance_distillery.evaluation.statistics.prediction_powered import (
    PredictionPowered,
    powered_mean,
)

_NONE = "no query has a value"


@dataclass(frozen=True)
class Options:
    """As those of agreement; so many documents of each ranking are pooled and must be graded."""

    depth: int = 10
    resamples: int = 1000
    permutations: int = 2000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Values:
    """One measure of every system and query, by whose grades.

    Attributes:
        people: Shape (systems, queries); nan where people left a pooled document ungraded.
        machine: The same by judge, in order of importance; nan where the judge graded nothing.
        mixed: People's grades where there are any, the first judge's elsewhere.
        correcting: By judge the queries that may tell how wrong it is, shape (queries,): those
            that it did not learn from people's grades.
        weight: How many queries each one stands for, shape (queries,); None where all count
            alike.
    """

    people: Floats
    machine: dict[str, Floats]
    mixed: Floats
    correcting: dict[str, Mask] = field(default_factory=dict)
    weight: Floats | None = None

    @property
    def complete(self) -> Mask:
        """Queries that people graded completely, shape (queries,)."""
        return np.asarray(np.isfinite(self.people).all(axis=0), dtype=np.bool_)

    def both(self, judge: str) -> Mask:
        """Queries on which people and a judge can be compared, shape (queries,)."""
        return self.correcting[judge] & self.complete & np.isfinite(self.machine[judge]).all(0)

    def alone(self, judge: str) -> Mask:
        """Queries that only the judge graded and did not learn, shape (queries,)."""
        graded = np.isfinite(self.machine[judge]).all(0)
        return self.correcting[judge] & ~self.complete & graded


def mean_json(values: Floats, options: Options) -> dict[str, Any]:
    """Mean of `values`, shape (queries,), with an interval that resamples them; nan is left out.

    Returns:
        Keys estimate, low, high, queries, and `reason` where one is null.
    """
    kept = values[np.isfinite(values)]
    bounds = bounds_of(np.ones(1), kept)
    statistic = mean_of_pairs(kept, np.arange(kept.size), kept.size, bounds=bounds)
    found = interval(statistic, options.resamples, options.seed, options.level)
    return interval_json(found, _NONE, "one query only") | {"queries": int(kept.size)}


def bounds_of(rows: Floats, *tables: Floats) -> Bounds:
    """Lowest and highest mean of a combination of systems, `rows` as in `powered`.

    There are none unless every value of the tables lies between 0 and 1, as nDCG's do.
    """
    if any(((table < 0.0) | (table > 1.0)).any() for table in tables):
        return UNBOUNDED
    return float(np.minimum(rows, 0.0).sum()), float(np.maximum(rows, 0.0).sum())


def powered(values: Values, judge: str, rows: Floats, level: float) -> PredictionPowered:
    """Prediction-powered mean of a combination of systems, by a judge whose grades are corrected.

    `rows` has the weight of each system, shape (systems,): one 1 for a system alone, 1 and −1 for
    the difference of two.
    """
    both, alone = values.both(judge), values.alone(judge)
    weight = values.weight
    return powered_mean(
        rows @ values.people[:, both],
        rows @ values.machine[judge][:, both],
        rows @ values.machine[judge][:, alone],
        level=level,
        weight=None if weight is None else weight[both],
        bounds=bounds_of(rows, values.people, values.machine[judge]),
    )


def powered_json(found: PredictionPowered) -> dict[str, Any]:
    """A prediction-powered mean, and what people's queries alone would say.

    Returns:
        Keys estimate, low, high, `people_alone` (estimate, low, high), machine (its own mean),
        power, human_queries, machine_queries, effective_queries, p where it is a difference's,
        and `reason` where limits are null or the machine was not used.
    """
    reason = found.reason or "not defined"
    both = interval_json(found.interval, reason, reason)
    if found.reason:
        both["reason"] = found.reason
    return both | {
        "people_alone": interval_json(found.classical, reason, reason),
        "machine": number(found.machine),
        "power": number(found.power),
        "human_queries": found.human_units,
        "machine_queries": found.machine_units,
        "effective_queries": number(found.effective_units),
    }


def system_json(values: Values, system: int, options: Options) -> dict[str, dict[str, Any]]:
    """Everything about the mean of one system, given by its number.

    Returns:
        `people`, `machine` (by judge), `people_and_machine` and, where people's grades can
        correct a judge, `prediction_powered` (by judge). Intervals of the first three describe
        the drawing of queries alone.
    """
    one = np.zeros(len(values.people))
    one[system] = 1.0
    found: dict[str, dict[str, Any]] = {
        "people": mean_json(values.people[system], options),
        "machine": {
            judge: mean_json(rows[system], options) for judge, rows in values.machine.items()
        },
        "people_and_machine": mean_json(values.mixed[system], options),
    }
    correctable = [judge for judge in values.machine if values.both(judge).any()]
    if correctable:
        found["prediction_powered"] = {
            judge: powered_json(powered(values, judge, one, options.level)) for judge in correctable
        }
    return found
