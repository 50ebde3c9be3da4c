"""Sheets that people fill in: a spreadsheet's CSV, Quepid's CSV, or TREC qrels."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale

Format = Literal["csv", "quepid", "trec"]

TEXT_COLUMNS = ("query", "title", "heading", "text", "path", "author", "modified")
ID_COLUMNS = ("row_id", "query_id", "passage_id", "document_id", "design", "inclusion_probability")
SHEET_COLUMNS = (*TEXT_COLUMNS[:4], "grade", *TEXT_COLUMNS[4:], "annotator", *ID_COLUMNS)
"""What graders need stands left, what only the import needs stands right, to be hidden."""

UNJUDGED = "-1"
"""Grade of a pair in TREC qrels that nobody has graded yet."""

SKIP = "?"
"""Typed where a grader cannot tell: counted, never a grade."""

_WHERE = {
    "csv": "Put one number into the column `grade` of every row; the grade's name does as well. "
    f"Where you cannot tell, put `{SKIP}`. Put your name into `annotator` if several people grade. "
    "You may hide the columns right of `annotator`, sort and filter; change nothing in them. "
    "Save as *CSV UTF-8*.",
    "quepid": "Give every document of every query one of these numbers as its rating.",
    "trec": "Replace -1 in the last column by one of these numbers. The files beside this one "
    "hold the texts of queries and passages.",
}

_DANGEROUS = re.compile(r"^'*[=+\-@\t\r\n＝＋－＠]")
_ESCAPED = re.compile(r"^'+[=+\-@\t\r\n＝＋－＠]")

LONGEST = 32_000
"""Characters; a spreadsheet's cell holds 32,767."""

_CUT = " […]"


def make_sheet(
    sample: pd.DataFrame, read: pd.DataFrame, form: Format, scale: GradeScale, by_judge: bool
) -> dict[str, str]:
    """A sheet with everything that goes beside it, from what `people.sampling.draw_sample` gave.

    Where the inclusion probability depends on the judge (`by_judge`), the sheet does not show it:
    it would tell graders what the judge thought.

    Returns:
        Content by what is added to the name that the user gave, nothing for the sheet itself;
        beside it always `.key.csv`, every row's ids, design and inclusion probability, and
        `.instructions.md`.

    Raises:
        UserError: Ids that the format cannot hold.
    """
    files = {
        ".key.csv": _table(ID_COLUMNS, _keys(sample)),
        ".instructions.md": instructions(scale, form),
    }
    if form == "csv":
        texts = read[list(TEXT_COLUMNS)].astype(str).itertuples(index=False)
        keys = _keys(sample, show=not by_judge)
        rows = [
            [*map(escape, text[:4]), "", *map(escape, text[4:]), "", *key]
            for text, key in zip(texts, keys, strict=True)
        ]
        files[""] = _table(SHEET_COLUMNS, rows)
    elif form == "quepid":
        files[""] = _quepid(sample)
    else:
        files |= _trec(sample, read)
    return files


def _keys(sample: pd.DataFrame, show: bool = True) -> list[list[str]]:
    names = [sample[name].astype(str).map(escape) for name in ID_COLUMNS[:-1]]
    chances = ["" if pd.isna(c) or not show else repr(float(c)) for c in sample[ID_COLUMNS[-1]]]
    return [list(row) for row in zip(*names, chances, strict=True)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], bom: bool = True) -> str:
    """CSV; with the mark by which spreadsheets know UTF-8."""
    text = io.StringIO()
    text.write("\ufeff" if bom else "")
    # Lines end as the CSV standard wants it, for Excel; Quepid splits at either.
    writer = csv.writer(text, lineterminator="\r\n" if bom else "\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _quepid(sample: pd.DataFrame) -> str:
    """`query,docid,rating` as Quepid 8.3.7 imports it into a case.

    Its import reads line by line and drops quotation marks, so neither may stand in a cell; it
    puts a blank before what a spreadsheet would take for a formula, and so is it here.
    """
    pairs = sample.drop_duplicates(["query", "passage_id"])
    rows = [
        (quepid_query(str(query)), str(passage_id), "")
        for query, passage_id in zip(pairs["query"], pairs["passage_id"], strict=True)
    ]
    if any(set(row[1]) & set('",\r\n') for row in rows):
        raise UserError(
            "format=quepid: a passage id holds a comma, a quotation mark or a line break, which "
            "Quepid's import would garble; use format=csv"
        )
    return _table(("query", "docid", "rating"), rows, bom=False)


def quepid_query(query: str) -> str:
    """A query's text as Quepid's files have it."""
    plain = " ".join(str(query).replace('"', " ").split())
    return f" {plain}" if plain[:1] in tuple("=+-@") else plain


def _trec(sample: pd.DataFrame, read: pd.DataFrame) -> dict[str, str]:
    """Qrels with the grade -1, and the queries and passages that they name."""
    ids = pd.concat([sample["query_id"], sample["passage_id"]]).astype(str)
    if ids.str.contains(r"\s").any():
        raise UserError(
            "format=trec: an id has blanks in it, which qrels cannot hold; use format=csv or "
            "change the ids"
        )
    qrels = [f"{row.query_id} 0 {row.passage_id} {UNJUDGED}\n" for row in sample.itertuples()]
    queries = ["query_id\ttext\n"] + [
        f"{row.query_id}\t{' '.join(str(row.query).split())}\n"
        for row in sample.drop_duplicates("query_id").itertuples()
    ]
    passages = []
    for row in sample[["passage_id"]].join(read).drop_duplicates("passage_id").itertuples():
        metadata = {name: getattr(row, name) for name in ("heading", "path", "author", "modified")}
        record = {"_id": row.passage_id, "title": row.title, "text": row.text, "metadata": metadata}
        passages.append(json.dumps(record, ensure_ascii=False) + "\n")
    return {
        "": "".join(qrels),
        ".queries.tsv": "".join(queries),
        ".passages.jsonl": "".join(passages),
    }


def instructions(scale: GradeScale, form: str) -> str:
    """One page for graders, as Markdown."""
    rows = [
        f"| {grade.value} | {grade.name} | {grade.definition} |" for grade in reversed(scale.grades)
    ]
    lowest, highest = scale.grades[0], scale.grades[-1]
    return "\n".join(
        [
            "# How to grade",
            "",
            "Somebody typed the query. How useful is the passage to that person?",
            "",
            "| grade | name | when |",
            "|---|---|---|",
            *rows,
            "",
            _WHERE[form],
            "",
            "- Grade each row by itself: the same words in query and passage are no merit, and a "
            "passage that says the same in other words is as good.",
            "- Title, path, author and date belong to the passage: an outdated page is no answer "
            "to a question about today.",
            f"- Text that tells you how to grade it is part of the passage, not of these rules; "
            f"if that is all it has, it is {lowest.value} ({lowest.name}).",
            f"- In doubt between two grades, take the lower one; {highest.value} "
            f"({highest.name}) is for passages that leave nothing to ask.",
            "- Rows stand in random order. Do not look up what a machine said.",
            "",
        ]
    )


def escape(text: str) -> str:
    """Text as a cell: an apostrophe goes before what a spreadsheet would take for a formula.

    Cells that begin with `= + - @`, a tab or a line break are formulas, or become some when
    the file is saved again (OWASP, CSV injection). Reversible by `unescape`, but for what is
    cut off after `LONGEST` characters.
    """
    cell = f"'{text}" if _DANGEROUS.match(text) else text
    return cell if len(cell) <= LONGEST else cell[: LONGEST - len(_CUT)] + _CUT


def unescape(cell: str) -> str:
    """The text of a cell that `escape` wrote."""
    return cell[1:] if _ESCAPED.match(cell) else cell
