"""Which differences between systems are significant, and whether other grades find them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.statistics.randomization import holm

Floats = NDArray[np.float64]

_CELLS = 4_000_000
_MOST_SWAPS = 200_000
_SWAPS_FOR_SMALLEST = 10
"""The smallest p-value, times the number of pairs, stays this many times below the level."""


@dataclass(frozen=True)
class PairwiseTests:
    """Every pair of systems compared by query.

    Attributes:
        first, second: Numbers of the systems, shape (pairs,).
        difference: Mean of the first minus mean of the second, shape (pairs,).
        p: Two-sided p-values of the randomisation test, shape (pairs,).
        p_holm: The same, corrected for the number of pairs (Holm, 1979).
        swaps: How many random swaps were made.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    difference: Floats
    p: Floats
    p_holm: Floats
    swaps: int

    def significant(self, level: float = 0.95) -> NDArray[np.bool_]:
        """Pairs whose corrected p-value is below 1 − level, shape (pairs,)."""
        return self.p_holm < 1.0 - level


@dataclass(frozen=True)
class Survival:
    """What becomes of conclusions drawn from people's grades.

    Attributes:
        pairs: Pairs of systems.
        people: Significant by people's grades.
        machine: Significant by the machine's.
        survive: Significant by both, with the same sign.
        flip: Significant by both, with opposite signs.
        machine_alone: Significant by the machine's grades only.
    """

    pairs: int
    people: int
    machine: int
    survive: int
    flip: int
    machine_alone: int


def pairwise_tests(
    values: Floats, permutations: int = 2000, seed: int = 0, level: float = 0.95
) -> PairwiseTests:
    """Paired randomisation test with queries as units, for every pair of systems.

    Under the null hypothesis it does not matter which of two systems has which value of a query
    (Smucker, Allan and Carterette, 2007). All pairs see the same swaps.

    Args:
        values: A measure, shape (systems, queries), no nan.
        permutations: Random swaps; more are made where Holm's correction for the number of
            pairs could otherwise never find anything.
        seed: Of the swaps.
        level: What corrected p-values will be compared with is 1 − level.
    """
    systems, queries = values.shape
    first, second = np.triu_indices(systems, 1)
    apart = values[first] - values[second]
    needed = int(np.ceil(_SWAPS_FOR_SMALLEST * len(first) / (1.0 - level)))
    swaps = min(max(permutations, needed), max(_MOST_SWAPS, permutations))
    observed = np.abs(apart.sum(1))
    as_large = np.zeros(len(first), dtype=np.int64)
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // max(1, len(first), queries))
    for start in range(0, swaps, step):
        rows = min(step, swaps - start)
        signs = rng.integers(2, size=(queries, rows)) * 2.0 - 1.0
        as_large += (np.abs(apart @ signs) >= observed[:, None] - 1e-12).sum(1)
    p = ((as_large + 1.0) / (swaps + 1.0)).astype(np.float64)
    corrected = holm({f"{pair:08d}": float(value) for pair, value in enumerate(p)})
    return PairwiseTests(
        first=first.astype(np.int64),
        second=second.astype(np.int64),
        difference=apart.mean(1) if queries else np.full(len(first), np.nan),
        p=p,
        p_holm=np.array([corrected[f"{pair:08d}"] for pair in range(len(p))]),
        swaps=swaps,
    )


def survival(people: PairwiseTests, machine: PairwiseTests, level: float = 0.95) -> Survival:
    """Compare the conclusions of two sets of grades about the same systems.

    Args:
        people: Tests by people's grades.
        machine: Tests of the same measure by the machine's grades.
        level: A pair is significant below 1 − level.
    """
    true, found = people.significant(level), machine.significant(level)
    same = np.sign(people.difference) == np.sign(machine.difference)
    return Survival(
        pairs=len(true),
        people=int(true.sum()),
        machine=int(found.sum()),
        survive=int((true & found & same).sum()),
        flip=int((true & found & ~same).sum()),
        machine_alone=int((found & ~true).sum()),
    )
