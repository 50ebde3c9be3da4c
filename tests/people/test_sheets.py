"""Sheets as graders, spreadsheets, Quepid and trec_eval see them."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import DatasetError

from relevance_distillery.datasets import SheetDataset
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.people.sampling import Plan, draw_sample, sampling_frame
from relevance_distillery.people.sheets import LONGEST, escape, make_sheet, unescape

PLAN = Plan("stratified", "pair", 30, ("grade",), "equal", seed=1)


def sheet_of(stored, form: str = "csv", plan: Plan = PLAN) -> tuple[pd.DataFrame, dict[str, str]]:
    frame = sampling_frame(stored.candidates, stored.queries, stored.labels)
    tables = (stored.labels, stored.queries, stored.passages, pd.DataFrame())
    sample, read = draw_sample(frame, *tables, plan, "entropy", SCALE)
    return sample, make_sheet(sample, read, form, SCALE, "grade" in plan.strata)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


@given(st.text(alphabet="'=+-@\t\r\n＝a ", max_size=8))
def test_no_cell_is_a_formula_and_none_is_changed(text: str) -> None:
    cell = escape(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
    assert unescape(cell) == text


def test_a_cell_fits_into_a_spreadsheet() -> None:
    assert len(escape("=" + "x" * 100_000)) <= LONGEST


def test_the_sheet_opens_in_a_spreadsheet_and_shows_nothing_of_the_judge(stored) -> None:
    sample, sheet = sheet_of(stored)
    text = sheet[""]
    assert text.encode().startswith(b"\xef\xbb\xbf")
    rows = rows_of(text)
    assert list(rows[0])[:5] == ["query", "title", "heading", "text", "grade"]
    assert [row["row_id"] for row in rows] == sample["row_id"].tolist()
    assert {row["grade"] for row in rows} == {""}
    assert rows[0]["text"].startswith("'=SUM(")
    assert rows[0]["author"] == "'@ann"
    # The probability depends on the judge's grade, and would tell it.
    assert {row["inclusion_probability"] for row in rows} == {""}
    assert {row["design"] for row in rows} == {"stratified"}
    assert not {"stratum", "judge", "probabilities"} & set(rows[0])


def test_the_key_has_every_row_s_probability(stored) -> None:
    sample, sheet = sheet_of(stored)
    keys = rows_of(sheet[".key.csv"])
    given = [float(row["inclusion_probability"]) for row in keys]
    assert given == sample["inclusion_probability"].tolist()
    assert [row["row_id"] for row in keys] == sample["row_id"].tolist()


def test_a_probability_that_tells_nothing_stands_in_the_sheet(stored) -> None:
    plan = Plan("random", "pair", 30, (), "equal", seed=1)
    rows = rows_of(sheet_of(stored, plan=plan)[1][""])
    assert {float(row["inclusion_probability"]) for row in rows} == {30 / 480}


def test_graders_read_the_scale_s_definitions(stored) -> None:
    text = sheet_of(stored)[1][".instructions.md"]
    for grade in SCALE.grades:
        assert f"| {grade.value} | {grade.name} | {grade.definition} |" in text


def test_quepid_gets_three_plain_columns(stored) -> None:
    queries = stored.queries.assign(text=stored.queries["text"].map('=cmd "{}"\nx, y'.format))
    stored = stored.__class__(**{**vars(stored), "queries": queries})
    text = sheet_of(stored, "quepid")[1][""]
    rows = rows_of(text)
    assert list(rows[0]) == ["query", "docid", "rating"]
    # Quepid splits at line ends and drops quotation marks.
    assert len(text.splitlines()) == 31
    assert rows[0]["query"].startswith(" =cmd where is page")
    assert "\ufeff" not in text


def test_quepid_refuses_ids_that_it_would_garble(stored) -> None:
    passages = stored.passages.assign(passage_id=stored.passages["passage_id"] + ",x")
    candidates = stored.candidates.assign(passage_id=stored.candidates["passage_id"] + ",x")
    labels = stored.labels.assign(passage_id=stored.labels["passage_id"] + ",x")
    odd = stored.__class__(candidates, stored.queries, passages, labels)
    with pytest.raises(UserError, match="use format=csv"):
        sheet_of(odd, "quepid")


def test_trec_files_name_each_other(stored) -> None:
    with pytest.raises(UserError, match="blanks"):
        sheet_of(stored, "trec")
    plain = {
        name: table.assign(passage_id=table["passage_id"].str.replace(" ", "-"))
        for name, table in vars(stored).items()
    }
    files = sheet_of(stored.__class__(**plain), "trec")[1]
    qrels = [line.split() for line in files[""].splitlines()]
    passages = [json.loads(line) for line in files[".passages.jsonl"].splitlines()]
    queries = [line.split("\t") for line in files[".queries.tsv"].splitlines()[1:]]
    assert {row[0] for row in qrels} == {row[0] for row in queries}
    assert {row[2] for row in qrels} == {row["_id"] for row in passages}
    assert {row[3] for row in qrels} == {"-1"}


def test_a_sheet_that_somebody_may_be_filling_in_is_not_overwritten(tmp_path) -> None:
    place = SheetDataset(filepath=str(tmp_path / "sheet.csv"))
    place.save({"": "a\r\n", ".key.csv": "k"})
    assert (tmp_path / "sheet.csv").read_bytes() == b"a\r\n"
    assert (tmp_path / "sheet.key.csv").read_text() == "k"
    place.save({"": "a\r\n", ".key.csv": "k"})
    (tmp_path / "sheet.csv").write_text("a,3\r\n")
    with pytest.raises(DatasetError, match=r"sheet\.csv: another sheet is there"):
        place.save({"": "a\r\n", ".key.csv": "k"})
    assert "3" in (tmp_path / "sheet.csv").read_text()
