"""What a label costs and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.statistics.numbers import number

Basis = Literal["measured", "list price", "not known"]


@dataclass(frozen=True)
class Throughput:
    """Pairs graded a second.

    Attributes:
        runs: One value a repetition, pairs/s.
        pairs: Pairs in each repetition.
    """

    runs: tuple[float, ...]
    pairs: int

    @property
    def pairs_per_second(self) -> float:
        """The median of the repetitions."""
        return float(np.median(self.runs))


def measure_throughput(
    grade: Callable[[pd.DataFrame], object], pairs: pd.DataFrame, repeats: int = 3
) -> Throughput:
    """Time a judge: one part of the pairs to warm up, which does not count, then one a run.

    The parts are disjoint, so that no cache of a judge makes it look faster.

    Args:
        grade: Grades a table of pairs from scratch.
        pairs: Pairs, dealt into `repeats` + 1 parts of mixed length.
        repeats: How many timed runs; fewer where there are not enough pairs.

    Raises:
        ValueError: No pairs or no repetitions.
    """
    if pairs.empty or repeats < 1:
        raise ValueError(f"{len(pairs)} pairs and {repeats} repetitions: both must be at least 1")
    parts = [pairs.iloc[start :: repeats + 1] for start in range(min(repeats + 1, len(pairs)))]
    grade(parts[0].reset_index(drop=True))
    runs = []
    for part in parts[1:] or parts:
        batch = part.reset_index(drop=True)
        start = time.perf_counter()
        grade(batch)
        runs.append(len(batch) / max(time.perf_counter() - start, 1e-9))
    return Throughput(tuple(runs), len(parts[-1]))


@dataclass(frozen=True)
class LabelPrice:
    """What 1,000 labels cost with one judge.

    Attributes:
        usd_per_1000: Dollars; None when not known.
        usd_basis: Where the price comes from.
        throughput: Its measured speed; None when it was not measured.
        pairs_per_second: Speed as stated by the user where it was not measured.
        list_usd_per_1000: Dollars by the price list, also where the price was measured; None
            when not known.
    """

    usd_per_1000: float | None
    usd_basis: Basis
    throughput: Throughput | None = None
    pairs_per_second: float | None = None
    list_usd_per_1000: float | None = None

    @property
    def speed(self) -> float | None:
        """Pairs a second, measured before stated; None when not known."""
        return self.throughput.pairs_per_second if self.throughput else self.pairs_per_second

    def as_json(self) -> dict[str, Any]:
        """For cost.json."""
        speed_basis = "not known" if self.pairs_per_second is None else "stated"
        return {
            "usd_per_1000_labels": number(self.usd_per_1000),
            "usd_basis": self.usd_basis,
            "measured_usd_per_1000_labels": number(
                self.usd_per_1000 if self.usd_basis == "measured" else None
            ),
            "list_usd_per_1000_labels": number(self.list_usd_per_1000),
            "pairs_per_second": number(self.speed),
            "speed_basis": "measured" if self.throughput else speed_basis,
            "runs": [number(run) for run in self.throughput.runs] if self.throughput else [],
            "pairs_a_run": self.throughput.pairs if self.throughput else 0,
        }


def price_by_machine(usd_per_hour: float, throughput: Throughput) -> LabelPrice:
    """A judge that runs on a machine paid by the hour, busy all the time."""
    return LabelPrice(
        1000.0 * usd_per_hour / 3600.0 / throughput.pairs_per_second, "measured", throughput
    )


def break_even(
    student: LabelPrice,
    teacher: LabelPrice,
    teacher_labels: int,
    training_seconds: float,
    usd_per_hour: float,
) -> dict[str, Any]:
    """After how many labels distillation has paid for its teacher labels and its training.

    Args:
        student: What its labels cost.
        teacher: What its labels cost.
        teacher_labels: How many labels the teacher gave for training.
        training_seconds: How long training took.
        usd_per_hour: Price of the machine that trained.

    Returns:
        `labels` (None when it never happens or is not known) with a `reason`, and the two
        parts of the investment in dollars.
    """
    training = training_seconds / 3600.0 * usd_per_hour
    if teacher.usd_per_1000 is None or student.usd_per_1000 is None:
        return {
            "labels": None,
            "reason": "the price of the teacher's labels is not known",
            "teacher_labels_usd": None,
            "training_usd": number(training),
        }
    taught = teacher_labels * teacher.usd_per_1000 / 1000.0
    saved = (teacher.usd_per_1000 - student.usd_per_1000) / 1000.0
    found: dict[str, Any] = {
        "labels": None,
        "reason": "a label of the student costs no less than one of the teacher",
        "teacher_labels_usd": number(taught),
        "training_usd": number(training),
    }
    if saved > 0:
        found["labels"] = int(np.ceil((taught + training) / saved))
        found["reason"] = (
            f"(teacher labels {taught:.4f} + training {training:.4f}) USD / "
            f"{saved * 1000:.6f} USD saved per 1,000 labels"
        )
    return found


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """The ratio of two figures, None where one is not known or the second is 0."""
    if numerator is None or denominator is None or denominator <= 0:
        return None
    return number(numerator / denominator)
