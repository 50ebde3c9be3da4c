"""Grades of the pool: by a labeler or a judge, now or from files, merged with people's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judge_files import JudgeFiles, named_files, read_judge
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.io.progress import Progress
from relevance_distillery.learning.document_grades import best_of_passages
from relevance_distillery.scoring.graders import Grader

if TYPE_CHECKING:
    from relevance_distillery.labeler.inference import Labeler

KNOWN_COLUMNS = ["digest", "expected_grade", "score"]

_CHUNK = 2048
_READ_COLUMNS = ["query", "title", "heading", "text", "path", "author", "modified"]


@dataclass(frozen=True)
class MachineGrades:
    """Grades of pooled documents that were made now.

    Attributes:
        grades: Columns query_id, document_id, grade; a row a graded document.
        failures: How many documents got no grade, by reason.
        known: Columns `KNOWN_COLUMNS`: what a labeler said about each passage, by a digest of
            the labeler and all that it read, so that the next run need not ask again. Without
            rows for a judge, which has its ledger.
        asked: How many passages were graded now.
    """

    grades: pd.DataFrame
    failures: dict[str, int]
    known: pd.DataFrame
    asked: int


@dataclass(frozen=True)
class MachineJudge:
    """A judge and its grades.

    Attributes:
        grades: Columns query_id, document_id, grade.
        learned: Queries that it learned from people's grades.
        facts: kind, failures by reason, notes, and what else is known.
    """

    name: str
    grades: pd.DataFrame
    learned: tuple[str, ...]
    facts: dict[str, Any]


def grade_documents(
    grader: Grader,
    wanted: pd.DataFrame,
    queries: dict[str, str],
    passages: pd.DataFrame,
    known: pd.DataFrame | None = None,
) -> MachineGrades:
    """Grade documents by their passages.

    A labeler's document grade is corrected for the number of passages; with a judge the best
    passage counts, and a document of which a passage got no grade has none, since its best
    passage could be that one. A wanted document_id is a document's or, where there is no
    such document, a passage's. `known` is `MachineGrades.known` of an earlier run.

    Raises:
        UserError: None of the documents is in the corpus.
    """
    from relevance_distillery.labeler.inference import Labeler

    units = _units(wanted, passages)
    unreadable = ~wanted["query_id"].isin(queries)
    absent = ~wanted["document_id"].isin(units["document_id"]) & ~unreadable
    if len(wanted) and (unreadable | absent).all():
        raise UserError(
            f"none of the {len(wanted)} pooled documents has a text here; give the corpus by "
            '--params="documents=PATH" or benchmark=DIR, and check that ids match'
        )
    failures = Counter(
        {"its query has no text": int(unreadable.sum()), "not in the corpus": int(absent.sum())}
    )
    if known is None or not set(KNOWN_COLUMNS) <= set(known.columns):
        known = pd.DataFrame(columns=KNOWN_COLUMNS)
    grades: list[pd.DataFrame] = []
    answers: list[pd.DataFrame] = []
    asked = 0
    readable = wanted[~unreadable & ~absent]
    with Progress(len(readable), f"judge {grader.name}", "document") as progress:
        for pairs in _chunks(readable, units, queries):
            documents = len(pairs[KEY].drop_duplicates())
            blank = (pairs["title"].str.strip() == "") & (pairs["text"].str.strip() == "")
            empty = blank.groupby([pairs[name] for name in KEY]).transform("all")
            failures["neither title nor text"] += len(pairs[empty][KEY].drop_duplicates())
            # An empty passage of a document that has others is nothing to read.
            pairs = pairs[~blank].reset_index(drop=True)
            if isinstance(grader, Labeler) and len(pairs):
                answered, new = _ask_labeler(grader, pairs, known)
                grades.append(grader.document_grades(answered)[[*KEY, "grade"]])
                answers.append(answered[KNOWN_COLUMNS])
                asked += new
            elif len(pairs):
                graded, reasons = _grade_by_judge(grader, pairs)
                grades.append(graded)
                failures.update(reasons)
                asked += len(pairs)
            progress.advance(documents)
    return MachineGrades(
        grades=_joined(grades, [*KEY, "grade"]),
        failures={reason: count for reason, count in sorted(failures.items()) if count},
        known=_joined(answers, KNOWN_COLUMNS).drop_duplicates("digest"),
        asked=asked,
    )


def _joined(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _ask_labeler(
    labeler: Labeler, pairs: pd.DataFrame, known: pd.DataFrame
) -> tuple[pd.DataFrame, int]:
    """Columns of KEY and `KNOWN_COLUMNS`, and how many passages were not known yet."""
    columns = [pairs[name] for name in _READ_COLUMNS]
    digests = [
        hex_digest("\x1f".join((labeler.digest, *row)), 12) for row in zip(*columns, strict=True)
    ]
    found = known.drop_duplicates("digest").set_index("digest").reindex(digests)
    answered = pairs[KEY].assign(
        digest=digests,
        expected_grade=found["expected_grade"].to_numpy(dtype=np.float64),
        score=found["score"].to_numpy(dtype=np.float64),
    )
    new = answered["expected_grade"].isna()
    if new.any():
        figures = ["expected_grade", "score"]
        answered.loc[new, figures] = labeler.grade(pairs[new])[figures]
    return answered, int(new.sum())


def _grade_by_judge(grader: Grader, pairs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Grades of documents, and a reason for each document without one."""
    graded = grader.grade(pairs)
    table = pairs[KEY].assign(grade=graded["grade"].astype("Float64"))
    failed = graded["failure"] if "failure" in graded else pd.Series("", index=pairs.index)
    reasons = pairs[KEY].assign(reason=failed)[(failed != "").to_numpy()]
    documents = best_of_passages(table, ["grade"])[[*KEY, "grade"]].dropna()
    grades = documents.astype({"grade": "int64"}).reset_index(drop=True)
    return grades, reasons.drop_duplicates(KEY)["reason"].tolist()


def _units(wanted: pd.DataFrame, passages: pd.DataFrame) -> pd.DataFrame:
    """The passages of the documents that are wanted; of a wanted passage, itself."""
    ids = set(wanted["document_id"])
    by_document = passages[passages["document_id"].isin(ids)]
    left = ids - set(by_document["document_id"])
    by_passage = passages[passages["passage_id"].isin(left)]
    alone = by_passage.assign(document_id=by_passage["passage_id"])
    return pd.concat([by_document, alone], ignore_index=True)


def _chunks(
    wanted: pd.DataFrame, units: pd.DataFrame, queries: dict[str, str]
) -> Iterator[pd.DataFrame]:
    """Pairs with their texts, whole documents together, about `_CHUNK` at a time."""
    each = wanted["document_id"].map(units.groupby("document_id").size()).to_numpy()
    chunk = np.cumsum(each) // _CHUNK
    for number in np.unique(chunk):
        pairs = wanted.loc[chunk == number, KEY].merge(units, on="document_id", how="left")
        pairs["query"] = pairs["query_id"].map(queries)
        pairs["is_seed"] = pairs["in_seed_document"] = False
        # Neighbours share their passage, which is then read once.
        yield pairs[list(PAIR_COLUMNS)].sort_values("passage_id", kind="stable", ignore_index=True)


def recorded_judges(
    files: JudgeFiles, benchmark: Benchmark, wanted: pd.DataFrame, names: pd.DataFrame
) -> list[MachineJudge]:
    """Judges from files, or recorded ones of the benchmark by their names, for wanted pairs.

    `names` has what names a query, see `Benchmark.query_names`.

    Raises:
        UserError: A file cannot be used, or holds scores instead of grades.
    """
    lowest = int(benchmark.scale.values[0])
    pairs = wanted[KEY].assign(annotator="", grade=lowest)
    asked = names[names["query_id"].isin(pairs["query_id"])]
    target = replace(benchmark, name="of these runs", judgments=pairs, queries=asked)
    found = []
    for name, place in named_files(files, benchmark).items():
        path = place if isinstance(place, Path) else benchmark.judge_files.get(place)
        if path is None:
            raise UserError(f"grades={name}: benchmark {benchmark.name} has no such judge")
        read = read_judge(name, path, target, files.columns)
        if not read.graded:
            raise UserError(f"{path}: cannot grade systems: {read.reason}")
        grades = read.table[KEY].assign(grade=read.table["value"].astype("int64"))
        facts = {"kind": "recorded", "failures": {}, "notes": list(read.facts["notes"])}
        found.append(MachineJudge(name, grades, (), facts))
    return found


def machine_judge(
    name: str, grader: Grader, graded: MachineGrades, queries: dict[str, str]
) -> MachineJudge:
    """A labeler or judge that graded just now, with what it learned from people."""
    profile = getattr(grader, "profile", None)
    facts: dict[str, Any] = {
        "kind": "labeler" if hasattr(grader, "document_grades") else "judge",
        "grader": grader.name,
        "digest": grader.digest,
        "passages_graded": graded.asked,
        "failures": graded.failures,
        "notes": [],
        "taught_by_these_queries": None,
    }
    learned: tuple[str, ...] = ()
    if profile is not None:
        trained = profile.trained_on(list(queries.values()))
        seen = tuple(np.array(list(queries), dtype=object)[trained].tolist())
        facts["taught_by_these_queries"] = len(seen)
        if profile.people:
            learned = seen
        elif seen:
            facts["notes"].append(
                f"{len(seen)} of {len(queries)} queries taught it by its teacher's grades; where "
                "these are not spread evenly over the queries that people graded, the correction "
                "is biased."
            )
    elif facts["kind"] == "labeler":
        facts["notes"].append(
            "It has no training profile, so it is not known which queries it learned from; "
            "distill again for one."
        )
    return MachineJudge(name, graded.grades, learned, facts)


def merge_grades(pool: pd.DataFrame, judges: list[MachineJudge]) -> pd.DataFrame:
    """All grades, and for each pair the one that counts; judges come in order of importance.

    Returns:
        The columns of `pool` (from `with_people`), NAME_grade for each judge, grade (people's,
        else the first judge's) and graded_by (`people`, the judge, empty where nobody graded).
    """
    table = pool
    for judge in judges:
        own = judge.grades.rename(columns={"grade": f"{judge.name}_grade"})
        table = table.merge(own, on=KEY, how="left", validate="one_to_one")
        table[f"{judge.name}_grade"] = table[f"{judge.name}_grade"].astype("Int64")
    grade, by = table["human"], np.where(table["human"].notna(), "people", "")
    if judges:
        first = table[f"{judges[0].name}_grade"]
        by = np.where(grade.isna() & first.notna(), judges[0].name, by)
        grade = grade.fillna(first)
    return table.assign(grade=grade, graded_by=by)
