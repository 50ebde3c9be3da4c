"""Small files as people have them, by what they hold: every one in `tests/inputs` is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.collections.judge_files import read_judge
from relevance_distillery.collections.judgments import read_grades
from relevance_distillery.collections.recorded_grades import grades_on, read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.tables import iter_records
from relevance_distillery.io.trec import grade_rows, read_run

INPUTS = Path(__file__).parents[1] / "inputs"
GRADES = {("expense report", "hr/7.md"): 3, ("expense report", "hr/9.md"): 0}
TABLES = {
    "one-quote.tsv": ["Desk lamp", '"Dawn" alarm clock', '"Two-way garden hose', 'Shelf, 30" wide'],
    "enclosed.tsv": ['Desk "lamp"', "Clock"],
    "tabs.csv": ["Desk lamp", "Clock"],
    "semicolons.csv": ["Desk lamp", "Clock"],
    "lines-in-cells.csv": ['Desk "lamp"', 'Shelf, 30" wide'],
    "open-quote.csv": ["Desk lamp"],
    "latin1.csv": ["Drill"],
}
SKIPPED = {
    "open-quote.csv": [(3, "a quotation mark opens a cell that takes in the rows after it")],
    "latin1.csv": [(3, "is not valid UTF-8: save the file as UTF-8")],
}


def _files(kind: str) -> list[Path]:
    return sorted((INPUTS / kind).iterdir())


@pytest.mark.parametrize("path", _files("grades"), ids=lambda path: path.name)
def test_grades(path: Path) -> None:
    read = read_grades(path, DEFAULT_SCALE).grades
    expected = GRADES | {("parking badge", "fm/2.md"): 1}
    pairs = zip(read["query_id"], read["document_id"], strict=True)
    assert dict(zip(pairs, read["grade"], strict=True)) == expected
    taught = read_recorded_grades(str(path), None).grades if _numbers(path) else read
    assert taught["grade"].tolist() == read["grade"].tolist()
    people = load_benchmark(INPUTS / "grades" / "list.json", DEFAULT_SCALE, texts_needed=False)
    judged = read_judge(path.stem, path, people, {})
    assert (judged.table["value"].tolist(), judged.graded) == ([3.0, 0.0, 1.0], True)


def _numbers(path: Path) -> bool:
    """A recorded teacher's grades are numbers: it is asked before there is a scale."""
    return path.name != "skipped-task.csv"


def test_a_book_has_a_column_a_rater(tmp_path: Path) -> None:
    book = tmp_path / "book.csv"
    rows = "expense report,hr/7.md,3.0,1.0,\nexpense report,hr/9.md,0.0,,\nlost keys,a.md,,,\n"
    book.write_text(f"query,docid,Ada L.,Bo,Unknown\n{rows}")
    found = load_benchmark(book, DEFAULT_SCALE)
    raters = found.annotators[["document_id", "annotator", "grade"]].to_numpy().tolist()
    assert raters == [["hr/7.md", "Ada L.", 3], ["hr/7.md", "Bo", 1], ["hr/9.md", "Ada L.", 0]]
    assert found.judgments["grade"].tolist() == [1, 0]
    # The teacher's is the lower median too; one rater can be named.
    taught = grades_on(read_recorded_grades(str(book), None), DEFAULT_SCALE)
    assert taught["grade"].tolist() == [1, 0]
    ada = read_grades(book, DEFAULT_SCALE, {"grade": "Ada L."}).grades
    assert (ada["grade"].tolist(), ada["annotator"].tolist()) == ([3, 0], ["", ""])
    book.write_text(f"query,docid,Ada L.,Bo,Unknown\n{rows}expense report,hr/8.md,good,,\n")
    with pytest.raises(UserError, match=r"book\.csv, row 5: grade 'good' is not on the scale"):
        read_grades(book, DEFAULT_SCALE)


@pytest.mark.parametrize("header", ["query,docid,position", "query,docid,title", "docid,query,Ada"])
def test_other_tables_without_grades_are_no_books(tmp_path: Path, header: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{header}\nq,d,1\n")
    with pytest.raises(UserError, match="needs the column grade"):
        read_grades(path, DEFAULT_SCALE)


@pytest.mark.parametrize("path", _files("tables"), ids=lambda path: path.name)
def test_tables(path: Path) -> None:
    skipped: list[tuple[int, str]] = []
    rows = list(iter_records(path, lambda row, reason: skipped.append((row, reason))))
    assert [row["title"] for _, row in rows][:4] == TABLES[path.name]
    expected = SKIPPED.get(path.name, [])
    assert [(row, reason.partition(";")[0]) for row, reason in skipped] == expected
    if expected:
        with pytest.raises(UserError, match=f"{path.name}, row {expected[0][0]}: "):
            list(iter_records(path))


def test_no_row_is_lost_to_a_quotation_mark() -> None:
    rows = dict(iter_records(INPUTS / "tables" / "one-quote.tsv"))
    assert len(rows) == 5
    assert rows[4] == {
        "id": "p2",
        "title": '"Two-way garden hose',
        "text": "A hose of twenty metres.",
    }
    (first, _) = iter_records(INPUTS / "tables" / "enclosed.tsv")
    assert first == (
        3,
        {"id": "p0", "title": 'Desk "lamp"', "text": "A lamp\nwith a long\tarm."},
    )


@pytest.mark.parametrize("path", _files("runs"), ids=lambda path: path.name)
def test_runs(path: Path) -> None:
    run = read_run(path)
    ranked = run.sort_values("score", ascending=False)
    assert ranked["document_id"].tolist() == ["hr/travel costs.md", "hr/9.md"]
    assert set(run["query_id"]) == {"expense report"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"rows": []}', "is neither a JSON list"),
        ("[1]", "is neither a JSON list"),
        ("nothing", "is neither a JSON list"),
        ("[{}]", "needs the column document_id"),
        ('[{"query": "q", "document_id": "d", "grade": 0.3}]', "row 1: grade '0.3' is not on"),
    ],
)
def test_a_json_file_that_holds_no_grades_is_one_line(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "grades.json"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        read_grades(path, DEFAULT_SCALE)


def test_a_header_that_is_not_utf8_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "sizes.csv"
    path.write_bytes("query,document_id,größe,grade\nq,d,1,2\n".encode("latin-1"))
    with pytest.raises(UserError, match="row 1: is not valid UTF-8"):
        list(grade_rows(path))


def test_a_recorded_judge_may_be_any_table(tmp_path: Path) -> None:
    (tmp_path / "judges").mkdir()
    (tmp_path / "judges" / "big.jsonl").write_text(
        '{"query-id": "1", "corpus-id": "1", "score": 3.0}\n'
    )
    assert read_recorded_grades(str(tmp_path), "big").grades["grade"].tolist() == [3]
    with pytest.raises(UserError, match=r"has no judge 'small' .*use one of big"):
        read_recorded_grades(str(tmp_path), "small")
