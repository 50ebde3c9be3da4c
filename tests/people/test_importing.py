"""Sheets that came back, in whatever state."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.people.import_sheets import import_sheets
from relevance_distillery.people.sampling import Plan, draw_sample, sampling_frame
from relevance_distillery.people.sheets import make_sheet
from relevance_distillery.schemas import HumanGrades

PLAN = Plan("stratified", "pair", 30, ("grade",), "equal", seed=1)


class Handed:
    """One sheet as handed out, to be filled in and imported."""

    def __init__(self, stored, folder: Path, plan: Plan = PLAN, form: str = "csv") -> None:
        frame = sampling_frame(stored.candidates, stored.queries, stored.labels)
        tables = (stored.labels, stored.queries, stored.passages, pd.DataFrame())
        self.sample, read = draw_sample(frame, *tables, plan, "entropy", SCALE)
        self.text = make_sheet(self.sample, read, form, SCALE, True)[""]
        self.folder = folder

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text.removeprefix("\ufeff"))))

    def filled(self, grade="2", **cells) -> list[dict[str, str]]:
        return [
            row | {"grade": grade(number) if callable(grade) else grade} | cells
            for number, row in enumerate(self.rows())
        ]

    def write(
        self,
        rows: list[dict[str, str]],
        name: str = "sheet.csv",
        delimiter: str = ",",
        encoding="utf-8-sig",
    ) -> Path:
        path = self.folder / name
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
        return path

    def back(self, *files: Path):
        grades, report = import_sheets(files, self.sample, SCALE)
        return HumanGrades.validate(grades), report


@pytest.fixture
def handed(stored, tmp_path: Path) -> Handed:
    return Handed(stored, tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_filled_sheet_comes_back_whole(handed: Handed, delimiter: str) -> None:
    grades, report = handed.back(
        handed.write(handed.filled(lambda n: str(n % 4)), delimiter=delimiter)
    )
    assert grades["grade"].tolist() == [n % 4 for n in range(30)]
    sample = handed.sample
    assert grades["passage_id"].tolist() == sample["passage_id"].tolist()
    assert grades["inclusion_probability"].tolist() == sample["inclusion_probability"].tolist()
    assert set(grades["design"]) == {"stratified"}
    assert report["without_a_grade"] == 0


def test_names_of_grades_and_numbers_as_spreadsheets_write_them_are_understood(
    handed: Handed,
) -> None:
    words = ["Perfectly Relevant", " irrelevant ", "2.0", "1,0"]
    found, _ = handed.back(handed.write(handed.filled(lambda n: words[n % 4])))
    assert found["grade"].tolist()[:4] == [3, 0, 2, 1]


@pytest.mark.parametrize("word", ["7", "-1.5", "good", "2.5", "nan"])
def test_a_grade_off_the_scale_names_file_and_row(handed: Handed, word: str) -> None:
    rows = handed.filled(lambda n: word if n == 3 else "1")
    path = handed.write(rows)
    with pytest.raises(
        UserError, match=r"sheet\.csv, row \d+: grade '.*' is not on the scale"
    ) as e:
        handed.back(path)
    number = int(str(e.value).split("row ")[1].split(":")[0])
    # As a spreadsheet counts: texts hold line breaks, and the header is row 1.
    assert number == 5
    assert "\n" not in str(e.value)


def test_rows_without_a_grade_are_counted_and_listed(handed: Handed) -> None:
    rows = handed.filled(lambda n: {0: "", 1: "?"}.get(n, "1"))[:-2]
    grades, report = handed.back(handed.write(rows))
    assert len(grades) == 26
    assert report["without_a_grade"] == 4
    assert report["without_a_grade_by_reason"] == {
        "not graded": 1,
        "row removed from the sheet": 2,
        "skipped by the grader": 1,
    }
    assert report["without_a_grade_rows"][0] == rows[0]["row_id"]


def test_an_empty_sheet_is_refused(handed: Handed) -> None:
    with pytest.raises(UserError, match="holds no grade in 30 rows"):
        handed.back(handed.write(handed.filled("")))


def test_ids_that_were_never_handed_out_or_edited_are_refused(handed: Handed) -> None:
    rows = handed.filled()
    rows[4]["row_id"] = "row-000000000000"
    with pytest.raises(UserError, match=r"sheet\.csv, row \d+: the row_id was never handed out"):
        handed.back(handed.write(rows))
    rows = handed.filled()
    rows[4]["passage_id"] = "elsewhere.md#0"
    with pytest.raises(UserError, match=r"row \d+: passage_id and row_id do not belong together"):
        handed.back(handed.write(rows))
    # One column sorted without the others.
    rows = handed.filled()
    ids = sorted(row["row_id"] for row in rows)
    with pytest.raises(UserError, match="sorted apart"):
        handed.back(handed.write([row | {"row_id": i} for row, i in zip(rows, ids, strict=True)]))


def test_sorting_filtering_and_extra_columns_do_no_harm(handed: Handed) -> None:
    rows = sorted(handed.filled(comment="hm, =1"), key=lambda row: row["title"], reverse=True)
    assert len(handed.back(handed.write(rows))[0]) == 30


def test_the_same_row_twice_is_counted_and_a_contradiction_is_refused(handed: Handed) -> None:
    rows = handed.filled()
    _, report = handed.back(handed.write([*rows, rows[0]]))
    assert report["repeated_rows"] == 1
    with pytest.raises(UserError, match=r"row \d+: grade 0, but .*row \d+ has 2 for the same pair"):
        handed.back(handed.write([*rows, rows[0] | {"grade": "0"}]))


def test_several_annotators_by_column_or_by_file(handed: Handed) -> None:
    rows = handed.filled(annotator="ann") + handed.filled("3", annotator="bob")
    grades, report = handed.back(handed.write(rows))
    assert report["annotators"] == ["ann", "bob"]
    assert grades.groupby("annotator")["grade"].first().to_dict() == {"ann": 2, "bob": 3}
    files = [handed.write(handed.filled(str(n)), f"{name}.csv") for n, name in enumerate("xy")]
    assert handed.back(*files)[1]["annotators"] == ["x", "y"]


def test_two_random_samples_at_once_are_refused_but_an_active_one_joins(stored, tmp_path) -> None:
    plans = [
        PLAN,
        Plan("random", "pair", 30, (), "equal", 2),
        Plan("active", "pair", 9, (), "equal", 3),
    ]
    sheets = [Handed(stored, tmp_path, plan) for plan in plans]
    everything = pd.concat([sheet.sample for sheet in sheets], ignore_index=True)
    files = [
        sheet.write(sheet.filled("1", annotator="ann"), f"{n}.csv")
        for n, sheet in enumerate(sheets)
    ]
    with pytest.raises(UserError, match="2 random samples"):
        import_sheets(files, everything, SCALE)
    grades, report = import_sheets([files[0], files[2]], everything, SCALE)
    assert report["by_design"]["active"] + report["by_design"]["stratified"] == len(grades)
    active = grades["design"] == "active"
    assert grades.loc[active, "inclusion_probability"].isna().all()
    assert grades.loc[~active, "inclusion_probability"].notna().all()


@pytest.mark.parametrize("raters", [["rating"], ["Ann Lee", "bob@example.org"]])
def test_quepid_s_files_come_back(stored, tmp_path: Path, raters: list[str]) -> None:
    handed = Handed(stored, tmp_path, form="quepid")
    lines = [f"query,docid,{','.join(raters)}"]
    lines += [f"{r['query']},{r['docid']},{','.join('2' for _ in raters)}" for r in handed.rows()]
    path = tmp_path / "case_1_judgements.csv"
    path.write_text("\n".join(lines) + "\n")
    grades, report = handed.back(path)
    assert len(grades) == 30 * len(raters)
    assert report["annotators"] == ([] if raters == ["rating"] else sorted(raters))
    assert grades["query_id"].tolist()[0] == handed.sample["query_id"].iloc[0]


@pytest.mark.parametrize("blank", ["-", ","])
def test_qrels_come_back_and_minus_one_is_no_grade(stored, tmp_path: Path, blank: str) -> None:
    plain = {
        name: table.assign(passage_id=table["passage_id"].str.replace(" ", blank))
        for name, table in vars(stored).items()
    }
    handed = Handed(stored.__class__(**plain), tmp_path, form="trec")
    lines = handed.text.splitlines()
    graded = [line.replace(" -1", " 3") for line in lines[:20]] + lines[20:]
    path = tmp_path / "sheet.qrels"
    path.write_text("\n".join(graded))
    grades, report = handed.back(path)
    assert grades["grade"].tolist() == [3] * 20
    assert report["without_a_grade_by_reason"] == {"not graded": 10}


def test_a_sheet_without_row_ids_belongs_to_the_newest_sample(stored, tmp_path: Path) -> None:
    old = Handed(stored, tmp_path, Plan("random", "pair", 300, (), "equal", 5), form="quepid")
    new = Handed(stored, tmp_path, form="quepid")
    both = pd.concat([old.sample, new.sample], ignore_index=True)
    path = tmp_path / "back.csv"
    path.write_text(new.text.replace(",\n", ",1\n"))
    grades, report = import_sheets([path], both, SCALE)
    assert report["handed_out"] == len(grades) == 30
    assert set(grades["design"]) == {"stratified"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "lacks the column row_id and grade"),
        ("row_id,comment\nx,2\n", "lacks the column grade"),
        ("q1 0 d1\n", "lacks the column"),
        ("q1 0 d1 2\nq1 0 2\n", "row 2: 3 cells"),
        ('row_id,grade\n"x,2\n', "broken CSV"),
        ("row_id,grade\nx,2,5\n", "row 2: has more cells"),
    ],
)
def test_what_is_no_sheet_is_refused_in_one_line(handed: Handed, content, reason) -> None:
    path = handed.folder / "odd.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=reason) as error:
        handed.back(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_missing_or_oddly_encoded_sheet_is_refused(handed: Handed) -> None:
    with pytest.raises(UserError, match="no such sheet"):
        handed.back(handed.folder / "nowhere.csv")
    path = handed.write(handed.filled(annotator="Zoë"), encoding="utf-16")
    with pytest.raises(UserError, match="is not valid UTF-8"):
        handed.back(path)


def test_grades_become_the_report_s_benchmark(handed: Handed) -> None:
    versioned = handed.folder / "human_grades.parquet" / "2026-01-01T00.00.00.000Z"
    versioned.mkdir(parents=True)
    rows = handed.filled(annotator="ann") + handed.filled("3", annotator="bob")
    grades, _ = handed.back(handed.write(rows))
    grades.loc[:3, ["design", "inclusion_probability"]] = ["active", float("nan")]
    grades.loc[30:33, ["design", "inclusion_probability"]] = ["active", float("nan")]
    grades.to_parquet(versioned / "human_grades.parquet", index=False)
    found = load_benchmark(handed.folder / "human_grades.parquet", SCALE)
    assert found.human
    assert found.kind == "same_corpus"
    # The lower median of two raters; passages are named where documents would be.
    assert found.judgments["grade"].tolist() == [2] * 26
    assert found.judgments["document_id"].tolist() == handed.sample["passage_id"].tolist()[4:]
    assert found.annotators["annotator"].nunique() == 2
    assert found.judged_documents() == set(handed.sample["document_id"])
    assert found.sampled is not None
    wanted = 1 / handed.sample["inclusion_probability"].iloc[4:]
    assert found.sampled.weights["weight"].tolist() == pytest.approx(wanted.tolist())
    [reason] = found.skipped
    assert reason == "actively picked pairs, which never evaluate: 4"


def test_actively_picked_pairs_alone_are_no_benchmark(stored, tmp_path: Path) -> None:
    handed = Handed(stored, tmp_path, Plan("active", "pair", 9, (), "equal", 3))
    grades, _ = handed.back(handed.write(handed.filled()))
    grades.to_parquet(tmp_path / "grades.parquet", index=False)
    with pytest.raises(UserError, match="all 9 graded pairs were picked actively"):
        load_benchmark(tmp_path / "grades.parquet", SCALE)
