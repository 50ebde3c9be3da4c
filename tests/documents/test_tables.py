"""Documents and rows from JSONL, CSV and Parquet."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest

from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.errors import UserError
from relevance_distillery.io.tables import iter_records


def jsonl(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_beir_folder_with_metadata(tmp_path):
    record = {
        "_id": "d1",
        "title": "T",
        "text": "x",
        "metadata": {"path": "a/b.md", "modified": "2024-06-25T10:00:00Z", "team": "sales"},
    }
    content = (json.dumps(record) + "\n").encode()
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(content))
    row = DocumentSource.parse(tmp_path).read().documents.iloc[0]
    assert (row.document_id, row.path, row.modified) == ("d1", "a/b.md", "2024-06-25")
    assert json.loads(row.metadata)["team"] == "sales"


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".tsv"])
def test_tables(tmp_path, suffix):
    table = pd.DataFrame({"id": [7, 8], "body": ["one", None], "title": ["", "two"]})
    path = tmp_path / f"corpus{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    documents = DocumentSource.parse(path).read().documents
    assert documents["document_id"].tolist() == ["7", "8"]
    assert documents["text"].tolist() == ["one", ""]


def test_parquet_strings_stored_as_plain_binary_are_text(tmp_path):
    path = tmp_path / "hive.parquet"
    row = {"id": [b"d1"], "title": ["Caf\u00e9".encode()], "body": [b"open at nine"]}
    pd.DataFrame(row).to_parquet(path)
    document = DocumentSource.parse(path).read().documents.iloc[0]
    assert (document.document_id, document.title, document.text) == (
        "d1",
        "Caf\u00e9",
        "open at nine",
    )
    pd.DataFrame({"id": [b"d1", b"d2"], "body": [b"x", b"\xff"]}).to_parquet(path)
    with pytest.raises(UserError, match=r"row 2: body is binary"):
        DocumentSource.parse(path).read()


def test_several_sets_get_prefixes(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        jsonl(tmp_path / name / "corpus.jsonl", {"_id": "1", "text": name})
    documents = DocumentSource.parse(f"{tmp_path / 'first'};{tmp_path / 'second'}").read().documents
    assert documents["document_id"].tolist() == ["first/1", "second/1"]


def test_duplicate_id_names_file_and_both_rows(tmp_path):
    path = jsonl(
        tmp_path / "c.jsonl", {"_id": "a", "text": "x"}, {"_id": "b"}, {"_id": "a", "text": "y"}
    )
    with pytest.raises(UserError, match=r"c\.jsonl, rows 1 and 3: .*'a'"):
        DocumentSource.parse(path).read()


def test_empty_id_names_the_row(tmp_path):
    path = jsonl(tmp_path / "c.jsonl", {"_id": "a", "text": "x"}, {"_id": " ", "text": "y"})
    with pytest.raises(UserError, match=r"row 2: empty document id"):
        DocumentSource.parse(path).read()


def test_csv_without_needed_columns(tmp_path):
    (tmp_path / "c.csv").write_text("name,notes\nx,y\n")
    with pytest.raises(UserError, match=r"needs the column document_id.*text.*has name, notes"):
        DocumentSource.parse(tmp_path / "c.csv").read()


def test_bad_rows_are_skipped_and_listed(tmp_path):
    path = tmp_path / "c.jsonl"
    good = json.dumps({"_id": "ok", "text": "fine"}).encode()
    empty = json.dumps({"_id": "e", "title": " ", "text": ""}).encode()
    long = json.dumps({"_id": "l", "text": "x" * 60_000}).encode()
    path.write_bytes(b"\n".join([good, b"", b"{not json", b'{"_id": "\xff"}', empty, long, b"[1]"]))
    reading = DocumentSource.parse(path).read(max_document_mb=0.05)
    assert reading.documents["document_id"].tolist() == ["ok"]
    found = dict(zip(reading.skipped["where"], reading.skipped["reason"], strict=True))
    assert found == {
        "row 3": "is not valid JSON",
        "row 4": "is not valid UTF-8: save the file as UTF-8",
        "row 5": "title and text are both empty",
        "row 6": "larger than 0.05 MB",
        "row 7": "is not a JSON object",
    }


def test_a_gzip_bomb_stops(tmp_path):
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * 3_000_000))
    with pytest.raises(UserError, match="more than 1 MB"):
        DocumentSource.parse(path).read(max_unpacked_mb=1)


def test_without_skip_the_first_bad_row_raises(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"a": 1}\nnope\n')
    with pytest.raises(UserError, match=r"q\.jsonl, row 2: is not valid JSON"):
        list(iter_records(path))


def test_limit_is_a_uniform_sample_in_file_order(tmp_path):
    path = jsonl(tmp_path / "c.jsonl", *({"_id": f"{n:03}", "text": "x"} for n in range(200)))
    chosen = DocumentSource.parse(path).read(limit=20, seed=3).documents["document_id"].tolist()
    assert len(chosen) == 20
    assert chosen == sorted(chosen)
    assert max(chosen) > "100"


@pytest.mark.parametrize("name", ["c.parquet", "c.jsonl.gz"])
def test_wrong_content(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=name):
        DocumentSource.parse(tmp_path / name).read()


def test_unknown_kind_of_file(tmp_path):
    (tmp_path / "c.xlsx").write_bytes(b"x")
    with pytest.raises(UserError, match="not a kind of file"):
        DocumentSource.parse(tmp_path / "c.xlsx").read()
