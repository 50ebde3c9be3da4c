"""What a cascade is worth on a benchmark: agreement, calls and cost, against simpler ways."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.calibration import expected_calibration_error
from relevance_distillery.evaluation.agreement.estimates import Options, differences, estimates
from relevance_distillery.evaluation.agreement.measurement import FEW_QUERIES
from relevance_distillery.evaluation.agreement.metrics import pooled
from relevance_distillery.evaluation.cascades.asking import (
    BENCHMARK,
    TRAIN,
    CallPrice,
    MeasurementSettings,
    in_last_judges_calls,
)
from relevance_distillery.evaluation.cascades.fitting import Fitted, GradedSet, confusion_of
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.answers import Mask, Places, majority
from relevance_distillery.judges.composites.cascade import CascadeFit, grade_and_confidence
from relevance_distillery.judges.settings import CascadeSettings

MEASURES = ("quadratic_kappa", "kappa", "binary_kappa", "accuracy", "bias")
"""What is reported of every way to grade, the primary metric first."""

_COMPARED = ("estimate", "low", "high", "reason", "p")
"""What is reported of the cascade minus another way."""

MOST_POINTS = 40
"""So many points of the frontier are measured."""


@dataclass(frozen=True)
class System:
    """One way to grade a set.

    `places` are grades as places on the scale, -1 for none, shape (pairs,); `asked` is which
    judges saw which pairs, shape (judges, pairs).
    """

    places: Places
    asked: Mask

    @classmethod
    def of(cls, fit: CascadeFit, graded: GradedSet) -> Self:
        """A cascade."""
        decided = fit.replay(graded.answers)
        return cls(decided.places, decided.asked(len(fit.stages)))


@dataclass(frozen=True)
class Measurement:
    """A benchmark, and the names and prices of judges, in the order of the cascade."""

    graded: GradedSet
    scale: GradeScale
    names: Sequence[str]
    prices: Sequence[CallPrice]
    options: MeasurementSettings

    @cached_property
    def units(self) -> tuple[float, ...]:
        """Price of a call of each judge, in calls of the last judge."""
        return in_last_judges_calls(self.prices)

    @cached_property
    def usd_per_1000(self) -> tuple[float, ...] | None:
        """The same in dollars for 1,000 calls; None where not all are known."""
        known = [price.usd_per_1000 for price in self.prices if price.usd_per_1000 is not None]
        return tuple(known) if len(known) == len(self.prices) else None

    @property
    def drawing(self) -> Options:
        """Of differences; intervals of single figures have the level that was asked for."""
        return Options(self.options.resamples, self.options.permutations, self.options.seed)

    def systems(self, fit: CascadeFit, others: Mapping[str, CascadeFit]) -> dict[str, System]:
        """The cascade, and everything simpler that it has to beat, by name.

        The same judges fitted in other ways; every judge alone; the plain rule for every judge
        but the last, whose lowest grade is believed while the last judge is asked about the rest;
        and the vote of all.
        """
        graded, answers = self.graded, self.graded.answers
        found = {"cascade": System.of(fit, graded)}
        found |= {name: System.of(other, graded) for name, other in others.items()}
        nobody = np.zeros((len(self.names), len(graded.human)), dtype=bool)
        for judge, name in enumerate(self.names):
            asked = nobody.copy()
            asked[judge] = True
            found[f"{name} alone"] = System(answers[judge].places, asked)
        for judge, name in enumerate(self.names[:-1]):
            leaves = answers[judge].places == 0
            asked = nobody.copy()
            asked[judge], asked[-1] = True, ~leaves
            places = np.where(leaves, 0, answers[-1].places)
            found[f"plain rule on {name}"] = System(places, asked)
        found["vote of all"] = System(majority(answers, self.scale.size), ~nobody)
        return found

    def compare_systems(self, found: Mapping[str, System]) -> dict[str, Any]:
        """Agreement with people, calls and cost of every system, and how the cascade compares.

        Returns:
            `systems`: by name the measures with intervals over queries, `graded` pairs, `calls`
            (share of pairs that each judge saw), `cost` (in calls of the last judge) and
            `usd_per_1000`; `cascade_minus`: by name of the other system the paired differences
            of every measure on the pairs that both graded.
        """
        cascade = found["cascade"]
        rows, minus = {}, {}
        for name, system in found.items():
            graded = system.places >= 0
            rows[name] = {"graded": int(graded.sum()), **self._figures(system)}
            if name != "cascade":
                both = graded & (cascade.places >= 0)
                ours, theirs = (self._statistics(one, both) for one in (cascade, system))
                compared = differences(ours, theirs, self.drawing)
                minus[name] = {
                    measure: {key: row[key] for key in row if key in _COMPARED}
                    for measure, row in compared.items()
                }
        return {"systems": rows, "cascade_minus": minus}

    def stages(self, fit: CascadeFit) -> list[dict[str, Any]]:
        """What leaves where, how right it is, and what had been paid until there.

        Returns:
            A row a judge, then the vote: pairs that were asked and that left, the accuracy and
            quadratic kappa of those that left, their mean confidence, and `cost`: of all judges
            that were asked about them, in calls of the last judge for one pair; `usd_per_1000`.
        """

        def mean(values: np.ndarray) -> float | None:
            return number(float(values.mean())) if len(values) else None

        graded = self.graded
        decided = fit.replay(graded.answers)
        asked = [*decided.asked(len(self.names)).sum(axis=1).tolist(), None]
        rows = []
        for place, name in enumerate([*self.names, "vote"]):
            left = decided.exits == place
            counts = confusion_of(graded.human[left], decided.places[left], self.scale)
            usd = None if self.usd_per_1000 is None else sum(self.usd_per_1000[: place + 1])
            row: dict[str, Any] = {
                "judge": name,
                "asked": asked[place],
                "left": int(left.sum()),
                "share": number(float(left.mean())),
                "accuracy": mean((decided.places == graded.human)[left]),
                "quadratic_kappa": number(float(confusion.quadratic_kappa(counts))),
                "cost": number(sum(self.units[: place + 1])),
                "usd_per_1000": number(usd),
            }
            if place < len(self.names):
                stage = fit.stages[place]
                _, confidence = self._graded_by(fit, place, stage.decision)
                row |= {
                    "threshold": number(stage.threshold),
                    "decision": stage.decision,
                    "calibrator": stage.calibrator.kind,
                    "mean_confidence": mean(confidence[left]),
                }
            rows.append(row)
        return rows

    def calibration_errors(self, maps: Mapping[str, CascadeFit]) -> dict[str, dict[str, Any]]:
        """Expected calibration error of each judge's confidence in its own grade.

        By judge that gives probabilities, then by map.
        """
        found: dict[str, dict[str, Any]] = {}
        for stage, name in enumerate(self.names):
            if not self.graded.answers[stage].has_probabilities.any():
                continue
            found[name] = {}
            for kind, fit in maps.items():
                places, confidence = self._graded_by(fit, stage, "own")
                known = confidence >= 0
                right = (places == self.graded.human)[known]
                found[name][kind] = number(expected_calibration_error(confidence[known], right))
        return found

    def frontier(self, fitted: Fitted) -> list[dict[str, Any]]:
        """Cascades from cheap to expensive, chosen on the graded set, measured on the benchmark.

        Returns:
            A row each: thresholds, decisions, their figures where they were chosen
            (`chosen_on`), and agreement, calls and cost on the benchmark.
        """
        points = fitted.frontier
        if len(points) > MOST_POINTS:
            at = np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))
            points = tuple(points[place] for place in at)
        rows = []
        for choice in points:
            fit = fitted.fit.with_thresholds(choice.thresholds, choice.decisions)
            rows.append(
                {
                    "thresholds": [number(value) for value in choice.thresholds],
                    "decisions": list(choice.decisions),
                    "chosen_on": {
                        "quadratic_kappa": number(choice.agreement),
                        "accuracy": number(choice.accuracy),
                        "cost": number(choice.cost),
                    },
                    **self._figures(System.of(fit, self.graded)),
                }
            )
        return rows

    def _graded_by(self, fit: CascadeFit, stage: int, decision: Any) -> tuple[Places, Any]:
        answers = self.graded.answers[: stage + 1]
        posterior = fit.stages[stage].calibrator.posterior(answers)
        return grade_and_confidence(posterior, decision, answers[-1])

    def _figures(self, system: System) -> dict[str, Any]:
        """Measures with their intervals, calls and cost."""
        shares = system.asked.mean(axis=1)
        usd = None if self.usd_per_1000 is None else float(np.dot(self.usd_per_1000, shares))
        measures = {"": self._statistics(system, system.places >= 0)}
        options = replace(self.drawing, level=self.options.confidence)
        return {
            **estimates(measures, options)[""],
            "calls": {
                name: number(float(share)) for name, share in zip(self.names, shares, strict=True)
            },
            "cost": number(float(np.dot(self.units, shares))),
            "usd_per_1000": number(usd),
        }

    def _statistics(self, system: System, rows: Mask) -> dict[str, SumStatistic]:
        values, graded = self.scale.values, self.graded
        counts = confusion.confusion_by_query(
            values[graded.human[rows]],
            values[system.places[rows]],
            graded.queries[rows],
            int(graded.queries.max()) + 1,
            self.scale,
        )
        return {measure: pooled(measure, counts, self.scale) for measure in MEASURES}


def write_report(
    measured: Measurement,
    fitted: Fitted,
    validation: dict[str, Any],
    maps: Mapping[str, CascadeFit],
    train: GradedSet,
    facts: Mapping[str, Any],
    settings: CascadeSettings,
) -> dict[str, Any]:
    """The content of cascade_report.json.

    `validation` is from `Fitting.validate`, `facts` from `ask_judges`; `maps` has the same cascade
    fitted with each map of probabilities, where a judge gives any.
    """
    known = measured.usd_per_1000 is not None
    others = {f"map {kind}": fit for kind, fit in maps.items() if kind != settings.map}
    sets = {
        place: {
            **facts["sets"][place],
            "pairs": len(graded.human),
            "queries": len(np.unique(graded.queries)),
            "without_answer": dict(facts["failed"][place]),
        }
        for place, graded in ((TRAIN, train), (BENCHMARK, measured.graded))
    }
    notes = []
    if len(np.unique(measured.graded.queries)) < FEW_QUERIES:
        notes.append(f"Intervals over {sets[BENCHMARK]['queries']} queries are not to be trusted.")
    notes += [
        f"The grades of {facts['sets'][place]['name']} were not given by people."
        for place in (TRAIN, BENCHMARK)
        if not facts["sets"][place]["human"]
    ]
    if not known:
        notes.append(
            "The price of at least one judge is not known: cost counts the calls of the last "
            "judge alone."
        )
    return {
        "judges": list(measured.names),
        **sets,
        "cost_unit": "dollars, in calls of the last judge" if known else "calls of the last judge",
        "prices": [asdict(price) for price in measured.prices],
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
        },
        "stages": measured.stages(fitted.fit),
        **measured.compare_systems(measured.systems(fitted.fit, others)),
        "calibration_error": measured.calibration_errors(maps),
        "frontier": measured.frontier(fitted),
        "notes": notes,
    }
