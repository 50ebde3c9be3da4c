"""Losses, against values worked out by hand and by plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from relevance_distillery.retriever.losses import LOSSES, Block, bce, listwise, mnrl, triplet
from relevance_distillery.retriever.losses import margin_mse as squared

P, N, F, R = "positive", "negative", "foreign", "relevant"
"""`R`: graded relevant for the query, and brought by another one."""

KINDS = [[P, N, R, F], [F, R, P, N]]
COSINES = [[0.8, 0.5, 0.99, 0.1], [0.2, 0.98, 0.3, 0.6]]
GAINS = [[1.0, 0.0, 1.0, 0.0], [0.0, 3 / 7, 3 / 7, 1 / 7]]


def block(
    cosines: list[list[float]] = COSINES,
    kinds: list[list[str]] = KINDS,
    gains: list[list[float]] = GAINS,
    temperature: float = 0.1,
) -> Block:
    masks = {
        name: torch.tensor([[one == name for one in row] for row in kinds]) for name in (P, N, F)
    }
    values = torch.tensor(cosines, requires_grad=True)
    return Block(values, torch.tensor(gains), masks[P], masks[N], masks[F], temperature)


def value(loss: Callable[[Block], torch.Tensor], made: Block) -> float:
    return float(loss(made).detach())


def test_bce_by_hand() -> None:
    middle = ((0.8 + 0.3) / 2 + (0.5 + 0.6) / 2) / 2
    terms = [
        math.log(1 + math.exp(-(0.8 - middle) / 0.1)),
        math.log(1 + math.exp((0.5 - middle) / 0.1)),
        math.log(1 + math.exp(-(0.3 - middle) / 0.1)),
        math.log(1 + math.exp((0.6 - middle) / 0.1)),
    ]
    assert value(bce, block()) == pytest.approx(np.mean(terms), rel=1e-5)


def test_mnrl_by_hand() -> None:
    first = -math.log(math.exp(8) / (math.exp(8) + math.exp(5) + math.exp(1)))
    second = -math.log(math.exp(3) / (math.exp(3) + math.exp(2) + math.exp(6)))
    assert value(mnrl, block()) == pytest.approx((first + second) / 2, rel=1e-5)
    # Positives of one query are no negatives of one another.
    two = block([[0.8, 0.5, 0.1]], [[P, P, N]], [[1.0, 1.0, 0.0]])
    terms = [-math.log(math.exp(one) / (math.exp(one) + math.exp(1))) for one in (8, 5)]
    assert value(mnrl, two) == pytest.approx(np.mean(terms), rel=1e-5)


def test_triplet_by_hand() -> None:
    # Just met by the first query (0.8 - 0.5 = 0.3), missed by 0.6 by the second.
    assert value(triplet, block()) == pytest.approx((0.0 + 0.6) / 2, abs=1e-6)
    assert value(partial(triplet, margin=0.5), block()) == pytest.approx((0.2 + 0.8) / 2, abs=1e-6)


def test_margin_mse_by_hand() -> None:
    gaps = [0.0, (0.3 - 0.3 * 1.0) / 0.3, 0.0, (-0.3 - 0.3 * 2 / 7) / 0.3]
    assert value(squared, block()) == pytest.approx(np.mean(np.square(gaps)), rel=1e-4)


def test_listwise_by_hand() -> None:
    total = 0.0
    for kinds, cosines, gains in zip(KINDS, COSINES, GAINS, strict=True):
        seen = [i for i, kind in enumerate(kinds) if kind != R]
        wanted = [math.exp(-4 if kinds[i] == F else 4 * gains[i]) for i in seen]
        given = [math.exp(cosines[i] / 0.1) for i in seen]
        for one, other in zip(wanted, given, strict=True):
            chance = one / sum(wanted)
            total += chance * math.log(chance / (other / sum(given)))
    assert value(listwise, block()) == pytest.approx(total / 2, rel=1e-4)


@pytest.mark.parametrize("gain", [0.0, 3 / 7, 1.0])
def test_listwise_where_all_gains_are_equal_wants_equal_cosines(gain: float) -> None:
    kind = P if gain else N
    kinds, gains = [[kind, kind, kind, F]], [[gain, gain, gain, 0.0]]
    apart = block([[0.9, 0.5, 0.1, 0.0]], kinds, gains)
    loss = listwise(apart)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    slope = apart.cosines.grad
    assert slope is not None
    assert slope[0, 0] > 0 > slope[0, 2]
    even = block([[0.5, 0.5, 0.5, 0.5 - 0.1 * (4 * gain + 4)]], kinds, gains)
    assert value(listwise, even) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients_pull_positives_and_push_negatives_and_leave_relevant_ones_alone(
    name: str,
) -> None:
    made = block([[0.6, 0.5, 0.99, 0.55], [0.58, 0.98, 0.3, 0.6]])
    LOSSES[name](made).backward()
    slope = made.cosines.grad
    assert slope is not None
    assert (slope[made.positive] < 0).all()
    assert (slope[made.negative] > 0).all()
    relevant = ~(made.positive | made.negative | made.foreign)
    assert relevant.sum() == 2
    assert (slope[relevant] == 0).all()
    foreign = slope[made.foreign]
    assert (foreign > 0).all() if name in ("mnrl", "listwise") else (foreign == 0).all()
    # Nor does the loss itself know what they are like.
    changed = made.cosines.detach().clone()
    changed[relevant] = -1.0
    again = Block(changed, made.gains, made.positive, made.negative, made.foreign, 0.1)
    assert float(LOSSES[name](again)) == pytest.approx(float(LOSSES[name](made).detach()))
