"""Collections with recorded judges as a labeler's training reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.distilling import DistillationData
from relevance_distillery.learning.labelled_pairs import labelled_pairs
from relevance_distillery.learning.splits import split_pairs

SHARES = {"train": 0.75, "early_stopping": 0.1, "calibration": 0.15, "test": 0.0}


@dataclass(frozen=True)
class GradedSet:
    """A collection whose pairs people and a judge graded.

    Attributes:
        name: Of its folder.
        queries: Columns query_id, text, passage_id (empty: nobody wrote them from a passage).
        passages: The passages table, a passage a document.
        pairs: Columns query_id, passage_id, human, teacher; rows that both graded.
        judge: The teacher's name.
    """

    name: str
    queries: pd.DataFrame
    passages: pd.DataFrame
    pairs: pd.DataFrame
    judge: str

    def only(self, queries: set[str]) -> GradedSet:
        """The pairs of some queries."""
        kept = self.pairs[self.pairs["query_id"].isin(queries)].reset_index(drop=True)
        return GradedSet(self.name, self.queries, self.passages, kept, self.judge)

    def texts(self) -> pd.DataFrame:
        """The pairs with the columns query and those of the passages."""
        texts = self.queries.rename(columns={"text": "query"})[["query_id", "query"]]
        passages = self.passages.drop(columns="document_id")
        return self.pairs.merge(texts, on="query_id").merge(passages, on="passage_id")

    def data(self, seed: int = 0, grades: str = "teacher") -> DistillationData:
        """What `distill` takes.

        Args:
            seed: Decides the splits.
            grades: The column that teaches.
        """
        labels = self.pairs[["query_id", "passage_id"]].assign(
            grade=self.pairs[grades].astype(int), probabilities=None
        )
        splits = split_pairs(labels, self.queries, self.passages, SHARES, seed)
        labels["group"] = splits["group"]
        parts = [
            labelled_pairs(
                labels[splits["split"] == name], self.queries, self.passages, DEFAULT_SCALE
            )
            for name in ("train", "early_stopping", "calibration")
        ]
        return DistillationData(
            *parts, queries=self.queries, passages=self.passages, taught_by=(self.judge,)
        )


def read_set(folder: Path, judge: str | None) -> GradedSet:
    """A set in BEIR's layout with `qrels/human.tsv` and `judges/NAME.tsv`.

    Args:
        folder: The set.
        judge: The teacher; None puts people's grades in its place.
    """
    benchmark = load_benchmark(folder, DEFAULT_SCALE)
    keys = ["query_id", "document_id"]
    human = benchmark.judgments[[*keys, "grade"]].rename(columns={"grade": "human"})
    given = benchmark.judge(judge) if judge else benchmark.judgments
    assert given is not None
    assert benchmark.documents is not None
    pairs = human.merge(given[[*keys, "grade"]].rename(columns={"grade": "teacher"}), on=keys)
    texts = benchmark.documents.drop(columns="metadata")
    return GradedSet(
        folder.name,
        benchmark.queries[["query_id", "text"]].assign(passage_id=""),
        texts.assign(passage_id=texts["document_id"], heading=""),
        pairs.rename(columns={"document_id": "passage_id"}),
        judge or "human",
    )


def together(sets: Sequence[GradedSet]) -> GradedSet:
    """Several sets as one: ids are `SET/ID`, as `train_set=A;B` makes them."""
    named: dict[str, list[pd.DataFrame]] = {"queries": [], "passages": [], "pairs": []}
    for one in sets:
        for field, tables in named.items():
            table = getattr(one, field)
            ids = [name for name in table if name.endswith("_id") and (table[name] != "").all()]
            tables.append(table.assign(**{name: f"{one.name}/" + table[name] for name in ids}))
    tables = {name: pd.concat(some, ignore_index=True) for name, some in named.items()}
    names, judges = ([getattr(one, field) for one in sets] for field in ("name", "judge"))
    return GradedSet(";".join(names), judge=";".join(dict.fromkeys(judges)), **tables)


def without(learn: GradedSet, asked: GradedSet) -> GradedSet:
    """What teaches, without the queries and the texts of what is asked."""
    known = set(asked.texts()["query"].str.casefold())
    texts = set(asked.passages["text"])
    rows = learn.texts()
    kept = ~(rows["query"].str.casefold().isin(known) | rows["text"].isin(texts))
    keys = ["query_id", "passage_id"]
    return replace(learn, pairs=learn.pairs.merge(rows.loc[kept, keys], on=keys))


def folds_of(pairs: pd.DataFrame, folds: int, seed: int) -> list[set[str]]:
    """Query ids of each fold."""
    names = np.array(sorted(pairs["query_id"].unique()), dtype=object)
    shuffled = np.random.default_rng(seed).permutation(names)
    return [set(part.tolist()) for part in np.array_split(shuffled, folds)]
