"""A machine grades the pooled documents: a labeler or any judge, by their passages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.pool import KEY
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.progress import Progress
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.learning.document_grades import best_of_passages
from relevance_distillery.scoring.grading_job import Grader

KNOWN_COLUMNS = ["digest", "expected_grade", "score"]

_CHUNK = 2048
_TEXT_COLUMNS = ["title", "heading", "text", "path", "author", "modified"]


@dataclass(frozen=True)
class Texts:
    """What can be read.

    Attributes:
        queries: Text by query id.
        passages: Schema `Passages`; a pooled id is a document's or, where there is no such
            document, a passage's.
    """

    queries: dict[str, str]
    passages: pd.DataFrame


@dataclass(frozen=True)
class MachineGrades:
    """Grades of pooled documents.

    Attributes:
        grades: Columns query_id, document_id, grade; a row a graded document.
        failures: How many documents got no grade, by reason.
        known: Columns `KNOWN_COLUMNS`: what a labeler said about each passage, by a digest of
            the labeler and all that it read, so that the next run need not ask again. Without
            rows for a judge, which has its ledger.
        asked: How many passages were graded now.
    """

    grades: pd.DataFrame
    failures: dict[str, int] = field(default_factory=dict)
    known: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=KNOWN_COLUMNS))
    asked: int = 0


def grade_documents(
    grader: Grader, wanted: pd.DataFrame, texts: Texts, known: pd.DataFrame | None = None
) -> MachineGrades:
    """Grade documents by their passages.

    A labeler's document grade is corrected for the number of passages; with a judge the best
    passage counts, and a document of which a passage got no grade has none, since its best
    passage could be that one.

    Args:
        grader: A labeler or a judge.
        wanted: Columns query_id, document_id.
        texts: Queries and passages.
        known: `MachineGrades.known` of an earlier run.

    Raises:
        UserError: None of the documents is in the corpus.
    """
    units = _units(wanted, texts.passages)
    unreadable = ~wanted["query_id"].isin(texts.queries)
    absent = ~wanted["document_id"].isin(units["document_id"]) & ~unreadable
    if len(wanted) and (unreadable | absent).all():
        raise UserError(
            f"none of the {len(wanted)} pooled documents has a text here; give the corpus by "
            '--params="documents=PATH" or benchmark=DIR, and check that ids match'
        )
    failures = Counter(
        {"its query has no text": int(unreadable.sum()), "not in the corpus": int(absent.sum())}
    )
    graded = _Graded(grader, known)
    readable = wanted[~unreadable & ~absent]
    with Progress(len(readable), grader.name) as progress:
        for pairs in _chunks(readable, units, texts):
            graded.add(pairs)
            progress.advance(pairs[KEY].drop_duplicates().shape[0])
    return graded.result(failures)


class _Graded:
    """Collects what a grader says about chunks of pairs."""

    def __init__(self, grader: Grader, known: pd.DataFrame | None) -> None:
        self.grader = grader
        self.known = pd.DataFrame(columns=KNOWN_COLUMNS)
        if known is not None and set(KNOWN_COLUMNS) <= set(known.columns):
            self.known = known
        self.parts: list[pd.DataFrame] = []
        self.said: list[pd.DataFrame] = []
        self.failures: Counter[str] = Counter()
        self.asked = 0

    def add(self, pairs: pd.DataFrame) -> None:
        blank = (pairs["title"].str.strip() == "") & (pairs["text"].str.strip() == "")
        empty = blank.groupby([pairs[name] for name in KEY]).transform("all")
        self.failures["neither title nor text"] += len(pairs[empty][KEY].drop_duplicates())
        # An empty passage of a document that has others is nothing to read.
        pairs = pairs[~blank].reset_index(drop=True)
        if pairs.empty:
            return
        if isinstance(self.grader, Labeler):
            self.parts.append(self._by_labeler(self.grader, pairs))
        else:
            self.parts.append(self._by_judge(pairs))

    def _by_labeler(self, labeler: Labeler, pairs: pd.DataFrame) -> pd.DataFrame:
        digests = _digests(labeler.digest, pairs)
        found = self.known.drop_duplicates("digest").set_index("digest").reindex(digests)
        new = found["expected_grade"].isna().to_numpy()
        said = pairs[KEY].assign(
            expected_grade=found["expected_grade"].to_numpy(dtype=np.float64),
            score=found["score"].to_numpy(dtype=np.float64),
        )
        if new.any():
            graded = labeler.grade(pairs[new])
            said.loc[new, ["expected_grade", "score"]] = graded[["expected_grade", "score"]]
        self.asked += int(new.sum())
        self.said.append(said[["expected_grade", "score"]].assign(digest=digests))
        return labeler.document_grades(said)[[*KEY, "grade"]]

    def _by_judge(self, pairs: pd.DataFrame) -> pd.DataFrame:
        graded = self.grader.grade(pairs)
        self.asked += len(pairs)
        table = pairs[KEY].assign(grade=graded["grade"].astype("Float64"))
        failed = graded["failure"] if "failure" in graded else pd.Series("", index=pairs.index)
        reasons = pairs[KEY].assign(reason=failed)[(failed != "").to_numpy()]
        self.failures.update(reasons.drop_duplicates(KEY)["reason"].tolist())
        documents = best_of_passages(table, ["grade"])[[*KEY, "grade"]].dropna()
        return documents.astype({"grade": "int64"}).reset_index(drop=True)

    def result(self, failures: Counter[str]) -> MachineGrades:
        nothing = pd.DataFrame(columns=[*KEY, "grade"])
        return MachineGrades(
            grades=pd.concat(self.parts, ignore_index=True) if self.parts else nothing,
            failures={reason: n for reason, n in sorted((failures + self.failures).items()) if n},
            known=pd.concat(self.said, ignore_index=True)[KNOWN_COLUMNS].drop_duplicates("digest")
            if self.said
            else pd.DataFrame(columns=KNOWN_COLUMNS),
            asked=self.asked,
        )


def _units(wanted: pd.DataFrame, passages: pd.DataFrame) -> pd.DataFrame:
    """The passages of the documents that are wanted; of a wanted passage, itself."""
    ids = set(wanted["document_id"])
    by_document = passages[passages["document_id"].isin(ids)]
    left = ids - set(by_document["document_id"])
    by_passage = passages[passages["passage_id"].isin(left)]
    alone = by_passage.assign(document_id=by_passage["passage_id"])
    return pd.concat([by_document, alone], ignore_index=True)


def _chunks(wanted: pd.DataFrame, units: pd.DataFrame, texts: Texts) -> Iterator[pd.DataFrame]:
    """Pairs with their texts, whole documents together, about `_CHUNK` at a time."""
    each = wanted["document_id"].map(units.groupby("document_id").size()).to_numpy()
    chunk = np.cumsum(each) // _CHUNK
    for number in np.unique(chunk):
        pairs = wanted.loc[chunk == number, KEY].merge(units, on="document_id", how="left")
        pairs["query"] = pairs["query_id"].map(texts.queries)
        pairs["is_seed"] = pairs["in_seed_document"] = False
        # Neighbours share their passage, which is then read once.
        yield pairs[list(PAIR_COLUMNS)].sort_values("passage_id", kind="stable", ignore_index=True)


def _digests(labeler: str, pairs: pd.DataFrame) -> list[str]:
    columns = [pairs[name] for name in ("query", *_TEXT_COLUMNS)]
    return [hex_digest("\x1f".join((labeler, *row)), 12) for row in zip(*columns, strict=True)]
