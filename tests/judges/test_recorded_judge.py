"""Grades from files, and the judge that answers from them."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.collections.recorded_grades import (
    RecordedGrades,
    read_recorded_grades,
)
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.judges.registry import restore_judge

BEIR = "query-id\tcorpus-id\tscore\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read_grade_file(path):
    return read_recorded_grades(str(path), None).grades


def pairs(*keys):
    table = pd.DataFrame({column: [""] * len(keys) for column in PAIR_COLUMNS})
    table[["query_id", "document_id"]] = list(keys)
    table["passage_id"] = table["document_id"]
    return table


def test_tsv_csv_and_parquet_read_the_same(tmp_path):
    rows = [("1", "a", 0), ("1", "b", 3)]
    write(tmp_path / "j.tsv", BEIR + "1\ta\t0\n1\tb\t3\n")
    write(tmp_path / "j.csv", "query_id,document_id,grade,note\n1,a,0,x\n1,b,3.0,y\n")
    pd.DataFrame(rows, columns=["query_id", "document_id", "grade"]).to_parquet(
        tmp_path / "j.parquet"
    )
    pd.read_csv(tmp_path / "j.tsv", sep="\t").to_csv(tmp_path / "j.tsv.gz", sep="\t", index=False)

    for name in ("j.tsv", "j.csv", "j.parquet", "j.tsv.gz"):
        table = read_grade_file(tmp_path / name)
        assert list(table.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1\ta\t1\n1\tb\t2\n1\ta\t2\n", r"rows 2 and 4: grades 1 and 2 for the same pair"),
        ("1\ta\tgood\n", r"row 2.*not a whole number"),
        ("1\ta\t1.5\n", r"row 2.*not a whole number"),
        ("1\ta\t1\n\tb\t1\n", r"row 3: empty query id"),
        ("1\ta\t1\n2\t\t1\n", r"row 3: empty document id"),
    ],
)
def test_bad_rows_are_named(tmp_path, body, message):
    path = write(tmp_path / "j.tsv", BEIR + body)

    with pytest.raises(UserError, match=rf"j\.tsv, {message}"):
        read_grade_file(path)


def test_missing_columns_wrong_kinds_and_broken_files(tmp_path):
    with pytest.raises(UserError, match=r"needs the column document_id; has query-id"):
        read_grade_file(write(tmp_path / "a.tsv", "query-id\tscore\n1\t2\n"))
    with pytest.raises(UserError, match=r"has the kind|unknown kind|cells where TREC"):
        read_grade_file(write(tmp_path / "a.xlsx", "x"))
    (tmp_path / "b.tsv").write_bytes(b"query-id\tcorpus-id\tscore\n\xff\xfe\t1\t1\n")
    with pytest.raises(UserError, match="UTF-8"):
        read_grade_file(tmp_path / "b.tsv")
    with pytest.raises(UserError, match="is not a Parquet file"):
        read_grade_file(write(tmp_path / "c.parquet", "not parquet"))


def test_repeated_equal_rows_are_merged(tmp_path):
    assert len(read_grade_file(write(tmp_path / "j.tsv", BEIR + "1\ta\t1\n1\ta\t1\n"))) == 1


def test_every_row_of_an_annotator_is_a_vote_and_the_lower_median_counts(tmp_path):
    text = "query_id,document_id,annotator,grade\n1,a,ann,0\n1,a,ann,2\n1,a,bob,3\n1,b,ann,3\n"
    table = read_grade_file(write(tmp_path / "j.csv", text + "1,b,ann,1\n"))
    assert list(table.itertuples(index=False, name=None)) == [("1", "a", 2), ("1", "b", 1)]


def test_folders_name_their_judges_and_prefix_their_ids(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name / "judges" / "gpt.tsv", BEIR + "1\ta\t1\n")
        write(tmp_path / name / "qrels" / "human.tsv", BEIR + "1\ta\t2\n")
    one, both = str(tmp_path / "one"), f"{tmp_path / 'one'}; {tmp_path / 'two'}"

    assert read_recorded_grades(one, "gpt").grades["query_id"].tolist() == ["1"]
    assert read_recorded_grades(one, "human").grades["grade"].tolist() == [2]
    found = read_recorded_grades(both, "gpt")
    assert found.name == "gpt"
    assert found.grades["document_id"].tolist() == ["one/a", "two/a"]
    with pytest.raises(UserError, match=r"no judge 'gtp'.*use one of gpt, human"):
        read_recorded_grades(one, "gtp")
    with pytest.raises(UserError, match="judge=NAME"):
        read_recorded_grades(one, None)
    with pytest.raises(UserError, match="no such file or folder"):
        read_recorded_grades(str(tmp_path / "none"), "gpt")


def test_the_judge_answers_what_it_knows_and_calls_the_rest_missing(tmp_path):
    path = write(tmp_path / "gpt.tsv", BEIR + "1\ta\t1\n1\tb\t3\n")
    judge = RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE)
    asked = pairs(("1", "b"), ("1", "c"), ("2", "a"), ("1", "a"))
    verdicts = [verdict for batch in judge.grade([asked]) for verdict in batch]

    assert judge.name == "gpt"
    assert [verdict.grade for verdict in verdicts] == [3, None, None, 1]
    assert [verdict.status for verdict in verdicts] == ["ok", "missing", "missing", "ok"]
    assert [verdict.request_hash for verdict in verdicts] == judge.request_hashes(asked)
    assert len(set(judge.request_hashes(asked))) == 4


def test_a_mended_grade_is_another_request(tmp_path):
    judges = []
    for text in ("1\ta\t1\n", "1\ta\t2\n"):
        path = write(tmp_path / "gpt.tsv", BEIR + text)
        judges.append(RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE))

    asked = pairs(("1", "a"))
    assert judges[0].request_hashes(asked) != judges[1].request_hashes(asked)


def test_the_state_is_json_and_makes_the_same_judge(tmp_path):
    path = write(tmp_path / "gpt.tsv", BEIR + "1\ta\t1\n1\tb\t3\n2\ta\t0\n")
    judge = RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE)
    again = restore_judge(None, json.loads(json.dumps(judge.to_state())), DEFAULT_SCALE)
    asked = pairs(("1", "a"), ("2", "a"), ("9", "z"))

    assert str(tmp_path) not in json.dumps(judge.to_state())
    assert again.request_hashes(asked) == judge.request_hashes(asked)
    assert list(again.grade([asked])) == list(judge.grade([asked]))


def test_grades_outside_the_scale_and_no_grades_are_refused(tmp_path):
    path = write(tmp_path / "gpt.tsv", BEIR + "1\ta\t1\n1\tb\t7\n1\tc\t-1\n")
    message = r"gpt\.tsv, rows 3, 4: grades '7', '-1' are not on the scale \[0, 1, 2, 3\]"
    with pytest.raises(UserError, match=message):
        RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE)
    table = pd.DataFrame({"query_id": ["1"], "document_id": ["b"], "grade": [7]})
    with pytest.raises(UserError, match=r"document 'b' the grade 7.*scale \[0, 1, 2, 3\]"):
        RecordedJudge(RecordedGrades("gpt", table), DEFAULT_SCALE)
    with pytest.raises(UserError, match="grades=FILE"):
        RecordedJudge(read_recorded_grades(None, None), DEFAULT_SCALE)
