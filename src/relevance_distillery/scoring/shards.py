"""Shards of a file of pairs: each is graded for itself, so their order changes no grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from relevance_distillery.scoring.graders import GRADE_COLUMNS, Grader

if TYPE_CHECKING:
    from relevance_distillery.learning.second_pass import Seen


@dataclass(frozen=True)
class PairShard:
    """Some rows of a file of pairs.

    Attributes:
        number: 0 for the first shard.
        row_numbers: Where each pair stands in the file, from 1; in CSV the line where it ends.
        texts: Columns query, text, title, heading, path, author, modified, query_id, document_id,
            passage_id; all text, empty where the file has none.
        rows: The rows as they came, for writing out again.
    """

    number: int
    row_numbers: Sequence[int]
    texts: pd.DataFrame
    rows: Any


@dataclass(frozen=True)
class GradedShard:
    """A shard with its grades.

    Attributes:
        grades: Columns GRADE_COLUMNS, a row a pair; without a grade where there is a failure.
        failures: Reason by the pair's number in `row_numbers`.
        seen: What a second pass needs of the rows, zeros where there is a failure; None without.
    """

    shard: PairShard
    grades: pd.DataFrame
    failures: dict[int, str]
    seen: Seen | None = None


def grade_shard(grader: Grader, shard: PairShard) -> GradedShard:
    """Grade one shard.

    A row with an empty query, or with neither title nor text, gets no grade and a reason.
    """
    texts = shard.texts
    empty_query = texts["query"].str.strip() == ""
    empty_passage = texts["text"].str.strip() == ""
    if "title" in texts.columns:
        empty_passage &= texts["title"].str.strip() == ""
    reasons = pd.Series("", index=texts.index)
    reasons[empty_passage] = "neither title nor text"
    reasons[empty_query] = "empty query"
    graded = grader.grade(texts[reasons == ""])
    if "failure" in graded.columns:
        reasons.update(graded["failure"])
    grades = graded.reindex(texts.index)[list(GRADE_COLUMNS)]
    grades["grade"] = grades["grade"].astype("Int64")
    failed = np.flatnonzero(reasons != "")
    failures = {shard.row_numbers[int(place)]: str(reasons.iloc[place]) for place in failed}
    return GradedShard(shard, grades, failures)


@dataclass
class Watch:
    """Follows a scoring; this one counts nothing and concludes what it was given."""

    conclusion: dict[str, Any] = field(default_factory=dict)

    def observe(self, graded: GradedShard) -> dict[str, Any]:
        """What is kept of a shard, as plain JSON; the same for a resumed scoring."""
        return {}

    def conclude(self, observed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The conclusion from all shards, in their order; its `line` is for people."""
        return self.conclusion
