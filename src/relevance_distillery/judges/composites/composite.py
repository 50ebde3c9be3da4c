"""What judges that are made of other judges share: subsets of pairs, answers, joint tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites.confidence import Answers
from relevance_distillery.judges.labeling import Labeling
from relevance_distillery.schemas import Difficulty, JudgeLabels, empty

NOT_ASKED = ("budget", "pending", "unanswered")
"""Failures of a judge that never answered: the pair waits for it, nobody else is asked."""

KEY = ["query_id", "passage_id"]


class Subset(Pairs):
    """Some of the pairs of another table, joined when they are read."""

    def __init__(self, pairs: Pairs, chosen: np.ndarray) -> None:
        """Choose.

        Args:
            pairs: All pairs.
            chosen: True for those to keep, shape (pairs,).
        """
        self._all = pairs
        self._places = np.flatnonzero(chosen)
        self.keys = pairs.keys.iloc[self._places].reset_index(drop=True)

    def _join(self, places: np.ndarray) -> pd.DataFrame:
        table = self._all._join(self._places[places])
        table.index = pd.Index(places)
        return table


@dataclass(frozen=True)
class CompositeLabeling(Labeling):
    """What became of pairs, with what every judge said about them.

    Attributes:
        judge_labels: Schema `JudgeLabels`: the answers of all judges side by side.
        difficulty: Schema `Difficulty`: how far the judges disagree.
        facts: For the labeling report, plain JSON values.
    """

    judge_labels: pd.DataFrame
    difficulty: pd.DataFrame
    facts: dict[str, Any]


def side_by_side(result: Labeling) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """What a labeling knows of several judges.

    Returns:
        Answers of all judges (schema `JudgeLabels`), their disagreement (schema `Difficulty`),
        both without rows for a judge that is not made of others, and facts for the report.
    """
    if isinstance(result, CompositeLabeling):
        return result.judge_labels, result.difficulty, result.facts
    return empty(JudgeLabels), empty(Difficulty), {}


@dataclass(frozen=True)
class Answered:
    """One judge's labeling of some pairs, aligned with all pairs.

    Attributes:
        name: The judge's name among its fellows.
        answers: Of all pairs; -1 for those that it did not grade or was not asked about.
        labels: Its labels, the index being each pair's place among all pairs.
        failures: Its failures, the same.
    """

    name: str
    answers: Answers
    labels: pd.DataFrame
    failures: pd.DataFrame

    @classmethod
    def of(
        cls,
        name: str,
        labels: pd.DataFrame,
        failures: pd.DataFrame,
        keys: pd.DataFrame,
        scale: GradeScale,
    ) -> Answered:
        """Align a labeling.

        Args:
            name: The judge's name among its fellows.
            labels: Its labels of some of the pairs.
            failures: Its failures of others.
            keys: Columns query_id and passage_id of all pairs.
            scale: The grades.
        """
        index = pd.MultiIndex.from_frame(keys[KEY].astype(str))
        labels, failures = (
            table.set_axis(index.get_indexer(pd.MultiIndex.from_frame(table[KEY])), axis=0)
            for table in (labels, failures)
        )
        places = np.full(len(keys), -1, dtype=np.int64)
        places[labels.index] = scale.positions(labels["grade"].to_numpy())
        known = labels["probabilities"].notna()
        probabilities = None
        if known.any():
            probabilities = np.full((len(keys), scale.size), np.nan)
            probabilities[labels.index[known]] = np.stack(labels["probabilities"][known].tolist())
        return cls(name, Answers(places, probabilities), labels, failures)

    @property
    def waits(self) -> np.ndarray:
        """Places of pairs about which this judge was never asked."""
        return self.failures.index[self.failures["status"].isin(NOT_ASKED)].to_numpy()


def distinct_names(judges: Sequence[Judge]) -> list[str]:
    """The judges' names, with their models where two of them have the same name."""
    names = [judge.name for judge in judges]
    if len(set(names)) == len(names):
        return names
    return [f"{judge.name}:{judge.model}" for judge in judges]


def judge_labels(parts: Sequence[Answered]) -> pd.DataFrame:
    """The answers of all judges side by side.

    Returns:
        Schema `JudgeLabels`, judge by judge.
    """
    columns = list(JudgeLabels.to_schema().columns)
    tables = [part.labels.assign(judge=part.name)[columns] for part in parts]
    return JudgeLabels.validate(pd.concat(tables, ignore_index=True))


def difficulty(keys: pd.DataFrame, parts: Sequence[Answered], scale: GradeScale) -> pd.DataFrame:
    """How far judges disagree about each pair.

    Args:
        keys: Columns query_id and passage_id of all pairs.
        parts: The judges' answers.
        scale: The grades.

    Returns:
        Schema `Difficulty`: entropy of the votes, 0 where all agree and 1 where every grade
        has as many, and spread, the distance between highest and lowest grade in grades.
        Both are 0 where fewer than two judges answered, which `answers` tells.
    """
    places = np.stack([part.answers.places for part in parts])
    given = places >= 0
    answers = given.sum(axis=0)
    shares = np.stack([(places == place).sum(axis=0) for place in range(scale.size)], axis=1)
    shares = shares / np.maximum(answers, 1)[:, None]
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
    parts: Sequence[Answered],
    places: np.ndarray,
    probabilities: np.ndarray,
    judge: Judge,
) -> pd.DataFrame:
    """Labels of a composite judge.

    Args:
        keys: Columns query_id and passage_id of all pairs.
        parts: Every judge's answers; a pair's tokens, cost and seconds are summed over them.
        places: The joint grade's place on the scale, shape (pairs,), -1 for none.
        probabilities: Shape (pairs, grades), rows of nan where there are none.
        judge: The composite judge.

    Returns:
        Schema `Labels`, in the order of the pairs.
    """
    labelled = np.flatnonzero(places >= 0)
    sums = {name: np.zeros(len(keys)) for name in ("input_tokens", "output_tokens")}
    sums |= {name: np.zeros(len(keys)) for name in ("cost_usd", "seconds")}
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
    table = keys[KEY].reset_index(drop=True).astype(str).iloc[labelled]
    known = np.isfinite(probabilities).all(axis=1)
    cells = np.empty(len(keys), dtype=object)
    for place in labelled:
        cells[place] = probabilities[place] if known[place] else None
    table = table.assign(
        grade=judge.scale.values[places[labelled]],
        probabilities=cells[labelled],
        judge=judge.name,
        model=judge.model,
        request_hash=[joint_hash(hashes[place]) for place in labelled],
        prompt_hash=judge.prompt_hash,
        scale_hash=judge.scale.digest,
        input_tokens=sums["input_tokens"][labelled].astype(np.int64),
        output_tokens=sums["output_tokens"][labelled].astype(np.int64),
        cost_usd=sums["cost_usd"][labelled],
        seconds=sums["seconds"][labelled],
        created_at=created.iloc[labelled].to_numpy(),
    )
    return table.reset_index(drop=True)


def joint_failures(
    keys: pd.DataFrame, parts: Sequence[Answered], failed: np.ndarray, judge: Judge
) -> pd.DataFrame:
    """Failures of a composite judge: a pair has the last judge's reason.

    Args:
        keys: Columns query_id and passage_id of all pairs.
        parts: Every judge's answers.
        failed: True for pairs without a joint grade, shape (pairs,).
        judge: The composite judge.

    Returns:
        Schema `Failures`, in the order of the pairs.
    """
    rows = keys[KEY].reset_index(drop=True).astype(str)
    rows = rows.assign(
        judge=judge.name, status="unanswered", reason="too few judges gave a grade", attempts=0
    )
    for part in parts:
        at = part.failures.index.to_numpy()
        if len(at):
            rows.loc[at, "status"] = part.failures["status"].to_numpy()
            reasons = part.name + ": " + part.failures["reason"].astype(str)
            rows.loc[at, "reason"] = reasons.to_numpy()
            rows.loc[at, "attempts"] = part.failures["attempts"].to_numpy()
    return rows[failed].reset_index(drop=True)


def joint_hash(parts: Sequence[str]) -> str:
    """A key that changes with any of the parts."""
    return hex_digest("\n".join(parts), 16)
