"""Qrels, runs and topics: TREC's files, which have no header, or tables in any column names."""

import json
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.io.delimited import Rows
from relevance_distillery.io.tables import (
    DOCUMENTS,
    GRADES,
    RUNS,
    Aliases,
    cell_text,
    is_number,
    iter_lines,
    iter_records,
    listed_columns,
    table_kind,
)

logger = logging.getLogger(__name__)

Columns = Mapping[str, str]
"""What a column means (a key of `tables.GRADES`) and what a file calls it."""


def _trec_kind(path: Path) -> Literal["qrels", "run", ""]:
    """What a file of grades holds by its first line, whatever its suffix; empty for a table."""
    kind = table_kind(path)
    if kind in ("jsonl", "parquet", "csv"):
        return ""
    first = next((_cells(line, most=6) for _, line in iter_lines(path) if line.strip()), [])
    if len(first) == 4 and is_number(first[3]):
        return "qrels"
    if len(first) == 6 and is_number(first[3]) and is_number(first[4]):
        return "run"
    return "" if kind else "qrels"


def has_header(path: Path, columns: Aliases) -> bool:
    """Whether the first line of a file of tab-separated lines names a known column."""
    known = {alias for aliases in columns.values() for alias in aliases}
    first = next((line for _, line in iter_lines(path) if line.strip()), "")
    return bool({cell.strip() for cell in first.split("\t")} & known)


def _cells(line: str, most: int = -1) -> list[str]:
    """Cells between tabs where the line has tabs, else between blanks: ids may hold blanks.

    Only ASCII's blanks part cells: an id may hold a no-break space.
    """
    line = line.strip(" \t\r\n")
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    return [part for part in re.split(r"[ \f\v]+", line, maxsplit=max(most - 1, 0)) if part]


def iter_qrels(path: Path) -> Rows:
    """Rows of qrels (query, iteration, document, grade): query_id, document_id, grade as text.

    Raises:
        UserError: A row has another number of cells.
    """
    for number, line in iter_lines(path):
        cells = _cells(line)
        if not cells:
            continue
        if len(cells) != 4:
            raise UserError(
                f"{path}, row {number}: {len(cells)} cells where TREC qrels have 4 (query, "
                "iteration, document, grade); correct the row; tabs let cells hold blanks"
            )
        yield number, {"query_id": cells[0], "document_id": cells[2], "grade": cells[3]}


def _trec_run_rows(path: Path) -> Rows:
    """Rows of a run (query, Q0, document, rank, score, tag; the tag may be missing) as text.

    query_id, document_id, score, tag; or query_id, document_id, rank of a row of three cells.
    """
    for number, line in iter_lines(path):
        cells = _cells(line, most=6)
        if len(cells) == 3:
            yield number, {"query_id": cells[0], "document_id": cells[1], "rank": cells[2]}
        elif len(cells) in (5, 6):
            tag = cells[5] if len(cells) > 5 else ""
            # A number in front of blanks is a score that an id with blanks has shifted.
            if not is_number(cells[3]) or (" " in tag and is_number(tag.split(" ")[0])):
                raise UserError(
                    f"{path}, row {number}: rank and score are not where TREC runs have them "
                    "(query, Q0, document, rank, score, tag); where an id holds blanks, put tabs "
                    "between the cells"
                )
            row = {"query_id": cells[0], "document_id": cells[2], "score": cells[4], "tag": tag}
            yield number, row
        elif cells:
            raise UserError(
                f"{path}, row {number}: {len(cells)} cells where TREC runs have 6 (query, Q0, "
                "document, rank, score, tag); correct the row or remove the file"
            )


def grade_rows(
    path: Path, columns: Columns | None = None, runs: bool = False, option: str = "columns"
) -> Rows:
    """Rows of a file of grades under the names of `tables.GRADES`.

    Args:
        path: TREC qrels (query, iteration, document, grade, no header), or a `.tsv`, `.csv`,
            `.jsonl` (each also `.gz`), `.json` or `.parquet` table.
        columns: What the file calls its columns; the known names for those not named.
        runs: TREC runs (query, Q0, document, rank, score, tag) are read as well, their scores
            as grades.
        option: The parameter by which a user gives `columns`, for messages.

    Yields:
        The row's number, and its cells as they are.

    Raises:
        UserError: No such file, a column is missing, or a row is malformed.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of grades; check the path")
    is_json = path.suffix.lower() == ".json"
    kind = "" if is_json else _trec_kind(path)
    if kind == "qrels":
        yield from iter_qrels(path)
        return
    if kind == "run":
        if not runs:
            raise UserError(f"{path}: is a TREC run, and a run holds no grades; give qrels")
        for number, row in _trec_run_rows(path):
            ids = {name: row[name] for name in ("query_id", "document_id")}
            yield number, {**ids, "grade": row.get("score", "")}
        return
    places: dict[str, str] = {}
    raters: list[str] | None = [] if columns else None
    for number, record in _json_records(path) if is_json else iter_records(path):
        if raters is None:
            raters = _raters(path, record)
        if raters:
            graded = [name for name in raters if cell_text(record[name])] or raters[:1]
            ids = {"query": record["query"], "document_id": record["docid"]}
            for rater in graded:
                yield number, {**ids, "annotator": rater, "grade": record[rater]}
            continue
        if not places or not set(places.values()) <= set(record):
            places = _grade_columns(path, record, columns or {}, option)
        yield number, {name: record.get(given) for name, given in places.items()}


def _raters(path: Path, record: dict[str, Any]) -> list[str]:
    """The columns of grades in a book of Quepid, `query,docid,RATER,…`; none in another table."""
    names = [name for name in record if name not in ("query", "docid")]
    columns = (*GRADES.values(), *RUNS.values(), *DOCUMENTS.values())
    cells = [cell_text(record[name]) for name in names]
    numbers = all(not cell or is_number(cell) for cell in cells)
    if (
        list(record)[:2] != ["query", "docid"]
        or not numbers
        or any(not {*one}.isdisjoint(names) for one in columns)
    ):
        return []
    logger.info("%s: each of these columns is an annotator's: %s", path, ", ".join(names))
    return names


def _json_records(path: Path) -> Rows:
    """Objects of a list, or the judgments of a search engine's workbench (`judgmentRatings`)."""
    try:
        content = json.loads(path.read_bytes())
        if isinstance(content, dict):
            content = [
                {"query": asked["query"], "document_id": one["docId"], "grade": one["rating"]}
                for asked in content["judgmentRatings"]
                for one in asked["ratings"]
            ]
        if not all(isinstance(row, dict) for row in content):
            raise TypeError
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: is neither a JSON list of objects nor a judgment list with judgmentRatings "
            "of query and ratings (docId, rating); give one of these, .jsonl or .csv"
        ) from error
    yield from enumerate(content, start=1)


def _grade_columns(
    path: Path, record: dict[str, Any], columns: Columns, option: str
) -> dict[str, str]:
    """What the file calls each column that it has."""
    has = listed_columns(record)
    unknown = sorted(set(columns) - set(GRADES))
    if unknown:
        raise UserError(
            f"{', '.join(f'{option}.{name}' for name in unknown)}: no such column of grades; "
            f"known: {', '.join(GRADES)}"
        )
    absent = sorted(str(given) for given in columns.values() if str(given) not in record)
    if absent:
        raise UserError(f"{path}: has no column {' or '.join(absent)}; has {has}")
    given = {name: str(column) for name, column in columns.items()}
    found = _columns(set(record) - set(given.values()), GRADES) | given
    missing = [name for name in ("document_id", "grade") if name not in found]
    if "passage_id" in found and "document_id" in missing:
        missing.remove("document_id")
    if "query_id" not in found and "query" not in found:
        missing.append("query (or query_id)")
    if missing:
        raise UserError(
            f"{path}: needs the column {' and '.join(missing)}; has {has}; other names can be "
            f'given, such as --params="{option}.{missing[0].split()[0]}=NAME"'
        )
    return found


def _columns(record: Collection[str], aliases: Aliases) -> dict[str, str]:
    """The first name of each column that a record has."""
    return {
        name: next(alias for alias in names if alias in record)
        for name, names in aliases.items()
        if not set(names).isdisjoint(record)
    }


def iter_topics(path: Path) -> Rows:
    """Rows of topics (id and text, a tab between): query_id and text."""
    for number, line in iter_lines(path):
        if line.strip():
            query_id, _, text = line.partition("\t")
            yield number, {"query_id": query_id, "text": text}


def read_run(path: Path) -> pd.DataFrame:
    """Read one run.

    It has TREC's lines, or lines of `query document rank`; or is a table as of `iter_records`, with
    a header. Where there is a score, a rank says nothing.

    Returns:
        Columns query_id, document_id, score (higher is better; minus the rank in a file that has
        ranks alone), tag (what the file calls its system, or empty); a row a row of the file.

    Raises:
        UserError: A row cannot be understood; the message names it.
    """
    rows: list[tuple[str, str, float, str]] = []
    trec = table_kind(path) == "" or (table_kind(path) == "tsv" and not has_header(path, RUNS))
    for number, row in _trec_run_rows(path) if trec else _table_rows(path):
        query, document = cell_text(row["query_id"]), cell_text(row["document_id"])
        for name, value in (("query", query), ("document", document)):
            if not value:
                raise UserError(f"{path}, row {number}: empty {name} id; correct the row")
        name = "score" if "score" in row else "rank"
        text = cell_text(row[name])
        if not is_number(text):
            raise UserError(
                f"{path}, row {number}: the {name} {text[:20]!r} is no finite number; "
                "correct the row"
            )
        score = float(text) if name == "score" else -float(text)
        rows.append((query, document, score, cell_text(row.get("tag"))))
    if not rows:
        raise UserError(f"{path}: holds no ranked document; give at least one or remove the file")
    table = pd.DataFrame(rows, columns=["query_id", "document_id", "score", "tag"])
    return table.astype({"query_id": "str", "document_id": "str", "score": "float64"})


def _table_rows(path: Path) -> Rows:
    names: dict[str, str] = {}
    for number, record in iter_records(path):
        if not names:
            names = _columns(record, RUNS)
            missing = [name for name in ("query_id", "document_id") if name not in names]
            if names.keys().isdisjoint({"score", "rank"}):
                missing.append("score (or rank)")
            if missing:
                raise UserError(
                    f"{path}: needs the column {' and '.join(missing)}; "
                    f"has {listed_columns(record)}"
                )
        yield number, {name: record.get(given) for name, given in names.items()}
