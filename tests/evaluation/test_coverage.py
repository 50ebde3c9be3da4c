"""Error rates in small simulations; docs/results/coverage.md has the large ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from relevance_distillery.evaluation.agreement.estimates import Options, compare, paired_differences
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic, intervals
from relevance_distillery.evaluation.statistics.randomization import swap_test

PRIMARY = "quadratic_kappa"
TRIALS = 250


@pytest.fixture(scope="module")
def simulated() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "simulated.py"
    spec = importlib.util.spec_from_file_location("simulated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulated"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def usual(simulated: ModuleType) -> tuple[dict[str, SumStatistic], dict[str, SumStatistic]]:
    return simulated.figures(simulated.World(queries=3000, seed=5))


def test_intervals_hold_the_truth(simulated: ModuleType, usual: tuple) -> None:
    names = (PRIMARY, "within_one", "ndcg")
    sides = [{name: side[name] for name in names} for side in usual]
    right = [simulated.truth(sides[0][name]) for name in names]
    right += [one - simulated.truth(sides[1][name]) for one, name in zip(right, names, strict=True)]
    rng = np.random.default_rng(0)
    hits = np.zeros(6)
    for trial in range(TRIALS):
        chosen = rng.integers(3000, size=50)
        one, other = (simulated.drawn(side, chosen) for side in sides)
        apart = {f"minus {name}": found for name, found in paired_differences(one, other).items()}
        found = list(intervals(one | apart, 200, trial).values())
        hits += [
            low <= truth <= high
            for truth, (low, high) in zip(
                right, ((row.low, row.high) for row in found), strict=True
            )
        ]
    assert (hits / TRIALS > 0.91).all(), hits / TRIALS
    assert (hits / TRIALS < 0.99).all(), hits / TRIALS


def test_the_gate_keeps_its_level(simulated: ModuleType, usual: tuple) -> None:
    """The second judge is worse by exactly the margin: 2.5 % may pass."""
    worse, better = ({PRIMARY: side[PRIMARY]} for side in reversed(usual))
    margin = simulated.truth(better[PRIMARY]) - simulated.truth(worse[PRIMARY])
    rng = np.random.default_rng(1)
    passed = powerful = 0
    for trial in range(TRIALS):
        chosen = rng.integers(3000, size=50)
        sides = [simulated.drawn(side, chosen) for side in (worse, better)]
        found = compare(*sides, Options(200, 1, trial, margin=margin))[PRIMARY]
        passed += found.conclusion in ("superior", "non-inferior")
        powerful += (
            compare(*sides, Options(200, 1, trial, margin=3 * margin))[PRIMARY].conclusion
            == "non-inferior"
        )
    assert passed / TRIALS < 0.06
    assert powerful / TRIALS > 0.9


def test_the_swap_test_keeps_its_level(simulated: ModuleType) -> None:
    sides = simulated.exchangeable(simulated.figures(simulated.World((0.7, 0.7), queries=2000)))
    assert simulated.truth(sides[0][PRIMARY]) == pytest.approx(simulated.truth(sides[1][PRIMARY]))
    rng = np.random.default_rng(2)
    rejected = 0
    for trial in range(TRIALS):
        chosen = rng.integers(4000, size=20)
        one, other = (simulated.drawn({PRIMARY: side[PRIMARY]}, chosen) for side in sides)
        rejected += swap_test(one[PRIMARY], other[PRIMARY], 199, trial) <= 0.05
    assert rejected / TRIALS < 0.09
