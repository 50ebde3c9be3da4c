"""Labelled pairs as training needs them: texts, the judge's probabilities, the split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

    def sample(self, size: int, seed: int) -> Self:
        """At most `size` pairs drawn alike, so that the shares of the grades stay as they are."""
        if len(self) <= size:
            return self
        rows = np.random.default_rng(seed).permutation(len(self))[:size]
        return self.take(np.sort(rows))

    def even_sample(self, size: int, seed: int) -> Self:
        """At most `size` pairs that keep as many queries and as even grades as possible.

        Each query gives its pairs in turns, one of each grade before a second of any, so a
        smaller sample drops a query's many easy negatives before it drops queries.
        """
        if len(self) <= size:
            return self
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {"query": self.queries, "position": self.positions, "chance": rng.random(len(self))}
        )
        frame = frame.sort_values("chance", kind="stable")
        frame["turn_in_grade"] = frame.groupby(["query", "position"]).cumcount()
        frame = frame.sort_values(["turn_in_grade", "chance"], kind="stable")
        frame["turn"] = frame.groupby("query").cumcount()
        kept = frame.sort_values(["turn", "chance"], kind="stable").index[:size]
        return self.take(np.sort(kept.to_numpy(dtype=np.int64)))


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
