"""A judge that answers from grades which were given before, by a model or by people."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Self

import pandas as pd

from relevance_distillery.collections.id_matching import with_known_ids
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.collections.recorded_grades import (
    GradeMap,
    RecordedGrades,
    grades_on,
    read_recorded_grades,
)
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.base import KINDS, Verdict
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State

logger = logging.getLogger(__name__)

Answer = tuple[int | None, tuple[float, ...] | None]


def recorded_grades_of(
    filepath: str | None = None, judge: str | None = None, grade_map: GradeMap | None = None
) -> RecordedGrades:
    """The grades that the parameters `grades` (or `train_set`), `judge` and `grade_map` name.

    `filepath` are files of grades or BEIR folders, separated by `;`. `judge` says whose grades a
    folder's are: NAME or `recorded:NAME` for `judges/NAME.tsv`, `human` for people's. Kinds of
    judge that are not recorded name none; a judge that is made of others names them itself, and
    each reads its own file.
    """
    locations = None if filepath is None else str(filepath)
    kind, _, model = str(judge or "").partition(":")
    if kind in KINDS and KINDS[kind].composite:
        return replace(read_recorded_grades(None, None, grade_map), locations=locations)
    name = (model if kind in KINDS else str(judge or "")) or None
    return read_recorded_grades(locations, name, grade_map)


class RecordedJudge(RegisteredJudge):
    """Looks grades up by query and document; a pair without one is a failure, `missing`.

    Several answers to a pair and means of them have probabilities, single grades have none. What
    they cost was not recorded: tokens, cost and time are 0.
    """

    model = "recorded"
    prompt_hash = ""
    asked = ""
    """The name by which it was asked for, empty for its own."""

    def __init__(self, recorded: RecordedGrades, scale: GradeScale) -> None:
        """UserError where there is no grade, or one that the scale does not have."""
        if recorded.grades.empty:
            raise UserError(
                'judge=recorded has no grades: pass --params="judge=recorded,grades=FILE", or '
                "--env=recorded with train_set=DIR and judge=NAME."
            )
        table = grades_on(recorded, scale)
        self.name = recorded.name
        self.scale = scale
        self._answers = recorded.grades
        keys = zip(table["query_id"], table["document_id"], strict=True)
        found = zip(table["grade"].tolist(), table["probabilities"], strict=True)
        self._grades: dict[tuple[str, str], Answer] = dict(zip(keys, found, strict=True))

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """Hashes of the ids and of the recorded answer, so that a corrected file is asked again."""
        own = f"recorded\n{self.name}\n{self.scale.digest}\n"
        return [
            hex_digest(own + json.dumps([*key, grade, *([shares] if shares else [])]), 16)
            for key, (grade, shares) in self._lookups(pairs)
        ]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts shard by shard, in order."""
        reason = f"{self.name} did not grade this query and document"
        for shard in shards:
            lookups = zip(self.request_hashes(shard), self._lookups(shard), strict=True)
            yield [
                Verdict(request, status="missing", reason=reason)
                if grade is None
                else Verdict(request, grade=grade, probabilities=shares)
                for request, (_, (grade, shares)) in lookups
            ]

    def _lookups(self, pairs: pd.DataFrame) -> list[tuple[tuple[str, str], Answer]]:
        """Query and what was graded, and grade and probabilities, None without any."""
        found = []
        ids = (pairs[name].astype(str) for name in ("query_id", "document_id", "passage_id"))
        for query, document, passage in zip(*ids, strict=True):
            # A passage may have been graded itself, as `DOCUMENT#N`.
            own = passage.startswith(f"{document}#") and (query, passage) in self._grades
            key = (query, passage if own else document)
            found.append((key, self._grades.get(key, (None, None))))
        return found

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Take the grades of the recorded judge `model`, or of the configured one."""
        found = sources.recorded or read_recorded_grades(None, None)
        if model and model != found.name:
            found = read_recorded_grades(found.locations, model, found.grade_map)
        if sources.queries is not None and sources.passages is not None:
            known = {"query_id": sources.queries, "document_id": sources.passages}
            found = replace(found, grades=with_known_ids(found.grades, **known)[0])
        judge = cls(found, sources.scale)
        judge.asked = model
        soft = sum(shares is not None for _, shares in judge._grades.values())
        if soft:
            each = found.grades.groupby(KEY).size()
            logger.info(
                "judge %s: %d of %d pairs teach shares of grades: means, or answers that differ "
                "(%d to %d a pair)",
                judge.name, soft, len(each), each.min(), each.max(),
            )  # fmt: skip
        return judge

    def to_state(self) -> State:
        """Name and grades as plain JSON values: no path, so the state can travel."""
        grades: dict[str, dict[str, list[float]]] = {}
        for query_id, document_id, grade in self._answers[[*KEY, "grade"]].to_numpy(object):
            grades.setdefault(query_id, {}).setdefault(document_id, []).append(grade)
        return {
            "judge": "recorded",
            "name": self.name,
            "asked": self.asked,
            "model": self.model,
            "scale_hash": self.scale.digest,
            "grades": grades,
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`."""
        rows = [
            (query, document, answer)
            for query, documents in state["grades"].items()
            for document, answers in documents.items()
            # Earlier states have one grade a pair.
            for answer in (answers if isinstance(answers, list) else [answers])
        ]
        table = pd.DataFrame(rows, columns=[*KEY, "grade"])
        judge = cls(RecordedGrades(state["name"], table), sources.scale)
        judge.asked = state.get("asked", "")
        return judge
