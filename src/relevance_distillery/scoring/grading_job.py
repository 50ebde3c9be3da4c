"""A file of pairs and what grades it, shard by shard, nothing done until it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger

GRADE_COLUMNS = ("grade", "expected_grade", "confidence", "probabilities")


class Grader(Protocol):
    """Whatever can grade pairs: a labeler, or a judge behind `JudgeGrader`.

    Attributes:
        name: For people.
        digest: Changes with anything that could change a grade.
    """

    name: str
    digest: str

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Columns grade, expected_grade, confidence, probabilities (and failure for judges)."""
        ...


class PairSource(Protocol):
    """A file of pairs that is read in fixed shards."""

    name: str
    digest: str
    rows: int
    columns: list[str]

    def shards(self, start: int = 0) -> Iterator[PairShard]:
        """Shards from number `start` on."""
        ...


@dataclass(frozen=True)
class PairShard:
    """Some rows of a file of pairs.

    Attributes:
        number: 0 for the first shard.
        first_row: Row of its first pair in the file, counted from 1.
        texts: Columns query and text and those of title, heading, path, author, modified,
            query_id, document_id that the file has; all text.
        rows: The rows as they came, for writing out again.
    """

    number: int
    first_row: int
    texts: pd.DataFrame
    rows: Any


@dataclass(frozen=True)
class GradedShard:
    """A shard with its grades.

    Attributes:
        shard: What was graded.
        grades: Columns GRADE_COLUMNS, a row a pair; without a grade where there is a failure.
        failures: Reason by row of the file, counted from 1.
    """

    shard: PairShard
    grades: pd.DataFrame
    failures: dict[int, str]


class Watch(Protocol):
    """Follows a job: counts each shard, concludes at the end."""

    def observe(self, graded: GradedShard) -> dict[str, Any]:
        """What is kept of a shard, as plain JSON; the same for a resumed job."""
        ...

    def conclude(self, observed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The conclusion from all shards; its `line` is for people."""
        ...


@dataclass(frozen=True)
class Unwatched:
    """Counts nothing and concludes what it was given."""

    conclusion: dict[str, Any] = field(default_factory=dict)

    def observe(self, graded: GradedShard) -> dict[str, Any]:
        """Nothing."""
        return {}

    def conclude(self, observed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What it was given."""
        return self.conclusion


@dataclass(frozen=True)
class GradingJob:
    """Pairs to grade, who grades them, and who watches."""

    source: PairSource
    grader: Grader
    watch: Watch = field(default_factory=Unwatched)

    def graded(self, start: int = 0) -> Iterator[GradedShard]:
        """Shards with grades from number `start` on.

        A row with an empty query, or with neither title nor text, gets no grade and a reason.
        """
        for shard in self.source.shards(start):
            yield self._grade(shard)

    def _grade(self, shard: PairShard) -> GradedShard:
        texts = shard.texts
        empty_query = texts["query"].str.strip() == ""
        empty_passage = texts["text"].str.strip() == ""
        if "title" in texts.columns:
            empty_passage &= texts["title"].str.strip() == ""
        failures = {
            shard.first_row + int(row): "empty query"
            for row in np.flatnonzero(empty_query.to_numpy())
        }
        for row in np.flatnonzero((empty_passage & ~empty_query).to_numpy()):
            failures[shard.first_row + int(row)] = "neither title nor text"
        usable = ~(empty_query | empty_passage)
        graded = self.grader.grade(texts[usable])
        reasons = graded.pop("failure") if "failure" in graded.columns else None
        if reasons is not None:
            for place, reason in reasons[reasons != ""].items():
                failures[shard.first_row + int(str(place))] = str(reason)
        grades = graded.reindex(texts.index)[list(GRADE_COLUMNS)]
        grades["grade"] = grades["grade"].astype("Int64")
        return GradedShard(shard, grades, dict(sorted(failures.items())))


class JudgeGrader:
    """A judge as a grader of files: labels become columns, failures reasons.

    Its answers go through the ledger, so that a scoring that was stopped pays for nothing
    twice, and neither does one that grades what was labelled before.
    """

    def __init__(self, judge: Judge, ledger: Ledger) -> None:
        self.judge, self._ledger = judge, ledger
        self.name = judge.name
        self.digest = f"{judge.name}/{judge.model}/{judge.prompt_hash}/{judge.scale.digest}"

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Grade pairs; see `Grader`. Ids that are missing are taken as empty.

        Raises:
            UserError: The ledger cannot be read or written, or another run uses it.
        """
        asked = pd.DataFrame(index=pairs.index)
        for column in PAIR_COLUMNS:
            if column in ("is_seed", "in_seed_document"):
                asked[column] = False
            else:
                asked[column] = pairs[column] if column in pairs.columns else ""
        # A file may hold a pair twice, or no ids at all: the row tells pairs apart.
        asked["passage_id"] = [str(row) for row in range(len(asked))]
        result = run_labeling(asked, self.judge, self._ledger, quiet=True)
        rows: list[tuple[Any, ...]] = [(None, None, None, None, "")] * len(asked)
        labels, failures = result.labels, result.failures
        for place, grade, chances in zip(
            labels["passage_id"], labels["grade"], labels["probabilities"], strict=True
        ):
            rows[int(place)] = self._row(int(grade), chances)
        for place, status, reason in zip(
            failures["passage_id"], failures["status"], failures["reason"], strict=True
        ):
            rows[int(place)] = (None, None, None, None, f"{status}: {reason}")
        return pd.DataFrame(rows, index=pairs.index, columns=[*GRADE_COLUMNS, "failure"])

    def _row(self, grade: int, chances: np.ndarray | None) -> tuple[Any, ...]:
        if chances is None:
            return grade, float(grade), None, None, ""
        probabilities = np.round(chances, 6)
        values = self.judge.scale.values
        place = int(self.judge.scale.positions([grade])[0])
        expected = round(float(probabilities @ values), 6)
        return grade, expected, float(probabilities[place]), probabilities.tolist(), ""
