"""Graded pairs in all layouts, and what is wrong with them, named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.collections.judgments import read_grades
from relevance_distillery.datasets import BenchmarkDataset
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE as SCALE

HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "judges").mkdir()
    (folder / "annotators").mkdir()
    queries = [{"_id": "q1", "text": "berth fees", "metadata": {"style": "keyword"}}]
    queries.append({"_id": "q2", "text": "who signs"})
    lines(folder / "queries.jsonl", queries)
    lines(folder / "corpus.jsonl", [{"_id": f"d{i}", "text": f"text {i}"} for i in range(3)])
    (folder / "qrels" / "human.tsv").write_text(HEADER + "q1\td0\t3\nq1\td1\t0\nq2\td2\t1\n")
    (folder / "judges" / "big.tsv").write_text(HEADER + "q1\td0\t2\n")
    for name, grade in (("ann", 3), ("bob", 2)):
        (folder / "annotators" / f"{name}.tsv").write_text(HEADER + f"q1\td0\t{grade}\n")
    return folder


def lines(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_beir_folder(beir: Path) -> None:
    found = load_benchmark(beir, SCALE)
    assert (found.name, found.kind, found.human) == ("set", "own_corpus", True)
    assert found.queries["style"].tolist() == ["keyword", ""]
    assert len(found.judgments) == 3
    assert sorted(found.annotators["annotator"]) == ["ann", "bob"]
    big = found.judge("big")
    assert big is not None
    assert big[["query_id", "document_id", "grade"]].to_numpy().tolist() == [["q1", "d0", 2]]
    assert found.judge("other") is None


def test_a_judge_of_several_answers_or_means_has_rounded_and_expected_grades(beir: Path) -> None:
    rows = "q1\td0\t2.25\nq1\td1\t0\nq1\td1\t1\nq1\td1\t1\nq2\td2\t-1\n"
    (beir / "judges" / "big.tsv").write_text(HEADER + rows)
    big = load_benchmark(beir, SCALE).judge("big")
    assert big is not None
    assert big["grade"].tolist() == [2, 1, 0]
    assert big["expected_grade"].round(6).tolist() == [2.25, 0.666667, 0.0]
    (beir / "judges" / "big.tsv").write_text(HEADER + "q1\td0\t3.5\n")
    with pytest.raises(UserError, match=r"big\.tsv, row 2: grade '3\.5' is not on the scale"):
        load_benchmark(beir, SCALE).judge("big")


def test_authored_judgments_of_the_run_s_corpus_are_not_human(beir: Path) -> None:
    (beir / "corpus.jsonl").unlink()
    (beir / "qrels" / "human.tsv").rename(beir / "qrels" / "authored.tsv")
    found = load_benchmark(beir, SCALE)
    assert (found.kind, found.human, found.documents) == ("same_corpus", False, None)


def test_nothing_given_is_held_out() -> None:
    found = BenchmarkDataset(filepath=None).load()
    assert (found.kind, found.human, len(found.judgments)) == ("held_out", False, 0)


def test_csv_with_texts_and_raters(tmp_path: Path) -> None:
    path = tmp_path / "grades.csv"
    path.write_text(
        "query,document_id,grade,annotator\n"
        "berth fees,d0,3,ann\nberth fees,d0,1,bob\nberth fees,d0,2,eve\n"
        "berth fees,d1,perfectly relevant,ann\n"
    )
    found = load_benchmark(path, SCALE)
    assert found.human
    assert dict(zip(found.judgments["document_id"], found.judgments["grade"], strict=True)) == {
        "d0": 2,
        "d1": 3,
    }
    assert len(found.annotators) == 4
    assert found.queries["text"].tolist() == ["berth fees"]


def test_trec_qrels_with_queries(tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("q1 0 d0 3\nq1 0 d1 0\n")
    with pytest.raises(UserError, match="judgment_queries"):
        load_benchmark(qrels, SCALE)
    lines(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "berth fees"}])
    found = load_benchmark(qrels, SCALE, tmp_path / "queries.jsonl")
    assert found.judgments["grade"].tolist() == [3, 0]


@pytest.mark.parametrize("text", ["q1\tberth fees\nq2\tcranes\n", "qid\tquery\nq1\tberth fees\n"])
def test_trec_topics_with_and_without_a_header(tmp_path: Path, text: str) -> None:
    (tmp_path / "qrels.txt").write_text("q1 0 d0 3\n")
    (tmp_path / "topics.tsv").write_text(text)
    found = load_benchmark(tmp_path / "qrels.txt", SCALE, tmp_path / "topics.tsv")
    assert found.queries["text"].tolist() == ["berth fees"]


def test_a_topic_without_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_text("q1 0 d0 3\n")
    (tmp_path / "topics.tsv").write_text("q1\tberth fees\n\nq2\n")
    with pytest.raises(UserError, match="row 3: the query has no text"):
        load_benchmark(tmp_path / "qrels.txt", SCALE, tmp_path / "topics.tsv")


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "grades.parquet"
    pd.DataFrame({"query_id": [7], "document_id": [8], "grade": [2.0]}).to_parquet(path)
    found = read_grades(path, SCALE).grades
    assert found.to_dict("records") == [
        {"query_id": "7", "document_id": "8", "annotator": "", "grade": 2}
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("q1\td0\t9\n", r"row 2: grade '9' is not on the scale"),
        ("q1\td0\t1.5\n", r"row 2: grade '1.5'.* set `scale` \(whole numbers\) in conf/local"),
        ("q1\td0\tgood\n", r"row 2: grade 'good'"),
        ("q1\td0\t\n", r"holds no grades"),
        (
            "q1\td0\t9\nq1\td1\t8\n",
            r"rows 2, 3: grades '9', '8' are not on the scale \[0, 1, 2, 3\]",
        ),
        ("q1\td0\t1\nq1\td0\t2\n", r"each of its 1 pairs has two different grades"),
        ("q1\t\t1\n", r"row 2: empty document id"),
        ("", r"holds no grades"),
    ],
)
def test_bad_grades_name_file_and_row(beir: Path, rows: str, message: str) -> None:
    (beir / "qrels" / "human.tsv").write_text(HEADER + rows)
    with pytest.raises(UserError, match=message) as error:
        load_benchmark(beir, SCALE)
    assert "human.tsv" in str(error.value)
    assert "\n" not in str(error.value)


def test_contradictions_are_left_out_and_counted_or_refused(beir: Path) -> None:
    file = beir / "qrels" / "human.tsv"
    file.write_text(HEADER + "q1\td0\t1\nq1\td0\t2\nq1\td1\t0\nq2\td2\t1\n")
    found = load_benchmark(beir, SCALE)
    assert found.judgments["document_id"].tolist() == ["d1", "d2"]
    reason = "pairs with two different grades by the same person: 1"
    assert found.skipped == {reason: ["q1/d0"]}
    with pytest.raises(DatasetError, match="rows 2 and 3: grades 1 and 2 for the same pair"):
        BenchmarkDataset(filepath=str(beir), contradictions="refuse").load()
    with pytest.raises(UserError, match="rows 2 and 3"):
        read_grades(file, SCALE)


def test_trec_junk_is_the_lowest_grade(beir: Path, tmp_path: Path) -> None:
    (beir / "qrels" / "human.tsv").write_text(HEADER + "q1\td0\t-2\nq1\td1\t-1\nq2\td2\t1\n")
    found = load_benchmark(beir, SCALE)
    assert found.judgments["grade"].tolist() == [0, 0, 1]
    assert found.notes == ("2 grades below 0 (TREC's junk) count as the lowest grade.",)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("query,document_id,grade\nberths,d0,-1\n")
    with pytest.raises(UserError, match="row 2: grade '-1' is not on the scale"):
        load_benchmark(sheet, SCALE)


def test_columns_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("term,sku,stars,text\nberth fees,d0,3,A long description\n")
    names = {"query": "term", "document_id": "sku", "grade": "stars"}
    found = BenchmarkDataset(filepath=str(path), columns=names).load()
    assert found.queries["text"].tolist() == ["berth fees"]
    assert found.judgments[["document_id", "grade"]].to_numpy().tolist() == [["d0", 3]]
    with pytest.raises(UserError, match=r"shop\.csv: has no column star; has term, sku, stars"):
        load_benchmark(path, SCALE, columns=names | {"grade": "star"})
    with pytest.raises(UserError, match=r"needs the column document_id and grade; has term, sku"):
        load_benchmark(path, SCALE)


def test_grades_are_enough_where_no_text_is_needed(beir: Path, tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_text("q1 0 d0 3\nq7 0 d9 0\n")
    found = load_benchmark(tmp_path / "qrels.txt", SCALE, texts_needed=False)
    assert found.queries.to_numpy().tolist() == [["q1", "", ""], ["q7", "", ""]]
    (beir / "qrels" / "human.tsv").write_text(HEADER + "q1\td0\t3\nq9\tgone\t1\n")
    found = load_benchmark(beir, SCALE, texts_needed=False)
    assert len(found.judgments) == 2
    assert found.documents is not None
    assert found.documents["document_id"].tolist() == ["d0"]  # judged ones only
    (beir / "queries.jsonl").unlink()
    (beir / "corpus.jsonl").unlink()
    assert len(load_benchmark(beir, SCALE, texts_needed=False).judgments) == 2
    with pytest.raises(UserError, match=r"has no queries\.jsonl"):
        load_benchmark(beir, SCALE)


def test_several_benchmarks_the_first_decides(beir: Path, tmp_path: Path) -> None:
    other = tmp_path / "more" / "set"
    shutil.copytree(beir, other)
    (other / "qrels" / "human.tsv").write_text(HEADER + "q1\td0\t0\n")
    found = load_benchmark(f"{beir};{other}", SCALE)
    assert [one.name for one in found.everything] == [f"{tmp_path.name}-set", "more-set"]
    assert [len(one.judgments) for one in found.everything] == [3, 1]
    assert found.query_texts() == ["berth fees", "who signs", "berth fees"]
    assert found.judged_documents() == set()
    (beir / "corpus.jsonl").unlink()
    assert load_benchmark(f"{other};{beir}", SCALE).judged_documents() == {"d0", "d1", "d2"}


def test_judges_files_of_other_formats_are_found(beir: Path) -> None:
    (beir / "judges" / "small.csv").write_text("query_id,document_id,grade\nq1,d0,1\n")
    found = load_benchmark(beir, SCALE)
    assert list(found.judge_files) == ["big", "small"]
    small = found.judge("small")
    assert small is not None
    assert small["grade"].tolist() == [1]


def test_missing_columns_and_files(tmp_path: Path, beir: Path) -> None:
    path = tmp_path / "grades.csv"
    path.write_text("question,doc\na,b\n")
    with pytest.raises(UserError, match="needs the column"):
        load_benchmark(path, SCALE)
    with pytest.raises(UserError, match="no such benchmark"):
        load_benchmark(tmp_path / "absent", SCALE)
    (beir / "qrels" / "human.tsv").unlink()
    with pytest.raises(UserError, match=r"qrels/human\.tsv"):
        load_benchmark(beir, SCALE)


def test_unknown_ids_are_counted_and_all_unknown_is_an_error(beir: Path) -> None:
    file = beir / "qrels" / "human.tsv"
    file.write_text(HEADER + "q1\td0\t3\nq1\tnowhere\t1\nq9\td1\t1\nq1\td0\t3\n")
    found = load_benchmark(beir, SCALE)
    assert found.skipped == {
        "judgments of unknown queries: 1": ["q9/d1"],
        "judgments of unknown documents: 1": ["q1/nowhere"],
        "repeated rows": ["1 rows"],
    }
    file.write_text(HEADER + "q1\tnowhere\t3\n")
    with pytest.raises(UserError, match="none of its 1 judgments"):
        load_benchmark(beir, SCALE)


def test_digest_changes_with_a_grade_and_not_with_the_order(beir: Path) -> None:
    before = load_benchmark(beir, SCALE).digest
    file = beir / "qrels" / "human.tsv"
    file.write_text(HEADER + "q2\td2\t1\nq1\td1\t0\nq1\td0\t3\n")
    assert load_benchmark(beir, SCALE).digest == before
    file.write_text(HEADER + "q2\td2\t2\nq1\td1\t0\nq1\td0\t3\n")
    assert load_benchmark(beir, SCALE).digest != before
