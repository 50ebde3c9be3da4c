"""Answers of several judges: as arrays, their majority, and joint tables of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.ledger_lookup import USAGE, label_columns
from relevance_distillery.schemas import Difficulty, JudgeLabels

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

KEY = ["query_id", "passage_id"]

NOT_ASKED = ("budget", "pending", "unanswered")
"""Failures of a judge that never answered: the pair waits for it, no other judge is asked."""


@dataclass(frozen=True)
class Answers:
    """Grades and probabilities that one judge gave to some pairs.

    `places` are the grades' on the scale, -1 where it gave none, shape (pairs,); `probabilities`
    have shape (pairs, grades), rows of nan where there are none, None for a judge without any.
    """

    places: Places
    probabilities: Floats | None = None

    def __len__(self) -> int:
        return len(self.places)

    def rows(self, chosen: NDArray[Any]) -> Self:
        """The answers of these pairs, by mask or number."""
        kept = None if self.probabilities is None else self.probabilities[chosen]
        return replace(self, places=self.places[chosen], probabilities=kept)

    @property
    def given(self) -> Mask:
        """Where there is a grade, shape (pairs,)."""
        return self.places >= 0

    @property
    def has_probabilities(self) -> Mask:
        """Where there are probabilities, shape (pairs,)."""
        if self.probabilities is None:
            return np.zeros(len(self.places), dtype=bool)
        return np.asarray(np.isfinite(self.probabilities).all(axis=1), dtype=bool)

    def votes(self, size: int) -> Floats:
        """1 for the judge's grade and 0 for the others, shape (pairs, grades); 0 without one."""
        return (self.places[:, None] == np.arange(size)[None, :]).astype(np.float64)

    @classmethod
    def of_labels(cls, labels: pd.DataFrame, pairs: int, scale: GradeScale) -> Self:
        """The answers in a table of labels, whose index is each one's number among `pairs`."""
        places = np.full(pairs, -1, dtype=np.int64)
        places[labels.index] = scale.positions(labels["grade"].to_numpy())
        known = labels["probabilities"].notna()
        if not known.any():
            return cls(places)
        probabilities = np.full((pairs, scale.size), np.nan)
        probabilities[labels.index[known]] = np.stack(labels["probabilities"][known].tolist())
        return cls(places, probabilities)


def numbered(table: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """A table of some pairs, its index being each pair's number among `keys`, all pairs' ids."""
    index = pd.MultiIndex.from_frame(keys[KEY].astype(str))
    return table.set_axis(index.get_indexer(pd.MultiIndex.from_frame(table[KEY])), axis=0)


def majority(answers: Sequence[Answers], size: int) -> Places:
    """The grade that most judges gave; among equals that of the latest judge that gave one.

    Shape (pairs,); -1 where no judge gave a grade.
    """
    votes = np.sum([answer.votes(size) for answer in answers], axis=0)
    leading = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    found = np.full(len(votes), -1, dtype=np.int64)
    for answer in answers:
        place = np.maximum(answer.places, 0)
        counts = answer.given & leading[np.arange(len(votes)), place]
        found = np.where(counts, place, found)
    return found


@dataclass(frozen=True)
class InnerLabeling:
    """One judge's labeling of some pairs, under a name that no other has.

    Its answers are of all pairs, -1 for those that it did not grade or was not asked about; the
    index of labels and failures is each pair's number.
    """

    name: str
    answers: Answers
    labels: pd.DataFrame
    failures: pd.DataFrame


def judge_labels(parts: Sequence[InnerLabeling]) -> pd.DataFrame:
    """The answers of all judges, judge by judge, schema `JudgeLabels`."""
    columns = list(JudgeLabels.to_schema().columns)
    tables = [part.labels.assign(judge=part.name)[columns] for part in parts]
    return JudgeLabels.validate(pd.concat(tables, ignore_index=True))


def difficulty(
    keys: pd.DataFrame, parts: Sequence[InnerLabeling], scale: GradeScale
) -> pd.DataFrame:
    """How far judges disagree about each pair, schema `Difficulty`.

    The entropy of the votes is 0 where all agree and 1 where every grade has as many, the spread
    is the distance between highest and lowest grade in grades. Both are 0 where fewer than two
    judges answered, which `answers` tells.
    """
    places = np.stack([part.answers.places for part in parts])
    given = places >= 0
    answers = given.sum(axis=0)
    votes = np.sum([part.answers.votes(scale.size) for part in parts], axis=0)
    shares = votes / np.maximum(answers, 1)[:, None]
    logs = np.log(np.where(shares > 0, shares, 1.0))
    highest = np.where(given, places, -1).max(axis=0)
    lowest = np.where(given, places, scale.size).min(axis=0)
    table = keys[KEY].reset_index(drop=True).astype(str)
    table["answers"] = answers
    table["entropy"] = np.abs(-(shares * logs).sum(axis=1) / np.log(scale.size))
    table["spread"] = np.where(answers > 0, highest - lowest, 0)
    return Difficulty.validate(table)


def joint_labels(
    keys: pd.DataFrame,
    parts: Sequence[InnerLabeling],
    places: np.ndarray,
    probabilities: np.ndarray,
    judge: Judge,
) -> pd.DataFrame:
    """Labels of a composite judge, schema `Labels`, in the order of the pairs.

    `places` are the joint grades' on the scale, shape (pairs,), -1 for none; `probabilities` have
    shape (pairs, grades), rows of nan where there are none. A pair's tokens, cost and seconds are
    summed over the judges.
    """
    labelled = np.flatnonzero(places >= 0)
    sums = {name: np.zeros(len(keys), kind) for name, kind in USAGE.items()}
    created = pd.Series("", index=range(len(keys)), dtype="str")
    hashes = [[judge.prompt_hash] for _ in range(len(keys))]
    for part in parts:
        at = part.labels.index.to_numpy()
        for name, total in sums.items():
            total[at] += part.labels[name].to_numpy()
        times = part.labels["created_at"].reindex(created.index, fill_value="")
        created = created.where(created >= times, times)
        for place, request in zip(at, part.labels["request_hash"], strict=True):
            hashes[place].append(request)
    known = np.asarray(np.isfinite(probabilities).all(axis=1))
    found = pd.DataFrame({**sums, "created_at": created}).iloc[labelled].reset_index(drop=True)
    found["grade"] = judge.scale.values[places[labelled]]
    shares = [probabilities[place] if known[place] else None for place in labelled]
    found["probabilities"] = pd.Series(shares, dtype=object)
    found["request_hash"] = [joint_hash(hashes[place]) for place in labelled]
    ids = keys[KEY].iloc[labelled].astype(str).reset_index(drop=True)
    return label_columns(ids, found, judge)


def joint_failures(
    keys: pd.DataFrame, parts: Sequence[InnerLabeling], failed: np.ndarray, judge: Judge
) -> pd.DataFrame:
    """Failures of a composite judge, schema `Failures`: a pair has the last judge's reason.

    `failed` is true for pairs without a joint grade, shape (pairs,).
    """
    rows = keys[KEY].reset_index(drop=True).astype(str)
    rows = rows.assign(
        judge=judge.name, status="unanswered", reason="too few judges gave a grade", attempts=0
    )
    columns = ["status", "reason", "attempts"]
    for part in parts:
        if len(part.failures):
            found = part.failures.assign(reason=part.name + ": " + part.failures["reason"])
            rows.loc[found.index, columns] = found[columns].to_numpy()
    rows["attempts"] = rows["attempts"].astype(np.int64)
    return rows[failed].reset_index(drop=True)


def joint_hash(parts: Sequence[str]) -> str:
    """A key that changes with any of the parts."""
    return hex_digest("\n".join(parts), 16)
