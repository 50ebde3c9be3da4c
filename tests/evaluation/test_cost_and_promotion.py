"""What a label costs, when it pays, and which version is the champion."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.estimates import Difference, Options, conclude
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.reporting.cost_report import (
    LabelPrice,
    Throughput,
    break_even,
    measure_throughput,
    price_by_machine,
    ratio,
)
from relevance_distillery.reporting.promotion import compare_kappa, decide

QUICK = Options(resamples=200, permutations=50)


def test_prices() -> None:
    machine = price_by_machine(3.6, Throughput((10.0, 30.0, 20.0), 5))
    assert machine.speed == 20.0
    assert machine.usd_per_1000 == pytest.approx(0.05)


def test_break_even_counts_labels_and_training() -> None:
    student = price_by_machine(3.6, Throughput((20.0,), 5))
    teacher = LabelPrice(1.1, "list price")
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


def difference(low: float, high: float) -> Difference:
    found = Interval((low + high) / 2, low, high)
    if np.isnan(low):
        return Difference(found, float("nan"), float("nan"))
    return Difference(found, 0.2, 0.2, 0.0123, conclude(found, 0.03))


@pytest.mark.parametrize(
    ("low", "high", "promote", "words"),
    [
        (-0.0299, 0.05, True, "non-inferior: not worse than version 2 by 0.03 or more"),
        (0.01, 0.05, True, "superior: better than version 2"),
        (-0.0301, 0.05, False, "may be worse than version 2 by 0.03 or more"),
        (-0.09, -0.04, False, "inferior: worse than version 2 by more than 0.03"),
        (float("nan"), float("nan"), False, "no interval on this benchmark"),
    ],
)
def test_non_inferiority(low: float, high: float, promote: bool, words: str) -> None:
    decision = decide("auto", True, difference(low, high), "2")
    assert decision.promote is promote
    assert words in decision.reason
    assert "nan" not in decision.reason
    if np.isfinite(low):
        assert f"{low:+.3f} to {high:+.3f}" in decision.reason
        assert "p = 0.012 of non-inferiority, p = 0.200 of no difference" in decision.reason
        assert decision.comparison == difference(low, high)


def test_first_version_and_manual_mode() -> None:
    assert decide("auto", has_champion=False).promote
    assert not decide("manual", has_champion=False).promote
    by_hand = decide("manual", True, difference(0.05, 0.2), "1")
    assert not by_hand.promote
    assert by_hand.rival == "1"
    assert by_hand.comparison == difference(0.05, 0.2)
    assert not decide("auto", has_champion=True).promote


def test_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    query = np.repeat(np.arange(40), 10)
    human = rng.integers(0, 4, 400)
    judge = np.clip(human + rng.integers(-1, 2, 400), 0, 3).astype(float)
    one = GradedPairs(human, judge, query, 40)
    same = compare_kappa(one, one, SCALE, QUICK)
    assert same.interval == Interval(0.0, 0.0, 0.0)
    assert decide("auto", True, same, "1").promote
    worse = GradedPairs(human, np.where(rng.random(400) < 0.5, 3 - judge, judge), query, 40)
    found = compare_kappa(one, worse, SCALE, QUICK)
    assert found.conclusion == "superior"
    assert found.p == pytest.approx(1 / 51)
    back = decide("auto", True, compare_kappa(worse, one, SCALE, QUICK), "1")
    assert not back.promote
    assert back.reason.startswith("inferior")
    with pytest.raises(ValueError, match="same pairs"):
        compare_kappa(one, GradedPairs(human[::-1], worse.judge, query, 40), SCALE)
