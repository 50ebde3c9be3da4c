"""A judge that answers from grades which were given before, by a model or by people."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Self

import pandas as pd

from relevance_distillery.collections.id_matching import with_known_ids
from relevance_distillery.collections.recorded_grades import (
    RecordedGrades,
    check_scale,
    read_recorded_grades,
)
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.base import KINDS, Verdict
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State


def recorded_grades_of(filepath: str | None = None, judge: str | None = None) -> RecordedGrades:
    """The grades that the parameters `grades` (or `train_set`) and `judge` name.

    `filepath` are files of grades or BEIR folders, separated by `;`. `judge` says whose grades a
    folder's are: NAME or `recorded:NAME` for `judges/NAME.tsv`, `human` for people's. Kinds of
    judge that are not recorded name none; a judge that is made of others names them itself, and
    each reads its own file.
    """
    locations = None if filepath is None else str(filepath)
    kind, _, model = str(judge or "").partition(":")
    if kind in KINDS and KINDS[kind].composite:
        return replace(read_recorded_grades(None, None), locations=locations)
    return read_recorded_grades(locations, (model if kind in KINDS else str(judge or "")) or None)


class RecordedJudge(RegisteredJudge):
    """Looks grades up by query and document; a pair without one is a failure, `missing`.

    What the grades cost was not recorded: tokens, cost and time are 0. Nor are there
    probabilities.
    """

    model = "recorded"
    prompt_hash = ""

    def __init__(self, recorded: RecordedGrades, scale: GradeScale) -> None:
        """UserError where there is no grade, or one that the scale does not have."""
        if recorded.grades.empty:
            raise UserError(
                'judge=recorded has no grades: pass --params="judge=recorded,grades=FILE", or '
                "--env=recorded with train_set=DIR and judge=NAME."
            )
        check_scale(recorded, scale)
        self.name = recorded.name
        self.scale = scale
        table = recorded.grades
        keys = zip(table["query_id"], table["document_id"], strict=True)
        self._grades = dict(zip(keys, table["grade"].tolist(), strict=True))

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """Hashes of the ids and of the recorded answer, so that a corrected file is asked again."""
        own = f"recorded\n{self.name}\n{self.scale.digest}\n"
        return [
            hex_digest(own + json.dumps([query_id, document_id, grade]), 16)
            for query_id, document_id, grade in self._lookups(pairs)
        ]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts shard by shard, in order."""
        reason = f"{self.name} did not grade this query and document"
        for shard in shards:
            lookups = zip(self.request_hashes(shard), self._lookups(shard), strict=True)
            yield [
                Verdict(request, status="missing", reason=reason)
                if grade is None
                else Verdict(request, grade=grade)
                for request, (_, _, grade) in lookups
            ]

    def _lookups(self, pairs: pd.DataFrame) -> list[tuple[str, str, int | None]]:
        """Query, what was graded, and the grade, None without one."""
        found = []
        ids = (pairs[name].astype(str) for name in ("query_id", "document_id", "passage_id"))
        for query, document, passage in zip(*ids, strict=True):
            # A passage may have been graded itself, as `DOCUMENT#N`.
            own = passage.startswith(f"{document}#") and (query, passage) in self._grades
            name = passage if own else document
            found.append((query, name, self._grades.get((query, name))))
        return found

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Take the grades of the recorded judge `model`, or of the configured one."""
        found = sources.recorded or read_recorded_grades(None, None)
        if model and model != found.name:
            found = read_recorded_grades(found.locations, model)
        if sources.queries is not None and sources.passages is not None:
            known = {"query_id": sources.queries, "document_id": sources.passages}
            found = replace(found, grades=with_known_ids(found.grades, **known)[0])
        return cls(found, sources.scale)

    def to_state(self) -> State:
        """Name and grades as plain JSON values: no path, so the state can travel."""
        grades: dict[str, dict[str, int]] = {}
        for (query_id, document_id), grade in self._grades.items():
            grades.setdefault(query_id, {})[document_id] = grade
        return {
            "judge": "recorded",
            "name": self.name,
            "model": self.model,
            "scale_hash": self.scale.digest,
            "grades": grades,
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`."""
        grades = state["grades"].items()
        rows = [(query, *graded) for query, documents in grades for graded in documents.items()]
        table = pd.DataFrame(rows, columns=["query_id", "document_id", "grade"])
        return cls(RecordedGrades(state["name"], table), sources.scale)
