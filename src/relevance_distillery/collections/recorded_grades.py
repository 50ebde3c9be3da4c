"""Grades that a judge, or people, left in files, as a teacher gives them again."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relevance_distillery.collections.judgments import KEY, GradeCollector, GradeFile, lower_median
from relevance_distillery.documents.source import set_prefixes
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.files import named_paths
from relevance_distillery.io.tables import stem_of, tables_in
from relevance_distillery.io.trec import grade_rows

HUMAN = "human"


@dataclass(frozen=True)
class RecordedGrades:
    """Grades of a recorded judge.

    Attributes:
        name: The judge's name: the file's without its suffix, or as asked for in a folder.
        grades: Columns query_id, document_id, grade; a pair occurs once. Empty without a file.
        locations: Where they were read from, so that another judge of the same folders can be
            read too; None where no file was given.
        files: The files at `locations` that hold this judge's grades, for messages.
    """

    name: str
    grades: pd.DataFrame
    locations: str | None = None
    files: tuple[Path, ...] = ()


def read_recorded_grades(locations: str | None, judge: str | None) -> RecordedGrades:
    """Grades from files or BEIR folders.

    Args:
        locations: Paths separated by `;`, None for no recorded judge. In a folder the judge's
            file is `judges/NAME.tsv` (or another kind of table), and `qrels/human.tsv` for the
            judge `human`. Ids of several folders are prefixed as their documents' are.
        judge: NAME; needed for folders only.

    Returns:
        The grades in the files' order; the scale is checked when a judge is made of them. In a
        file with a column annotator every row is a vote and the lower median counts. With a
        column passage_id passages were graded, and their ids are in document_id.

    Raises:
        UserError: A file is missing, unreadable, lacks columns or ids, holds a grade that is
            no whole number, or grades a pair twice in two ways.
    """
    paths = named_paths(locations)
    if not paths:
        none = pd.DataFrame({"query_id": [], "document_id": [], "grade": []})
        types = {"query_id": "str", "document_id": "str", "grade": "int64"}
        return RecordedGrades("", none.astype(types), locations or None)
    files = tuple(_grade_file(path, judge) for path in paths)
    tables, names = [], []
    for path, file, prefix in zip(paths, files, set_prefixes(paths), strict=True):
        table = lower_median(_votes(file, None).grades)
        table[KEY] = prefix + table[KEY]
        tables.append(table)
        names.append(judge if path.is_dir() and judge else stem_of(file))
    grades = pd.concat(tables, ignore_index=True)
    return RecordedGrades("+".join(dict.fromkeys(names)), grades, locations, files)


def _votes(path: Path, scale: GradeScale | None) -> GradeFile:
    # A row is an annotator of its own: one who graded a pair twice has two votes.
    rows = (
        (at, row | {"annotator": f"{at} {row['annotator']}"} if "annotator" in row else row)
        for at, row in grade_rows(path)
    )
    return GradeCollector(path, scale).collect(rows)


def check_scale(recorded: RecordedGrades, scale: GradeScale) -> None:
    """Refuse grades off the scale: the UserError names rows of the file, or a pair of no file."""
    off_scale = ~recorded.grades["grade"].isin(scale.values.tolist())
    if off_scale.any():
        for file in recorded.files:
            _votes(file, scale)
        row = recorded.grades[off_scale].iloc[0]
        raise UserError(
            f"The recorded judge {recorded.name} gives query {row['query_id']!r} and document "
            f"{row['document_id']!r} the grade {row['grade']}, which is not on the scale "
            f"{scale.values.tolist()}: correct the file or set `scale`."
        )


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
