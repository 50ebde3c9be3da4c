"""Files of grades by any judge: every way in which they can be odd, and what becomes of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relevance_distillery.collections.benchmark import Benchmark, load_benchmark
from relevance_distillery.collections.benchmark_pairs import folders, judged_pairs
from relevance_distillery.collections.id_matching import normalised
from relevance_distillery.collections.judge_files import (
    JudgeFiles,
    JudgeGrades,
    NothingInCommonError,
    join_judges,
    named_files,
    read_judge,
)
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.io.tables import distinct_names, stem_of

QRELS = "q1 0 d1 3\nq1 0 d2 0\nq2 0 d1 1\nq2 0 d3 2\n"
HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    return people(tmp_path, QRELS)


def people(folder: Path, qrels: str) -> Benchmark:
    path = folder / "people.qrels"
    path.write_text(qrels)
    return load_benchmark(path, SCALE, texts_needed=False)


def judge(path: Path, text: str, benchmark: Benchmark, **columns: str) -> JudgeGrades:
    path.write_text(text)
    return read_judge(stem_of(path), path, benchmark, columns)


def values(found: JudgeGrades) -> dict[str, float]:
    pairs = found.table["query_id"] + "/" + found.table["document_id"]
    return dict(zip(pairs, found.table["value"], strict=True))


ALL = {"q1/d1": 2.0, "q1/d2": 0.0, "q2/d1": 1.0, "q2/d3": 3.0}


def _tsv(separator: str, names: str) -> str:
    rows = [[*name.split("/"), f"{grade:g}"] for name, grade in ALL.items()]
    return "\n".join([names, *(separator.join(row) for row in rows)]) + "\n"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.tsv", _tsv("\t", "query-id\tcorpus-id\tscore")),
        ("a.csv", _tsv(",", "query_id,document_id,grade")),
        ("a.csv", _tsv(",", "qid,docid,label")),
        ("a.qrels", "q1 0 d1 2\nq1 0 d2 0\nq2 0 d1 1\nq2 0 d3 3\n"),
        ("a.tsv", "q1\tQ0\td1\t2\nq1\tQ0\td2\t0\nq2\tQ0\td1\t1\nq2\tQ0\td3\t3\n"),
        (
            "a.jsonl",
            "".join(
                json.dumps(
                    {
                        "query_id": name[:2],
                        "document_id": name[3:],
                        "grade": SCALE.grades[int(g)].name,
                    }
                )
                + "\n"
                for name, g in ALL.items()
            ),
        ),
    ],
)
def test_every_format(tmp_path: Path, benchmark: Benchmark, file: str, text: str) -> None:
    found = judge(tmp_path / file, text, benchmark)
    assert (found.name, found.graded, values(found)) == ("a", True, ALL)
    assert found.facts == {
        "pairs_in_file": 4,
        "matched": 4,
        "missing": 0,
        "unknown": 0,
        "notes": [],
    }
    with gzip.open(tmp_path / f"{file}.gz", "wt") as stream:
        stream.write(text)
    packed = read_judge("a", tmp_path / f"{file}.gz", benchmark, {})
    assert values(packed) == ALL


def test_parquet_with_probabilities_prices_and_times(tmp_path: Path, benchmark: Benchmark) -> None:
    path = tmp_path / "ours.parquet"
    pd.DataFrame(
        {
            "query_id": ["q1", "q1", "q2"],
            "document_id": ["d1", "d2", "d3"],
            "grade": [3, 0, 2],
            "probabilities": [[0.1, 0.1, 0.2, 0.6], None, [0.5, 0.5]],
            "confidence": [0.6, np.nan, 7.0],
            "cost_usd": [0.001, 0.003, np.nan],
            "seconds": [0.5, 1.5, 1.0],
        }
    ).to_parquet(path)
    found = read_judge("ours", path, benchmark, {})
    assert found.table["probabilities"].tolist() == [[0.1, 0.1, 0.2, 0.6], None, None]
    assert found.table["confidence"].isna().tolist() == [False, True, True]
    assert (found.usd.mean(), found.seconds.mean()) == (0.002, 1.0)
    assert found.facts["missing"] == 1
    assert found.facts["notes"] == [
        "left out: 1 lists of probabilities that are not 4 numbers of 0 to 1 that sum to 1",
        "left out: 1 confidences that are not between 0 and 1",
    ]
    table = join_judges(judged_pairs(benchmark)[0], {"ours": found})
    assert table["ours_grade"].isna().tolist() == [False, False, True, False]
    assert str(table["ours_grade"].dtype) == "Int64"
    assert table["ours_probabilities"].tolist() == [[0.1, 0.1, 0.2, 0.6], None, None, None]


def test_probabilities_as_json_in_a_table(tmp_path: Path, benchmark: Benchmark) -> None:
    text = 'query_id,document_id,grade,probabilities\nq1,d1,3,"[0.0,0.0,0.25,0.75]"\nq1,d2,0,\n'
    found = judge(tmp_path / "a.csv", text, benchmark)
    assert found.table["probabilities"].tolist() == [[0.0, 0.0, 0.25, 0.75], None]
    assert found.facts["notes"] == []
    text = text.replace("0.75", "0.85")
    found = judge(tmp_path / "a.csv", text, benchmark)
    assert found.table["probabilities"].tolist() == [None, None]
    assert "1 lists of probabilities" in found.facts["notes"][0]


def test_contradicting_repeated_missing_and_unknown_rows(
    tmp_path: Path, benchmark: Benchmark
) -> None:
    text = (
        HEADER + "q1\td1\t3\nq1\td1\t2\nq1\td2\t0\nq1\td2\t0.0\nq9\td1\t1\nq1\td9\t1\nq9\td1\t2\n"
    )
    found = judge(tmp_path / "a.tsv", text, benchmark)
    assert values(found) == {"q1/d2": 0.0}
    assert found.facts["notes"] == [
        "1 repeated rows count once",
        "left out: 1 pairs with two different grades",
    ]
    assert (found.facts["pairs_in_file"], found.facts["unknown"], found.facts["missing"]) == (
        4,
        2,
        3,
    )


def test_all_pairs_contradicting_is_one_line(tmp_path: Path, benchmark: Benchmark) -> None:
    with pytest.raises(UserError, match="each of its 1 pairs has two different grades"):
        judge(tmp_path / "a.tsv", HEADER + "q1\td1\t3\nq1\td1\t2\n", benchmark)


def test_words_blanks_and_nonsense(tmp_path: Path, benchmark: Benchmark) -> None:
    text = HEADER + "q1\td1\tPerfectly Relevant\nq1\td2\t\nq2\td1\tERROR 429\nq2\td3\trelated\n"
    found = judge(tmp_path / "a.tsv", text, benchmark)
    assert values(found) == {"q1/d1": 3.0, "q2/d3": 1.0}
    assert found.facts["notes"] == [
        "left out: 1 rows without a grade",
        "left out: 1 rows whose grade is neither a number nor a name of the scale",
    ]
    with pytest.raises(UserError, match=r"none of its 1 grades .* perfectly relevant"):
        judge(tmp_path / "b.tsv", HEADER + "q1\td1\tsplendid\n", benchmark)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("2.5", "gives scores, not grades of the scale [0, 1, 2, 3] (2.5 on 1 of 4 pairs)"),
        ("4", "grades go from 0 to 4 and the scale is [0, 1, 2, 3]"),
        ("-1", "grades go from -1 to 3"),
    ],
)
def test_what_is_no_grade_of_the_scale_is_a_score(
    tmp_path: Path, benchmark: Benchmark, last: str, reason: str
) -> None:
    text = HEADER + f"q1\td1\t3\nq1\td2\t0\nq2\td1\t1\nq2\td3\t{last}\n"
    found = judge(tmp_path / "a.tsv", text, benchmark)
    assert not found.graded
    assert reason in found.reason
    assert len(found.table) == 4
    table = join_judges(judged_pairs(benchmark)[0], {"a": found})
    assert table["a_score"].tolist() == [3.0, 0.0, 1.0, float(last)]
    assert "a_grade" not in table


def test_a_hint_on_the_scale(tmp_path: Path, benchmark: Benchmark) -> None:
    found = judge(tmp_path / "a.tsv", HEADER + "q1\td1\t4\n", benchmark)
    assert "set `scale`" in found.reason


def test_a_trec_run_is_a_judge_of_scores(tmp_path: Path, benchmark: Benchmark) -> None:
    text = "q1 Q0 d1 1 12.5 bm25\nq1 Q0 d2 2 12.5 bm25\nq2 Q0 d3 1 3 bm25\n"
    found = judge(tmp_path / "bm25.run", text, benchmark)
    assert (found.name, found.graded) == ("bm25", False)
    assert values(found) == {"q1/d1": 12.5, "q1/d2": 12.5, "q2/d3": 3.0}
    with pytest.raises(UserError, match="a run holds no grades"):
        load_benchmark(tmp_path / "bm25.run", SCALE, texts_needed=False)


@pytest.mark.parametrize(
    ("query", "document"), [("7.0", "12"), (" 7", "12 "), ("007", "0012.0"), ("7", "12.")]
)
def test_ids_of_another_type(tmp_path: Path, query: str, document: str) -> None:
    benchmark = people(tmp_path, "7 0 12 3\n7 0 13 0\n8 0 12 1\n")
    found = judge(
        tmp_path / "a.csv", f"query_id,document_id,grade\n{query},{document},2\n", benchmark
    )
    assert values(found) == {"7/12": 2.0}
    plain = not found.facts["notes"]
    assert plain == (query.strip() == "7" and document.strip() == "12")


def test_ids_are_normalised_only_where_they_stay_distinct(tmp_path: Path) -> None:
    benchmark = people(tmp_path, "7 0 12 3\n007 0 12 0\n")
    with pytest.raises(NothingInCommonError):
        judge(tmp_path / "a.csv", "query_id,document_id,grade\n7.0,12,2\n", benchmark)


def test_numbers_in_parquet_are_ids(tmp_path: Path) -> None:
    benchmark = people(tmp_path, "7 0 12 3\n7 0 13 0\n")
    path = tmp_path / "a.parquet"
    pd.DataFrame({"query_id": [7.0], "document_id": [12], "grade": [1.0]}).to_parquet(path)
    assert values(read_judge("a", path, benchmark, {})) == {"7/12": 1.0}


@given(st.integers(min_value=0, max_value=10**9))
def test_normalising_keeps_numbers_apart(number: int) -> None:
    assert normalised(str(number)) == normalised(f" {number}.0 ") == normalised(f"00{number}")
    assert normalised(str(number)) != normalised(str(number + 1))
    assert normalised(f"d{number}.0") == f"d{number}.0"


def test_no_pair_in_common_says_what_is_known(tmp_path: Path, benchmark: Benchmark) -> None:
    with pytest.raises(NothingInCommonError, match="1 rows name a known query, 0 a known") as error:
        judge(tmp_path / "a.tsv", HEADER + "q1\tx\t1\ny\tx\t1\n", benchmark)
    assert "\n" not in str(error.value)


def test_queries_by_their_texts(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(
        "query_id,query,document_id,grade\nq1,berth fees,d1,3\nq2,who signs,d1,0\n"
    )
    benchmark = load_benchmark(tmp_path / "people.csv", SCALE)
    found = judge(tmp_path / "a.csv", "query,document_id,grade\nwho signs,d1,1\n", benchmark)
    assert values(found) == {"q2/d1": 1.0}
    assert found.facts["notes"] == ["queries were matched by their texts"]


def test_several_annotators_in_a_judge_s_file(tmp_path: Path, benchmark: Benchmark) -> None:
    text = "query_id,document_id,annotator,grade\n" + "".join(
        f"q1,d1,{name},{grade}\n" for name, grade in (("a", 3), ("b", 1), ("c", 2), ("d", 3))
    )
    found = judge(tmp_path / "a.csv", text, benchmark)
    assert values(found) == {"q1/d1": 2.0}
    assert found.facts["notes"] == ["the lower median of 4 annotators counts"]


def test_mapped_columns(tmp_path: Path, benchmark: Benchmark) -> None:
    text = "topic_no,sku,stars\nq1,d1,3\n"
    names = {"query_id": "topic_no", "document_id": "sku", "grade": "stars"}
    assert values(judge(tmp_path / "a.csv", text, benchmark, **names)) == {"q1/d1": 3.0}
    with pytest.raises(UserError, match=r"has no column rating; has topic_no, sku, stars"):
        judge(tmp_path / "a.csv", text, benchmark, **(names | {"grade": "rating"}))
    with pytest.raises(UserError, match=r"grade_columns\.stars: no such column of grades; known"):
        judge(tmp_path / "a.csv", text, benchmark, stars="grade")
    with pytest.raises(UserError, match=r'such as --params="grade_columns\.document_id=NAME"'):
        judge(tmp_path / "a.csv", text, benchmark)


def test_names_of_judges(tmp_path: Path) -> None:
    assert stem_of(Path("x/gpt-4.1.tsv.gz")) == "gpt-4.1"
    assert stem_of(Path("qrels.model-v2")) == "qrels.model-v2"
    paths = ["one/judges/gpt.tsv", "two/judges/gpt.csv", "three/ours.parquet"]
    assert distinct_names([Path(path) for path in paths]) == ["one-gpt", "two-gpt", "ours"]
    same = [Path("a/gpt.tsv"), Path("a/gpt.csv")]
    assert distinct_names(same) == ["gpt", "gpt-2"]


def test_recorded_judges_of_the_benchmark_by_name(tmp_path: Path) -> None:
    (tmp_path / "set" / "qrels").mkdir(parents=True)
    (tmp_path / "set" / "judges").mkdir()
    (tmp_path / "set" / "qrels" / "human.tsv").write_text(HEADER + "q1\td1\t3\n")
    (tmp_path / "set" / "judges" / "big.tsv").write_text(HEADER + "q1\td1\t2\n")
    benchmark = load_benchmark(tmp_path / "set", SCALE, texts_needed=False)
    assert named_files(JudgeFiles.parse("big"), benchmark) == {"big": "big"}
    with pytest.raises(UserError, match=r"small: no such file .* \(it has: big\)"):
        named_files(JudgeFiles.parse("big;small"), benchmark)
    with pytest.raises(UserError, match="big is given twice"):
        named_files(JudgeFiles.parse("big;big"), benchmark)
    with pytest.raises(UserError, match="no judge was given"):
        named_files(JudgeFiles.parse(None), benchmark)


def test_a_versioned_table_of_labels_is_a_judge(tmp_path: Path, benchmark: Benchmark) -> None:
    for version, grade in (("v1", 0), ("v2", 3)):
        folder = tmp_path / "labels.parquet" / version
        folder.mkdir(parents=True)
        table = pd.DataFrame({"query_id": ["q1"], "passage_id": ["d1"], "grade": [grade]})
        table.to_parquet(folder / "labels.parquet")
    files = named_files(JudgeFiles.parse(str(tmp_path / "labels.parquet")), benchmark)
    path = files["labels"]
    assert isinstance(path, Path)
    assert values(read_judge("labels", path, benchmark, {})) == {"q1/d1": 3.0}


@pytest.mark.parametrize("text", ["", HEADER])
def test_an_empty_file(tmp_path: Path, benchmark: Benchmark, text: str) -> None:
    with pytest.raises(UserError, match="holds no grades"):
        judge(tmp_path / "a.tsv", text, benchmark)


def test_folders_of_documents() -> None:
    paths = ["docs/hr/a.md", "docs/hr/leave/b.md", "docs/it/c.md", "docs/top.md"]
    assert folders(pd.DataFrame({"path": paths})) == ["hr", "hr", "it", ""]
    addresses = ["https://x.org/en/a/1", "https://x.org/de/2", ""]
    assert folders(pd.DataFrame({"path": addresses})) == ["en", "de", ""]
    told = pd.DataFrame({"path": ["a/b/c", "a/d/e"], "metadata": ['{"department": "Legal"}', "{}"]})
    assert folders(told) == ["Legal", "d"]
