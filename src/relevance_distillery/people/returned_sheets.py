"""Reading sheets that came back: whichever format, whatever a spreadsheet did to them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relevance_distillery.errors import UserError
from relevance_distillery.io.tables import iter_lines
from relevance_distillery.people.sheets import unescape

_DELIMITERS = ",;\t"


def returned_files(filepath: str) -> list[Path]:
    """The files of sheets that came back, in the order given, each once.

    Args:
        filepath: One file, or several separated by `;`.

    Raises:
        UserError: None was given.
    """
    parts = [part.strip() for part in str(filepath).split(";")]
    files = [Path(part).expanduser() for part in parts if part]
    if not files:
        raise UserError('no sheet was given; name it with --params="sheet=FILE"')
    return list(dict.fromkeys(files))


@dataclass(frozen=True)
class Row:
    """One graded row.

    Attributes:
        file: Where it stands.
        number: Its row as a spreadsheet counts them, the header being the first; in qrels its line.
        grade: As typed, without blanks around.
        annotator: Who graded; empty when one person or nobody in particular did.
        row_id: Its name in a spreadsheet, empty in the other formats.
        query: The query's text in Quepid's files, else empty.
        query_id, passage_id: As the file has them.
    """

    file: Path
    number: int
    grade: str
    annotator: str
    row_id: str = ""
    query: str = ""
    query_id: str = ""
    passage_id: str = ""


def read_rows(file: Path, annotator: str) -> Iterator[Row]:
    """Rows of a sheet that came back.

    Args:
        file: A spreadsheet saved as CSV (with commas, semicolons or tabs), Quepid's ratings of
            a case (`query,docid,rating`) or judgements of a book (`query,docid,RATER,…`), or
            TREC qrels.
        annotator: Who graded, where the file does not say.

    Raises:
        UserError: No such file, not UTF-8, or none of these formats.
    """
    lines = [line for _, line in iter_lines(file, max_row_mb=20)] if file.is_file() else None
    if lines is None:
        raise UserError(f"{file}: no such sheet; check the path")
    if not any(line.strip() for line in lines):
        raise UserError(f"{file}: is empty; give the sheet that was graded")
    cells = lines[0].split()
    # Ids in qrels may hold commas; no CSV's header has a lone 0 as its second word.
    if len(cells) == 4 and (cells[1] == "0" or not set(lines[0]) & set(_DELIMITERS[:2])):
        yield from _qrels(file, lines, annotator)
        return
    reader = csv.reader(
        io.StringIO("\n".join(lines)), delimiter=max(_DELIMITERS, key=lines[0].count), strict=True
    )
    try:
        titles = [cell.strip() for cell in next(reader)]
        header = [title.casefold() for title in titles]
        # Rows, not lines: a cell may hold line breaks, and people look rows up in a spreadsheet.
        rows = enumerate(reader, start=2)
        table = [(number, cells) for number, cells in rows if any(map(str.strip, cells))]
    except csv.Error as error:
        raise UserError(f"{file}: is broken CSV; save it as CSV UTF-8 again") from error
    for number, cells in table:
        if len(cells) > len(header) and any(map(str.strip, cells[len(header) :])):
            raise UserError(f"{file}, row {number}: has more cells than the header; mend the row")
    if {"row_id", "grade"} <= set(header):
        yield from _spreadsheet(file, header, table, annotator)
    elif header[:2] == ["query", "docid"] and len(header) > 2:
        raters = [annotator] if header[2:] == ["rating"] else titles[2:]
        yield from _quepid(file, raters, table)
    else:
        lacking = [name for name in ("row_id", "grade") if name not in header]
        raise UserError(
            f"{file}: lacks the column {' and '.join(lacking)}; give a sheet of "
            "`kedro run --pipeline=export_sheet`, Quepid's query,docid,rating, or TREC qrels"
        )


def _spreadsheet(
    file: Path, header: list[str], table: list[tuple[int, list[str]]], annotator: str
) -> Iterator[Row]:
    for number, cells in table:
        row = {name: unescape(cell).strip() for name, cell in zip(header, cells, strict=False)}
        yield Row(
            file,
            number,
            grade=row.get("grade", ""),
            annotator=row.get("annotator", "") or annotator,
            row_id=row.get("row_id", ""),
            query_id=row.get("query_id", ""),
            passage_id=row.get("passage_id", ""),
        )


def _quepid(file: Path, raters: list[str], table: list[tuple[int, list[str]]]) -> Iterator[Row]:
    for number, cells in table:
        padded = cells + [""] * (2 + len(raters) - len(cells))
        for rater, grade in zip(raters, padded[2:], strict=False):
            yield Row(
                file,
                number,
                grade=grade.strip(),
                annotator=rater,
                query=" ".join(padded[0].split()),
                passage_id=padded[1].strip(),
            )


def _qrels(file: Path, lines: list[str], annotator: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 4:
            raise UserError(
                f"{file}, row {number}: {len(cells)} cells where TREC qrels have 4; mend the row"
            )
        yield Row(
            file,
            number,
            grade=cells[3],
            annotator=annotator,
            query_id=cells[0],
            passage_id=cells[2],
        )
