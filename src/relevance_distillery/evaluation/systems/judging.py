"""Who graded what: the pool beside people's grades, and each machine judge beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judge_files import (
    JudgeFiles,
    named_files,
    read_judge,
)
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.grading import MachineGrades
from relevance_distillery.evaluation.systems.pool import KEY
from relevance_distillery.scoring.grading_job import Grader


@dataclass(frozen=True)
class MachineJudge:
    """A judge and its grades.

    Attributes:
        name: As in reports.
        grades: Columns query_id, document_id, grade.
        learned: Queries that it learned from people's grades.
        facts: kind, failures by reason, notes, and what else is known.
    """

    name: str
    grades: pd.DataFrame
    learned: tuple[str, ...]
    facts: dict[str, Any]


def with_people(pool: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """The pool and what people graded of its queries.

    Args:
        pool: From `pool.make_pool`.
        benchmark: Grades that people did not give are not used.

    Returns:
        Columns query_id, document_id, pooled, best_rank and systems (missing outside the pool),
        human (missing where there is none).
    """
    graded = benchmark.judgments[benchmark.judgments["annotator"] == ""]
    if not benchmark.human:
        graded = graded.iloc[:0]
    graded = graded[graded["query_id"].isin(set(pool["query_id"]))]
    graded = graded[[*KEY, "grade"]].rename(columns={"grade": "human"})
    table = pool.assign(pooled=True).merge(graded, on=KEY, how="outer", sort=False)
    order = table["query_id"].map(
        {name: place for place, name in enumerate(pool["query_id"].unique())}
    )
    table = table.assign(order=order).sort_values(
        ["order", "best_rank"], kind="stable", na_position="last", ignore_index=True
    )
    table["pooled"] = table["pooled"].eq(True)
    for column in ("best_rank", "systems", "human"):
        table[column] = table[column].astype("Int64")
    return table[[*KEY, "pooled", "best_rank", "systems", "human"]]


def recorded_judges(
    files: JudgeFiles, benchmark: Benchmark, wanted: pd.DataFrame
) -> list[MachineJudge]:
    """Judges from files, or recorded ones of the benchmark by their names.

    Args:
        files: Of judges.
        benchmark: Whose recorded judges and scale.
        wanted: Columns query_id, document_id: the pairs that need a grade.

    Raises:
        UserError: A file cannot be used, or holds scores instead of grades.
    """
    lowest = int(benchmark.scale.values[0])
    pairs = wanted[KEY].assign(annotator="", grade=lowest)
    target = replace(benchmark, name="of these runs", judgments=pairs)
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
    """A labeler or judge that graded just now, with what it learned from people.

    Args:
        name: As in reports.
        grader: Who graded.
        graded: Its grades.
        queries: Text by query id.
    """
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
    if profile is None:
        if facts["kind"] == "labeler":
            facts["notes"].append(
                "It has no training profile, so it is not known which queries it learned from; "
                "distill again for one."
            )
        return MachineJudge(name, graded.grades, (), facts)
    trained = profile.trained_on(list(queries.values()))
    seen = tuple(np.array(list(queries), dtype=object)[trained].tolist())
    facts["taught_by_these_queries"] = len(seen)
    if seen and not profile.people:
        facts["notes"].append(
            f"{len(seen)} of {len(queries)} queries taught it by its teacher's grades; where these "
            "are not spread evenly over the queries that people graded, the correction is biased."
        )
    return MachineJudge(name, graded.grades, seen if profile.people else (), facts)


def lay_together(pool: pd.DataFrame, judges: list[MachineJudge]) -> pd.DataFrame:
    """All grades, and for each pair the one that counts.

    Args:
        pool: From `with_people`.
        judges: In order of importance.

    Returns:
        The columns of `pool`, NAME_grade for each judge, grade (people's, else the first
        judge's) and graded_by (`people`, the judge, empty where nobody graded).
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
