"""What a label costs, when it pays, and which version is the champion."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.metrics import GradedPairs
from relevance_distillery.evaluation.cost import (
    LabelPrice,
    Throughput,
    break_even,
    measure_throughput,
    price_by_machine,
    price_by_tokens,
    ratio,
)
from relevance_distillery.evaluation.promotion import decide, kappa_difference
from relevance_distillery.evaluation.statistics.bootstrap import Interval
from relevance_distillery.grading import DEFAULT_SCALE as SCALE


def test_prices() -> None:
    machine = price_by_machine(3.6, Throughput((10.0, 30.0, 20.0), 5))
    assert machine.speed == 20.0
    assert machine.usd_per_1000 == pytest.approx(0.05)
    assert price_by_tokens(400, 10, 2.5, 10).usd_per_1000 == pytest.approx(1.1)


def test_break_even_counts_labels_and_training() -> None:
    student = price_by_machine(3.6, Throughput((20.0,), 5))
    teacher = price_by_tokens(400, 10, 2.5, 10)
    found = break_even(student, teacher, 1000, training_seconds=1800, usd_per_hour=3.6)
    assert found["labels"] == int(np.ceil((1.1 + 1.8) / ((1.1 - 0.05) / 1000)))
    assert break_even(teacher, student, 1000, 0, 0)["labels"] is None
    unknown = break_even(student, LabelPrice(None, "not known"), 1000, 0, 0)
    assert unknown["labels"] is None
    assert "not known" in unknown["reason"]


def test_throughput_warms_up_and_never_repeats_a_pair() -> None:
    seen: list[list[int]] = []
    found = measure_throughput(
        lambda part: seen.append(part["n"].tolist()), pd.DataFrame({"n": range(10)}), repeats=3
    )
    assert len(seen) == 4
    assert sorted(number for part in seen for number in part) == list(range(10))
    assert len(found.runs) == 3
    assert len(measure_throughput(lambda part: None, pd.DataFrame({"n": [1]})).runs) == 1
    with pytest.raises(ValueError, match="at least 1"):
        measure_throughput(lambda part: None, pd.DataFrame({"n": []}))


def test_ratio_of_unknowns() -> None:
    assert ratio(None, 1.0) is None
    assert ratio(1.0, 0.0) is None
    assert ratio(3.0, 2.0) == 1.5


@pytest.mark.parametrize(
    ("low", "promote"), [(-0.0299, True), (0.01, True), (-0.0301, False), (float("nan"), False)]
)
def test_non_inferiority(low: float, promote: bool) -> None:
    decision = decide("auto", True, Interval(0.01, low, 0.05), "2")
    assert decision.promote is promote
    assert "2" in decision.reason


def test_first_version_and_manual_mode() -> None:
    assert decide("auto", has_champion=False).promote
    assert not decide("manual", has_champion=False).promote
    assert not decide("manual", True, Interval(0.1, 0.05, 0.2), "1").promote
    assert not decide("auto", has_champion=True).promote


def test_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    query = np.repeat(np.arange(40), 10)
    human = rng.integers(0, 4, 400)
    judge = np.clip(human + rng.integers(-1, 2, 400), 0, 3).astype(float)
    one = GradedPairs(human, judge, query, 40)
    same = kappa_difference(one, one, SCALE)
    assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)
    worse = np.where(rng.random(400) < 0.5, 3 - judge, judge)
    found = kappa_difference(one, GradedPairs(human, worse, query, 40), SCALE)
    assert found.low > 0
    with pytest.raises(ValueError, match="same pairs"):
        kappa_difference(one, GradedPairs(human[::-1], worse, query, 40), SCALE)
