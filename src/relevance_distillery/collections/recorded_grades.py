"""Reading grades that a judge, or people, left in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relevance_distillery.documents.source import set_prefixes
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale

HUMAN = "human"
GRADE_COLUMNS = ["query_id", "document_id", "grade"]
_NAMES = {
    "query_id": ("query-id", "query_id", "qid"),
    "document_id": ("corpus-id", "document_id", "doc_id", "passage_id"),
    "grade": ("score", "grade", "label"),
}


@dataclass(frozen=True)
class RecordedGrades:
    """Grades of a recorded judge.

    Attributes:
        name: The judge's name: the file's without its suffix, or as asked for in a folder.
        grades: Columns query_id, document_id, grade; a pair occurs once. Empty where no
            file was given.
        locations: Where they were read from, so that another judge of the same folders can be
            read too; None where no file was given.
    """

    name: str
    grades: pd.DataFrame
    locations: str | None = None


def read_recorded_grades(locations: str | None, judge: str | None) -> RecordedGrades:
    """Grades from files or BEIR folders.

    Args:
        locations: Paths separated by `;`. In a folder the judge's file is
            `judges/NAME.tsv`, and `qrels/human.tsv` for the judge `human`. Ids of several
            folders get the folder's name and a slash in front, as their documents do. None
            for no recorded judge.
        judge: NAME; needed for folders only.

    Returns:
        The grades; the scale is checked when a judge is made of them.

    Raises:
        UserError: A file is missing, unreadable, lacks columns or ids, holds a grade that is
            no whole number, or grades a pair twice in two ways.
    """
    if not locations:
        return RecordedGrades("", _no_grades())
    paths = [Path(part.strip()).expanduser() for part in locations.split(";") if part.strip()]
    tables, names = [], []
    for path, prefix in zip(paths, set_prefixes(paths) if paths else [], strict=True):
        file = _grade_file(path, judge)
        table = read_grade_file(file)
        table["query_id"] = prefix + table["query_id"]
        table["document_id"] = prefix + table["document_id"]
        tables.append(table)
        names.append(judge if path.is_dir() and judge else _stem(file))
    grades = pd.concat(tables, ignore_index=True) if tables else _no_grades()
    return RecordedGrades("+".join(dict.fromkeys(names)), grades, locations)


def read_grade_file(path: Path) -> pd.DataFrame:
    """One file of grades.

    Args:
        path: TSV, CSV (each also `.gz`) or Parquet with columns query-id, corpus-id, score
            or query_id, document_id, grade. With a column passage_id passages were graded, and
            their ids stand in document_id. Of several annotators the lower median counts.

    Returns:
        Columns `GRADE_COLUMNS`, in the file's order, repeated rows merged.

    Raises:
        UserError: As `read_recorded_grades`.
    """
    raw = _read_table(path)
    columns = {}
    for column, names in _NAMES.items():
        found = [name for name in names if name in raw.columns]
        if not found:
            raise UserError(
                f"{path}: no column {names[0]} or {names[1]} (found: "
                f"{', '.join(map(str, raw.columns[:8]))}); give query-id, corpus-id, score."
            )
        graded = "passage_id" if column == "document_id" and "passage_id" in found else found[0]
        columns[column] = raw[graded].fillna("").astype(str).str.strip()
    table = pd.DataFrame(columns, dtype="str")
    for column in ("query_id", "document_id"):
        empty = table[column] == ""
        if empty.any():
            raise UserError(f"{path}, row {_row(empty)}: the {column} is empty; fill it in.")
    numbers = pd.to_numeric(table["grade"], errors="coerce")
    odd = numbers.isna() | (numbers != numbers.round())
    if odd.any():
        value = table["grade"][odd].iloc[0]
        raise UserError(
            f"{path}, row {_row(odd)}: the grade {value[:20]!r} is not a whole number; mend it."
        )
    table["grade"] = numbers.astype("int64")
    if "annotator" in raw.columns:
        ranked = table.sort_values("grade", kind="stable").groupby(["query_id", "document_id"])
        table["grade"] = ranked["grade"].transform(lambda votes: votes.iloc[(len(votes) - 1) // 2])
    distinct = table.drop_duplicates()
    twice = distinct.duplicated(["query_id", "document_id"], keep=False)
    if twice.any():
        first = distinct[twice].iloc[0]
        same = (distinct["query_id"] == first["query_id"]) & (
            distinct["document_id"] == first["document_id"]
        )
        rows = " and ".join(str(row + 2) for row in distinct.index[same][:2])
        raise UserError(
            f"{path}, rows {rows}: query {first['query_id']!r} and document "
            f"{first['document_id']!r} have two different grades; keep one."
        )
    return distinct.reset_index(drop=True)


def check_scale(recorded: RecordedGrades, scale: GradeScale) -> None:
    """Refuse grades that the scale does not have.

    Raises:
        UserError: Names the first such pair.
    """
    strange = ~recorded.grades["grade"].isin(scale.values.tolist())
    if strange.any():
        row = recorded.grades[strange].iloc[0]
        raise UserError(
            f"The recorded judge {recorded.name} gives query {row['query_id']!r} and document "
            f"{row['document_id']!r} (row {_row(strange)}) the grade {row['grade']}, which is "
            f"not on the scale {scale.values.tolist()}: mend the file or set `scale`."
        )


def _grade_file(path: Path, judge: str | None) -> Path:
    """The file itself, or the judge's file in a BEIR folder."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of grades; check the path.")
    if not path.is_dir():
        return path
    if not judge:
        raise UserError(f'{path} is a folder: name its judge with --params="judge=NAME".')
    wanted = path / "qrels" / "human.tsv" if judge == HUMAN else path / "judges" / f"{judge}.tsv"
    if wanted.is_file():
        return wanted
    known = sorted(file.stem for file in (path / "judges").glob("*.tsv"))
    if (path / "qrels" / "human.tsv").is_file():
        known.append(HUMAN)
    raise UserError(
        f"{path} has no judge {judge!r} ({wanted.relative_to(path)} is missing): "
        f"use one of {', '.join(known) or 'none that it has'}."
    )


def _read_table(path: Path) -> pd.DataFrame:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    try:
        if kind == ".parquet":
            return pd.read_parquet(path)
        if kind not in (".tsv", ".csv"):
            raise UserError(f"{path}: grades are read from .tsv, .csv (also .gz) or .parquet.")
        return pd.read_csv(
            path,
            sep="\t" if kind == ".tsv" else ",",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:
        # A parser's message may quote the file's content, which is confidential.
        raise UserError(
            f"{path}: cannot be read as {kind or 'a table'} ({type(error).__name__}); "
            "check that it is UTF-8 and complete."
        ) from error


def _row(mask: pd.Series) -> int:
    """Line of the first true row in a file with a header."""
    return int(mask.to_numpy().argmax()) + 2


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def _no_grades() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": pd.Series(dtype="str"),
            "document_id": pd.Series(dtype="str"),
            "grade": pd.Series(dtype="int64"),
        }
    )
