"""People's own queries."""

from __future__ import annotations

import json

import pytest

from relevance_distillery.errors import UserError
from relevance_distillery.schemas import Queries
from relevance_distillery.synthesizers.query_log import QueryLog


def read(path, content):
    path.write_text(content)
    table, counts = QueryLog.parse(path).read()
    return Queries.validate(table), counts


def test_csv_merges_and_adds_frequencies(tmp_path):
    table, counts = read(tmp_path / "log.csv", "query,count\nPTO,3\npto ,4\n,9\nhotel cap,\n")
    assert table[["text", "frequency"]].to_numpy().tolist() == [["PTO", 7], ["hotel cap", 1]]
    assert set(table["style"]) == {"real"}
    assert set(table["passage_id"]) == {""}
    assert counts == {"rows": 4, "blank": 1, "too_long": 0, "merged": 1}


def test_text_file_with_blank_lines(tmp_path):
    table, counts = read(tmp_path / "log.txt", "pto\n\n  \nhotel cap\n" + "x" * 2_000 + "\n")
    assert table["text"].tolist() == ["pto", "hotel cap"]
    assert (counts["blank"], counts["too_long"]) == (2, 1)


def test_beir_sets_keep_their_ids(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rows = [{"_id": "7", "text": "pto"}, {"_id": "8", "text": "PTO"}]
        content = "\n".join(map(json.dumps, rows))
        (tmp_path / name / "queries.jsonl").write_text(content)
    table, counts = QueryLog.parse(f"{tmp_path / 'one'};{tmp_path / 'two'}").read()
    assert table["query_id"].tolist() == ["one/7", "one/8", "two/7", "two/8"]
    assert counts["merged"] == 0


def test_no_log_is_an_empty_table():
    table, _ = QueryLog.parse(None).read()
    assert Queries.validate(table).empty


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name,count\nx,1\n", "needs the column query .*has name, count"),
        ("query,count\nx,1\ny,often\n", "row 3: count must be a whole number"),
        ("query_id,query\n1,x\n1,y\n", "rows 2 and 3: the same query id '1' twice"),
        ("query\n\n", "holds no query"),
    ],
)
def test_bad_logs(tmp_path, content, says):
    with pytest.raises(UserError, match=says):
        read(tmp_path / "log.csv", content)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        QueryLog.parse(tmp_path / "log.csv").read()
