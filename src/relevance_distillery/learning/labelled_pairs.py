"""Labelled pairs as training needs them: texts, the judge's probabilities, the split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.collections.judgments import KEY
from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs with what the judge said about them.

    Attributes:
        pairs: Columns query_id, query, passage_id, document_id and the passage's texts.
        targets: The judge's probabilities, shape (pairs, grades); one-hot without any.
        positions: The judge's grades as positions on the scale, shape (pairs,).
    """

    pairs: pd.DataFrame
    targets: NDArray[np.float64]
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows, in the order given."""
        pairs = self.pairs.iloc[rows].reset_index(drop=True)
        return replace(
            self, pairs=pairs, targets=self.targets[rows], positions=self.positions[rows]
        )

    def followed_by(self, others: Self) -> Self:
        """These pairs and then the others."""
        return replace(
            self,
            pairs=pd.concat([self.pairs, others.pairs], ignore_index=True),
            targets=np.concatenate([self.targets, others.targets]),
            positions=np.concatenate([self.positions, others.positions]),
        )

    @property
    def queries(self) -> NDArray[np.object_]:
        """Query id of each pair."""
        return self.pairs["query_id"].to_numpy(dtype=object)

    @property
    def groups(self) -> NDArray[np.object_]:
        """What must not be torn apart: the column `group`, or the query id without one."""
        column = "group" if "group" in self.pairs.columns else "query_id"
        return self.pairs[column].to_numpy(dtype=object)

    @property
    def sets(self) -> NDArray[np.object_]:
        """The set of each pair: `SET` where ids are `SET/…` in every pair, else nothing."""
        alone = np.full(len(self), "", dtype=object)
        if "document_id" not in self.pairs.columns:
            return alone
        query, document = (self.pairs[name].astype(str).str.partition("/") for name in KEY)
        joined = (query[1] == "/").all() and query[[0, 1]].equals(document[[0, 1]])
        return query[0].to_numpy(dtype=object) if joined else alone

    def sample(self, size: int, seed: int) -> Self:
        """At most `size` pairs drawn alike, so that the shares of the grades stay as they are.

        Several sets share them as `first_of_sets` says; within a set they are drawn alike.
        """
        if len(self) <= size:
            return self
        return self.first_of_sets(np.random.default_rng(seed).permutation(len(self)), size)

    def first_of_sets(self, order: NDArray[np.int64], size: int) -> Self:
        """The first `size` pairs in an order, where every set has its share of them.

        Shares grow with the root of a set's queries (temperature 2; Arivazhagan et al., 2019): with
        the queries alone a large set would drown the others, and with equal shares a set of one
        query would be as much as any.
        """
        frame = pd.DataFrame({"set": self.sets[order], "query": self.queries[order]})
        of_set = frame.groupby("set", sort=False)
        turn = (of_set.cumcount() + 0.5) / np.sqrt(of_set["query"].transform("nunique"))
        kept = order[np.argsort(turn.to_numpy(), kind="stable")[:size]]
        return self.take(np.sort(kept))


def join_texts(table: pd.DataFrame, queries: pd.DataFrame, passages: pd.DataFrame) -> pd.DataFrame:
    """The rows of `table` with query, document_id and the passage's texts, as of `build_pairs`.

    Raises:
        UserError: A query_id or passage_id of `table` does not exist.
    """
    try:
        texts = build_pairs(table, queries, passages)
    except ValueError as error:
        raise UserError(
            f"labelled pairs: {error}; the tables are of different runs: run mine and label "
            "again, or choose matching --load-versions"
        ) from error
    texts = texts.drop(columns=["is_seed", "in_seed_document"])
    return table.merge(texts, on=["query_id", "passage_id"], how="left", validate="many_to_one")


def pairs_of_split(
    split: str,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
) -> pd.DataFrame:
    """Pairs of a split with the judge's grade and their texts; errors are those of `join_texts`."""
    key = ["query_id", "passage_id"]
    chosen = splits.loc[splits["split"] == split, key].merge(labels[[*key, "grade"]], on=key)
    return join_texts(chosen, queries, passages)


def labelled_pairs(
    labels: pd.DataFrame, queries: pd.DataFrame, passages: pd.DataFrame, scale: GradeScale
) -> LabelledPairs:
    """Labels with their texts and the judge's probabilities.

    `labels` have query_id, passage_id, grade, probabilities (a list or nothing) and, where it is
    known, group: queries of one seed document, or of one wording.

    Raises:
        UserError: A grade is not on the scale, or probabilities have another length.
    """
    columns = ["query_id", "passage_id", "grade", "probabilities"]
    columns += [name for name in ("group",) if name in labels.columns]
    joined = join_texts(labels[columns].reset_index(drop=True), queries, passages)
    try:
        positions = scale.positions(joined["grade"].to_numpy())
    except ValueError as error:
        raise UserError(f"labels: {error}; run kedro run --pipeline=label again") from error
    targets = np.eye(scale.size)[positions]
    for row, given in enumerate(joined["probabilities"]):
        # Parquet gives arrays, and None or NaN where a judge states no probabilities.
        if isinstance(given, (Sequence, np.ndarray)):
            if len(given) != scale.size:
                raise UserError(
                    f"labels row {row + 1}: {len(given)} probabilities for {scale.size} grades; "
                    "run kedro run --pipeline=label again"
                )
            values = np.clip(np.asarray(given, dtype=np.float64), 0.0, None)
            if values.sum() > 0:
                targets[row] = values / values.sum()
    return LabelledPairs(joined.drop(columns=["grade", "probabilities"]), targets, positions)


def grade_counts(positions: NDArray[np.int64], scale: GradeScale) -> dict[str, int]:
    """How many pairs have each grade, lowest first."""
    counts = np.bincount(positions, minlength=scale.size)
    return {str(int(value)): int(n) for value, n in zip(scale.values, counts, strict=True)}


def class_weights(positions: NDArray[np.int64], grades: int, balance: float) -> NDArray[np.float64]:
    """Weight of each grade: (mean count / count) ** balance, at most 4; absent grades weigh 1."""
    counts = np.bincount(positions, minlength=grades).astype(np.float64)
    present = counts > 0
    weights = np.ones(grades)
    weights[present] = (counts[present].mean() / counts[present]) ** balance
    return np.clip(weights, 0.25, 4.0)
