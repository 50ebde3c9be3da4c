"""What several answers together gain over one alone, against scikit-learn and by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from relevance_distillery.evaluation.agreement.combining import (
    ALONE,
    ALONE_EXPECTED,
    gain_of_combining,
)
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.grading import DEFAULT_SCALE

OPTIONS = Options(resamples=200, permutations=200)


def graded(noise: float, queries: int = 60, answers: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Ten pairs a query, answers with independent errors, and the teacher's mean of them."""
    rng = np.random.default_rng(4)
    human = rng.integers(4, size=queries * 10)
    each = np.clip(human[:, None] + rng.normal(0, noise, (len(human), answers)), 0, 3).round()
    mean = each.mean(axis=1)
    table = pd.DataFrame(
        {
            "query_id": [f"q{row // 10}" for row in range(len(human))],
            "document_id": [f"d{row}" for row in range(len(human))],
            "human": human,
            "teacher_grade": pd.array(np.ceil(mean - 0.5).astype(int), dtype="Int64"),
            "teacher_expected": mean,
            ALONE: list(each),
            ALONE_EXPECTED: list(each),
        }
    )
    return table, each


def gain(table: pd.DataFrame) -> dict[str, Any]:
    return gain_of_combining(table, DEFAULT_SCALE, OPTIONS)


def test_alone_is_the_mean_kappa_of_the_answers_and_together_that_of_the_grade() -> None:
    table, each = graded(1.2)
    found = gain(table)

    def kappa(given: Any) -> float:
        return cohen_kappa_score(table["human"], np.asarray(given, int), weights="quadratic")

    alone = np.mean([kappa(column) for column in each.T])
    together = kappa(table["teacher_grade"])
    assert found["answers"] == 3
    assert found["pairs"] == 600
    assert found["alone"]["quadratic_kappa"]["estimate"] == pytest.approx(alone, abs=1e-6)
    assert found["together"]["quadratic_kappa"]["estimate"] == pytest.approx(together, abs=1e-6)
    for name in ("quadratic_kappa", "pairwise_accuracy"):
        row = found["gain"][name]
        apart = found["together"][name]["estimate"] - found["alone"][name]["estimate"]
        assert row["estimate"] == pytest.approx(apart, abs=1e-6)
        assert 0 < row["low"] < row["estimate"] < row["high"]
        assert row["p"] < 0.02


def test_answers_that_are_the_same_gain_nothing() -> None:
    table, each = graded(0.8)
    same = np.repeat(each[:, :1], 3, axis=1)
    table = table.assign(
        teacher_grade=pd.array(each[:, 0].astype(int), dtype="Int64"),
        teacher_expected=each[:, 0],
        **{ALONE: list(same), ALONE_EXPECTED: list(same)},
    )
    assert all(row["estimate"] == pytest.approx(0) for row in gain(table)["gain"].values())
    assert all(row["p"] == 1 for row in gain(table)["gain"].values())


def test_pairs_without_every_answer_do_not_count_and_one_answer_has_no_gain() -> None:
    table, each = graded(1.0)
    each[:7, 1] = np.nan
    table[ALONE] = list(each)
    table.loc[590:, "human"] = np.nan
    table.loc[580:589, "teacher_grade"] = pd.NA
    assert gain(table)["pairs"] == 600 - 7 - 10 - 10
    assert gain(table.drop(columns=ALONE)) == {}
    assert gain(table.assign(human=np.nan)) == {}
