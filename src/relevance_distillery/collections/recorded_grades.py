"""Grades that a judge, or people, left in files, as a teacher gives them again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.judge_answers import AnswerCollector, grades_of_answers
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.documents.source import set_prefixes
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.files import named_paths, parts_of
from relevance_distillery.io.tables import stem_of, tables_in
from relevance_distillery.io.trec import grade_rows

HUMAN = "human"

GradeMap = Mapping[str, Mapping[Any, Any]]
"""Of each set whose judge has another scale: our grade for each grade given."""


@dataclass(frozen=True)
class JudgeFile:
    """A file of a recorded judge.

    Attributes:
        path: The file.
        set_name: The folder's name, or the file's without its suffix.
        rule: Our grade for each grade given; empty where they are on our scale.
        given: Every different answer, by the rule.
    """

    path: Path
    set_name: str
    rule: Mapping[float, float]
    given: frozenset[float] = frozenset()

    def answers(self, scale: GradeScale | None = None) -> pd.DataFrame:
        """Columns query_id, document_id, grade (a number), a row an answer.

        UserError where a row cannot be read, or is not on the scale where that is given.
        """
        named = f"grade_map.{self.set_name}"
        collector = AnswerCollector(self.path, scale, rule=self.rule, named=named)
        return collector.collect(grade_rows(self.path)).grades.drop(columns="annotator")


@dataclass(frozen=True)
class RecordedGrades:
    """Answers of a recorded judge.

    Attributes:
        name: The judge's name: the file's without its suffix, or as asked for in a folder;
            several are joined by `+`.
        grades: Columns query_id, document_id, grade: a row an answer, which is a grade or the
            mean of several. Empty without a file.
        locations: Where they were read from, so that another judge of the same folders can be
            read too; None where no file was given.
        files: The files at `locations` that hold these answers, for messages.
        grade_map: As given.
    """

    name: str
    grades: pd.DataFrame
    locations: str | None = None
    files: tuple[JudgeFile, ...] = ()
    grade_map: GradeMap = field(default_factory=dict)

    @property
    def by_people(self) -> bool:
        """All grades are people's."""
        return set(self.name.split("+")) == {HUMAN}


def read_recorded_grades(
    locations: str | None, judge: str | None, grade_map: GradeMap | None = None
) -> RecordedGrades:
    """Grades from files or BEIR folders.

    Args:
        locations: Paths separated by `;`, None for no recorded judge. In a folder the judge's
            file is `judges/NAME.tsv` (or another kind of table), and `qrels/human.tsv` for the
            judge `human`. Ids of several folders are prefixed as their documents' are, those of
            files stand as they are.
        judge: NAME, or one a folder separated by `;`; needed for folders only.
        grade_map: By set (the name of a folder, or a file's without its suffix) what grades of
            another scale mean on ours.

    Returns:
        The answers in the files' order; the scale is checked by `grades_on`. With a column
        passage_id passages were graded, and their ids are in document_id.

    Raises:
        UserError: A file is missing, unreadable, lacks columns or ids, or holds a grade that is
            no number; there are neither one judge nor as many as folders; or `grade_map` names
            no set, or does not map numbers.
    """
    paths = named_paths(locations)
    rules = dict(grade_map or {})
    if not paths:
        none = pd.DataFrame({"query_id": [], "document_id": [], "grade": []})
        types = {"query_id": "str", "document_id": "str", "grade": "int64"}
        return RecordedGrades("", none.astype(types), locations or None, grade_map=rules)
    judges: list[str | None] = [*parts_of(judge)] or [None]
    if len(judges) not in (1, len(paths)):
        raise UserError(
            f"judge={judge} names {len(judges)} judges for {len(paths)} sets: name one for all, "
            "or one for each in the order of the sets"
        )
    judges = judges * len(paths) if len(judges) == 1 else judges
    set_names = [path.name if path.is_dir() else stem_of(path) for path in paths]
    unknown = sorted(set(map(str, rules)) - set(set_names))
    if unknown:
        raise UserError(
            f"grade_map.{unknown[0]}: there is no such set; write grade_map.SET.GIVEN=OURS with "
            f"one of {', '.join(set_names)}"
        )
    folders = [path for path in paths if path.is_dir()]
    prefixes = dict(zip(folders, set_prefixes(folders), strict=True))
    files, names, tables = [], [], []
    for path, own, set_name in zip(paths, judges, set_names, strict=True):
        file = JudgeFile(_grade_file(path, own), set_name, _rule(rules.get(set_name), set_name))
        table = file.answers()
        table[KEY] = prefixes.get(path, "") + table[KEY]
        files.append(replace(file, given=frozenset(table["grade"].unique())))
        tables.append(table)
        names.append(own if path.is_dir() and own else stem_of(file.path))
    name = "+".join(dict.fromkeys(names))
    return RecordedGrades(
        name, pd.concat(tables, ignore_index=True), locations, tuple(files), rules
    )


def _rule(given: Any, set_name: str) -> dict[float, float]:
    """A set's part of a grade map as numbers."""
    if given is None:
        return {}
    try:
        rule = {float(theirs): float(ours) for theirs, ours in dict(given).items()}
    except (TypeError, ValueError):
        rule = {}
    if not rule or not all(map(math.isfinite, (*rule, *rule.values()))):
        raise UserError(
            f"grade_map.{set_name}: does not map numbers; write grade_map.{set_name}.GIVEN=OURS "
            "for every grade that the judge gives"
        )
    return rule


def grades_on(recorded: RecordedGrades, scale: GradeScale) -> pd.DataFrame:
    """One grade a pair, and shares of grades, as of `grades_of_answers`.

    Raises:
        UserError: A grade is not on the scale: names rows of the file, or a pair of no file. Or
            one of several sets has the two lowest grades alone, and no rule says what they mean.
    """
    values = scale.values.tolist()
    for file in recorded.files:
        for given, ours in file.rule.items():
            if ours not in values:
                raise UserError(
                    f"grade_map.{file.set_name}.{given:g}={ours:g}: {ours:g} is not on the scale "
                    f"{values}; name one of its grades"
                )
        if len(recorded.files) > 1 and not file.rule and file.given == {*values[:2]} < {*values}:
            raise UserError(
                f"{file.path}: has the grades {values[0]} and {values[1]} alone, and the scale is "
                f"{values}; say what they mean beside the other sets, "
                f"grade_map.{file.set_name}.{values[0]}=OURS,"
                f"grade_map.{file.set_name}.{values[1]}=OURS"
            )
    given = recorded.grades["grade"]
    whole = given == given.round()
    off_scale = (whole & ~given.isin(values)) | (given < values[0]) | (given > values[-1])
    if off_scale.any():
        for file in recorded.files:
            file.answers(scale)
        row = recorded.grades[off_scale].iloc[0]
        raise UserError(
            f"The recorded judge {recorded.name} gives query {row['query_id']!r} and document "
            f"{row['document_id']!r} the grade {row['grade']:g}, which is not on the scale "
            f"{values}: correct the file or set `scale`."
        )
    return grades_of_answers(recorded.grades, scale)


def _grade_file(path: Path, judge: str | None) -> Path:
    """The file itself, or the judge's file in a BEIR folder."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of grades; check the path.")
    if not path.is_dir():
        return path
    if not judge:
        raise UserError(f'{path} is a folder: name its judge with --params="judge=NAME".')
    known = tables_in(path / "judges")
    human = tables_in(path / "qrels").get(HUMAN)
    if human is not None:
        known[HUMAN] = human
    if judge in known:
        return known[judge]
    wanted = f"qrels/{HUMAN}.tsv" if judge == HUMAN else f"judges/{judge}.tsv"
    raise UserError(
        f"{path} has no judge {judge!r} ({wanted} is missing): "
        f"use one of {', '.join(known) or 'none that it has'}."
    )
