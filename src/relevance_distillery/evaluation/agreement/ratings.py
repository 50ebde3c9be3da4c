"""Grades of several people for the same pairs, and figures averaged over couples of raters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.evaluation.agreement.pairs import GradedPairs
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic

Floats = NDArray[np.float64]

MOST_RATERS = 12
"""Couples grow with the square: of more raters those with the most grades are compared."""

_KEY = ["query_id", "document_id"]


@dataclass(frozen=True)
class Ratings:
    """What each of several people said about the same pairs.

    Attributes:
        index: query_id and document_id of each pair, shape (pairs,).
        grades: Grades by rater, shape (pairs,); nan where a rater gave none.
        query: Number of each pair's query, shape (pairs,).
        queries: How many queries there are.
        weight: How many pairs each pair stands for, shape (pairs,); None where all count alike.
        left_out: Raters beyond the most that are compared.
    """

    index: pd.Index
    grades: dict[str, Floats]
    query: NDArray[np.int64]
    queries: int
    weight: Floats | None
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, annotators: pd.DataFrame) -> Ratings:
        """Line up the grades of all raters.

        Args:
            annotators: Columns query_id, document_id, annotator, grade; one row a grade, of
                several by the same rater the last counts. And weight, where the pairs are a
                sample in which not all count alike.
        """
        rows = annotators[annotators["grade"].notna()]
        rows = rows.drop_duplicates([*_KEY, "annotator"], keep="last")
        wide = rows.pivot(index=_KEY, columns="annotator", values="grade")
        number = wide.notna().sum()
        most = sorted(number.index, key=lambda name: (-number[name], str(name)))
        kept = sorted(most[:MOST_RATERS], key=str)
        wide = wide[kept].dropna(how="all")
        codes, names = pd.factorize(wide.index.get_level_values("query_id"))
        weight = None
        if "weight" in rows:
            first = rows.groupby(_KEY)["weight"].first()
            weight = first.reindex(wide.index).to_numpy(dtype=np.float64)
        return cls(
            index=wide.index,
            grades={str(name): wide[name].to_numpy(dtype=np.float64) for name in kept},
            query=codes.astype(np.int64),
            queries=len(names),
            weight=weight,
            left_out=tuple(sorted(map(str, most[MOST_RATERS:]))),
        )

    def pairs(self, truth: Floats, other: Floats, rows: NDArray[np.bool_]) -> GradedPairs:
        """Some pairs, with grades of one side as the truth and of another as the judge's.

        Args:
            truth: Grades that count as right, shape (pairs,); none missing in `rows`.
            other: Grades that are measured, shape (pairs,); none missing in `rows`.
            rows: Which pairs, shape (pairs,).
        """
        return GradedPairs(
            human=truth[rows].astype(np.int64),
            judge=other[rows],
            query=self.query[rows],
            queries=self.queries,
            weight=None if self.weight is None else self.weight[rows],
        )


def mean_of_couples(parts: Sequence[dict[str, SumStatistic]]) -> dict[str, SumStatistic]:
    """The mean over couples of raters of each figure, where it is defined.

    Args:
        parts: The same figures of each couple over the same queries, at least one.
    """
    joined: dict[tuple[int, int], Floats] = {}
    found = {}
    for name, first in parts[0].items():
        # Figures of one matrix of counts share its sums here as they do in each part.
        key = (first.sums.__array_interface__["data"][0], first.sums.shape[1])
        if key not in joined:
            joined[key] = np.hstack([part[name].sums for part in parts])
        found[name] = _mean(first, joined[key], len(parts))
    return found


def _mean(first: SumStatistic, joined: Floats, parts: int) -> SumStatistic:
    def finish(sums: Floats) -> Floats:
        each = sums.reshape(len(sums) * parts, first.sums.shape[1])
        values = first.finish(each).reshape(len(sums), parts)
        defined = np.isfinite(values)
        number = defined.sum(1)
        total = np.where(defined, values, 0.0).sum(1)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    return SumStatistic(joined, finish, first.bounds)
