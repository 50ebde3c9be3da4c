"""Every combination of a cascade's thresholds at once: which pairs leave where, at what cost.

A combination's confusion matrix is a sum over exits. Pairs fall into cells by how many of each
judge's candidate thresholds they pass; cumulative sums over the cells give the matrices of all
combinations, so that the search is exhaustive and exact on its grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.judges.composites.answers import Floats, Places
from relevance_distillery.judges.composites.cascade import EDGE, NEVER, Decision
from relevance_distillery.judges.settings import Target

_COMBINATIONS = 200_000
_MOST_CANDIDATES = 60


@dataclass(frozen=True)
class StageView:
    """What one judge's stage would do with every pair that reached it.

    Attributes:
        confidence: In the grade it would give, shape (pairs,); below 0 where it gave none.
        places: That grade's place on the scale, shape (pairs,).
        price: Of one of its calls, in units of the last judge's.
    """

    confidence: Floats
    places: Places
    price: float
    decision: Decision = "own"


@dataclass(frozen=True)
class Grid:
    """All combinations of thresholds.

    Attributes:
        candidates: Thresholds of each stage, rising.
        counts: Confusion matrices, shape (candidates of stage 1, ..., grades, grades), people
            in rows.
        accuracy, agreement: Share of people's exact grades, and quadratic kappa (-1 where it is
            not defined), of the combinations' shape.
        cost: In calls of the last judge for one pair, of the combinations' shape.
    """

    candidates: tuple[Floats, ...]
    counts: Floats
    accuracy: Floats
    agreement: Floats
    cost: Floats
    decisions: tuple[Decision, ...]

    def choice(self, place: int, reached: bool = True) -> Choice:
        """The combination at a place of the flattened arrays."""
        index = np.unravel_index(place, self.cost.shape)
        return Choice(
            tuple(float(own[at]) for own, at in zip(self.candidates, index, strict=True)),
            self.decisions,
            float(self.accuracy[index]),
            float(self.agreement[index]),
            float(self.cost[index]),
            reached,
        )


@dataclass(frozen=True)
class Choice:
    """One combination: its threshold and decision at each stage, and what it reaches.

    `accuracy`, `agreement` and `cost` are as in `Grid`; `reached` says whether the target was.
    """

    thresholds: tuple[float, ...]
    decisions: tuple[Decision, ...]
    accuracy: float
    agreement: float
    cost: float
    reached: bool = True

    def rank(self, target: Target) -> tuple[float, ...]:
        """What the better of two choices has more of, for `max`."""
        gained = round(self.accuracy if target == "accuracy" else self.agreement, 9)
        cost = -round(self.cost, 9)
        cost_decides = self.reached != (target == "cost")
        return (self.reached, *((cost, gained) if cost_decides else (gained, cost)))


def search(views: Sequence[StageView], vote: Places, human: Places, size: int) -> Grid:
    """Try every combination of candidate thresholds of the stages on a scale of so many grades.

    `human` has the places of people's grades and `vote` those for pairs that never leave, -1 for
    no grade; shapes (pairs,).
    """
    most = min(_MOST_CANDIDATES, max(3, int(_COMBINATIONS ** (1 / len(views)))))
    candidates = tuple(_candidates(view.confidence, most) for view in views)
    levels = [
        np.searchsorted(chosen - EDGE, view.confidence, side="right")
        for view, chosen in zip(views, candidates, strict=True)
    ]
    shape = tuple(len(chosen) for chosen in candidates)
    counts = np.zeros((*shape, size * size))
    cost = np.zeros(shape)
    for stage, view in enumerate(views):
        before = levels[:stage]
        here = _cells(before, shape[:stage], np.zeros_like(human), 1)
        cost += view.price * _open(here, len(shape))[..., 0]
        pairs = view.places >= 0
        cells = [level[pairs] for level in levels[: stage + 1]]
        stayed = _cells(cells, shape[: stage + 1], (human * size + view.places)[pairs], size * size)
        # A pair that passes more thresholds than the combination's leaves here.
        left = np.flip(np.cumsum(np.flip(stayed, axis=stage), axis=stage), axis=stage)
        left = np.take(left, range(1, shape[stage] + 1), axis=stage)
        counts += _open(left, len(shape), but=stage)
    pairs = vote >= 0
    rest = [level[pairs] for level in levels]
    voted = _cells(rest, shape, (human * size + vote)[pairs], size * size)
    counts += _open(voted, len(shape))
    counts = counts.reshape(*shape, size, size)
    return Grid(
        candidates,
        counts,
        confusion.accuracy(counts),
        np.nan_to_num(confusion.quadratic_kappa(counts), nan=-1.0),
        cost / max(1, len(human)),
        tuple(view.decision for view in views),
    )


def choose(grid: Grid, target: Target, value: float) -> Choice:
    """The combination that serves the target best.

    `accuracy` and `agreement` take the cheapest combination that reaches `value` (a share, a
    quadratic kappa), `cost` the one that agrees best among those that cost at most `value` (in
    calls of the last judge).

    Returns:
        The combination; `reached` is false where none reaches the target and the nearest is
        taken: the one that agrees best, or the cheapest.
    """
    if target == "cost":
        fits, better, cheaper = grid.cost <= value + EDGE, -grid.agreement, grid.cost
        order = (cheaper, better) if fits.any() else (better, cheaper)
    else:
        gained = grid.accuracy if target == "accuracy" else grid.agreement
        fits = gained >= value - EDGE
        order = (-gained, grid.cost) if fits.any() else (grid.cost, -gained)
    reached = bool(fits.any())
    allowed = np.flatnonzero(fits.ravel()) if reached else np.arange(fits.size)
    # The last key decides first.
    best = allowed[np.lexsort([np.round(key.ravel()[allowed], 9) for key in order])[0]]
    return grid.choice(int(best), reached)


def frontier(grid: Grid) -> list[Choice]:
    """Combinations that no other one beats in both cost and quadratic kappa, cheapest first."""
    agreement = grid.agreement.ravel()
    order = np.lexsort([-agreement, grid.cost.ravel()])
    best = np.maximum.accumulate(agreement[order])
    rises = np.append(True, best[1:] > best[:-1])
    return undominated(grid.choice(int(place)) for place in order[rises])


def undominated(choices: Iterable[Choice]) -> list[Choice]:
    """Choices that no other one beats in both cost and quadratic kappa, cheapest first."""
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.cost, -choice.agreement)):
        if not kept or choice.agreement > kept[-1].agreement + 1e-6:
            kept.append(choice)
    return kept


def _candidates(confidence: Floats, most: int) -> Floats:
    """0, thresholds in the gaps between confidences, and never."""
    seen = np.unique(np.round(confidence[confidence >= 0], 6))
    gaps = (seen[1:] + seen[:-1]) / 2
    if len(gaps) > most - 2:
        # As many pairs between neighbours, so that the grid is finest where the pairs are.
        at = np.quantile(confidence[confidence >= 0], np.linspace(0, 1, most)[1:-1])
        gaps = np.unique(gaps[np.clip(np.searchsorted(gaps, at), 0, len(gaps) - 1)])
    return np.concatenate([[0.0], gaps, [NEVER]])


def _cells(levels: Sequence[Places], shape: tuple[int, ...], kind: Places, kinds: int) -> Floats:
    """How many pairs of each kind there are on each combination of levels."""
    full = (*(size + 1 for size in shape), kinds)
    flat = np.ravel_multi_index((*levels, kind), full)
    return np.bincount(flat, minlength=int(np.prod(full))).reshape(full).astype(np.float64)


def _open(cells: Floats, stages: int, but: int | None = None) -> Floats:
    """Pairs that passed no earlier threshold, broadcastable over the later stages.

    A pair of level l passes candidates 0 to l - 1, so candidate k lets levels up to k stay.
    """
    for axis in range(cells.ndim - 1):
        if axis != but:
            cells = np.cumsum(cells, axis=axis)
            cells = np.take(cells, range(cells.shape[axis] - 1), axis=axis)
    missing = stages - (cells.ndim - 1)
    return cells.reshape(*cells.shape[:-1], *(1,) * missing, cells.shape[-1])
