"""A population of queries with grades by people and two judges, to draw benchmarks from.

What makes intervals hard in real benchmarks is in it: most documents are irrelevant; queries
differ in how many relevant documents they have, in how many documents were judged (log-normal),
in how hard they are, and in how generous each judge is with them; the two judges share part of
their errors. Grades are latent normal values cut at fixed places. Because benchmarks are drawn
from the population with replacement, its own figures are the truth, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import graded_statistics
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.grading import DEFAULT_SCALE

Floats = NDArray[np.float64]
Figures = dict[str, SumStatistic]

CUTS = (0.6, 1.2, 1.9)
"""About 66, 16, 11 and 6 % of the pairs get the grades 0, 1, 2 and 3."""


@dataclass(frozen=True)
class World:
    """What a population is made of.

    Attributes:
        noise: Standard deviation of each judge's error, in those of relevance within a query.
        leaning: Standard deviation between queries of how generous the judges are.
        pairs: Median number of judged documents of a query.
        uneven: Standard deviation of the logarithm of that number.
        queries: How many queries the population has.
        seed: Seed of everything.
    """

    noise: tuple[float, float] = (0.60, 0.75)
    leaning: float = 0.3
    pairs: int = 20
    uneven: float = 0.6
    queries: int = 20_000
    seed: int = 0


def graded(world: World) -> tuple[GradedPairs, GradedPairs]:
    """What people and each of the two judges said in the whole population."""
    rng = np.random.default_rng(world.seed)
    breadth = rng.normal(size=world.queries)
    logarithm = np.log(world.pairs) + world.uneven * rng.normal(size=world.queries)
    pairs = np.rint(np.exp(logarithm + 0.2 * breadth)).astype(np.int64)
    query = np.repeat(np.arange(world.queries), np.clip(pairs, 4, 12 * world.pairs))
    relevance = 0.6 * breadth[query] + rng.normal(size=query.size)
    hardness = np.exp(0.35 * rng.normal(size=world.queries))[query]
    leaning = world.leaning * rng.normal(size=world.queries)
    shared = rng.normal(size=query.size)
    sides = []
    for noise in world.noise:
        error = noise * hardness * (0.6 * shared + 0.8 * rng.normal(size=query.size))
        own = leaning + 0.5 * world.leaning * rng.normal(size=world.queries)
        judged = np.searchsorted(CUTS, relevance + own[query] + error)
        human = np.searchsorted(CUTS, relevance)
        sides.append(GradedPairs(human, judged.astype(np.float64), query, world.queries))
    return sides[0], sides[1]


def figures(world: World) -> tuple[Figures, Figures]:
    """Every metric of the two judges over the whole population."""
    first, second = (graded_statistics(side, DEFAULT_SCALE) for side in graded(world))
    return first, second


def exchangeable(sides: tuple[Figures, Figures]) -> tuple[Figures, Figures]:
    """Both judges take either's place: every query once as it is and once swapped."""
    first, second = sides
    return (
        {name: _stacked(first[name], second[name]) for name in first},
        {name: _stacked(second[name], first[name]) for name in first},
    )


def _stacked(one: SumStatistic, other: SumStatistic) -> SumStatistic:
    return replace(one, sums=np.vstack([one.sums, other.sums]))


def drawn(side: Figures, queries: NDArray[np.int64]) -> Figures:
    """The figures of a benchmark of these queries; those of one matrix of counts share it."""
    parts: dict[tuple[int, ...], Floats] = {}
    found = {}
    for name, figure in side.items():
        key = (figure.sums.__array_interface__["data"][0], *figure.sums.shape)
        if key not in parts:
            parts[key] = figure.sums[queries]
        found[name] = replace(figure, sums=parts[key])
    return found


def truth(figure: SumStatistic) -> float:
    """The figure over the whole population."""
    return float(figure.finish(figure.sums.sum(0, keepdims=True))[0])


def scored(world: World) -> GradedPairs:
    """People's grades and scores of the first judge: its grades, blurred."""
    pairs = graded(world)[0]
    blur = 0.5 * np.random.default_rng(world.seed + 1).normal(size=pairs.judge.size)
    return replace(pairs, judge=pairs.judge + blur, graded=False)


def of_queries(pairs: GradedPairs, queries: NDArray[np.int64]) -> GradedPairs:
    """The pairs of these queries, numbered anew."""
    start, end = np.searchsorted(pairs.query, [queries, queries + 1])
    rows = np.concatenate([np.arange(*bounds) for bounds in zip(start, end, strict=True)])
    return replace(
        pairs,
        human=pairs.human[rows],
        judge=pairs.judge[rows],
        query=np.repeat(np.arange(queries.size), end - start),
        queries=queries.size,
    )


def relevant_of_ten(world: World) -> tuple[Floats, Floats, Floats]:
    """Share of relevant documents among the first ten of each query, by people and judges.

    Returns:
        Three arrays of shape (queries,): what a search engine's precision at 10 looks like by
        people's grades and by those of the first and the second judge.
    """
    sides = graded(world)
    query = sides[0].query
    rank = np.arange(query.size) - np.searchsorted(query, query)
    kept = rank < 10
    size = np.bincount(query[kept], minlength=world.queries)
    shares = [
        np.bincount(query[kept], weights=grades[kept] >= 2, minlength=world.queries) / size
        for grades in (sides[0].human, sides[0].judge, sides[1].judge)
    ]
    return shares[0], shares[1], shares[2]
