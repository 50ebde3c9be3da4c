"""Ids that are written differently here and there: whose they are is found, or they stay apart."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from relevance_distillery.collections.benchmark import Benchmark, load_benchmark
from relevance_distillery.collections.benchmark_pairs import select_pairs
from relevance_distillery.collections.id_matching import as_named, with_known_ids
from relevance_distillery.collections.judge_files import read_judge
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.collections.system_runs import match_ids, read_runs
from relevance_distillery.documents.source import read_wanted
from relevance_distillery.evaluation.systems.text_sources import TextSources
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.judges.registry import JudgeSources
from relevance_distillery.learning.splits import exclude_benchmarks

ONE = "caf\u00e9/Men\u00fc.md"
TWO = unicodedata.normalize("NFD", ONE)
LETTERS = "ids were matched whether letters such as é are one sign or two"
TEXTS = "queries were matched by their texts"
PATHS = "documents were matched by their paths"
NO_PAIRS = pd.DataFrame(columns=["query_id", "passage_id", "split"])


def people(folder: Path, document: str = ONE) -> Benchmark:
    path = folder / "people.csv"
    path.write_text(f"query_id,query,document_id,grade\nq1,lunch,{document},3\nq1,lunch,b,0\n")
    return load_benchmark(path, SCALE)


def passages(document: str = TWO, path: str = "") -> pd.DataFrame:
    rows = [(document, path), ("b", "b")]
    table = pd.DataFrame(rows, columns=["document_id", "path"]).assign(
        passage_id=[f"{name}#0" for name, _ in rows], title="", heading="", text=["soup", "bread"]
    )
    return table.assign(author="", modified="")


def queries(text: str = "lunch") -> pd.DataFrame:
    return pd.DataFrame({"query_id": ["q1"], "text": [text], "passage_id": [""], "style": [""]})


@pytest.mark.parametrize(
    ("given", "known", "found", "notes"),
    [
        ([TWO, "b"], [ONE, "b"], [ONE, "b"], [LETTERS]),
        ([ONE, "x"], [TWO, "b"], [TWO, "x"], [LETTERS]),
        # Two that would become one stay apart, on either side.
        ([ONE, TWO], [ONE], [ONE, TWO], []),
        (["b", "c"], [ONE, TWO, "c"], ["b", "c"], []),
        # What is known as it stands is that.
        ([TWO], [ONE, TWO], [TWO], []),
        (["a  b.md"], ["a b.md"], ["a b.md"], [LETTERS]),
    ],
)
def test_letters(given: list[str], known: list[str], found: list[str], notes: list[str]) -> None:
    table = pd.DataFrame({"document_id": given})
    read, said = with_known_ids(table, document_id=pd.DataFrame({"document_id": known}))
    assert (read["document_id"].tolist(), said) == (found, notes)


def test_texts_and_paths_name_what_ids_name() -> None:
    known = {
        "query_id": pd.DataFrame({"query_id": ["1", "2"], "text": ["caf\u00e9", "tea"]}),
        "document_id": pd.DataFrame({"document_id": ["7", "8", "9"], "path": ["a.md", "b", "b"]}),
    }
    rows = {"query_id": ["cafe\u0301", "2"], "document_id": ["a.md", "b"]}
    read, said = with_known_ids(pd.DataFrame(rows), **known)
    assert read["query_id"].tolist() == ["1", "2"]
    # Two documents have the path b.
    assert read["document_id"].tolist() == ["7", "b"]
    assert said == [TEXTS, LETTERS, PATHS]


@pytest.mark.parametrize(("judged", "read"), [(ONE, TWO), (TWO, ONE)])
def test_judgments_meet_their_documents(tmp_path: Path, judged: str, read: str) -> None:
    benchmark = people(tmp_path, judged)
    pairs, facts = select_pairs(
        benchmark, passages(read), queries(), pd.DataFrame(), NO_PAIRS, lambda found: found
    )
    assert pairs["text"].tolist() == ["soup", "bread"]
    assert (pairs["document_id"].tolist(), facts["skipped"]) == ([judged, "b"], {})
    labels = pd.DataFrame({"query_id": ["q1"], "passage_id": [f"{read}#0"]})
    _, kept_out = exclude_benchmarks(
        labels, queries(), passages(read), [benchmark], "en", near_duplicate=0.9
    )
    assert kept_out["reasons"]["judged_pair"]["pairs"] == 1


def test_judgments_may_name_paths(tmp_path: Path) -> None:
    benchmark = people(tmp_path, "menu/today.md")
    corpus = passages("doc-17", "menu/today.md")
    assert as_named(corpus, ["menu/today.md"])["document_id"].tolist() == ["menu/today.md", "b"]
    pairs, _ = select_pairs(
        benchmark, corpus, queries(), pd.DataFrame(), NO_PAIRS, lambda found: found
    )
    assert pairs["passage_id"].tolist() == ["doc-17#0", "b#0"]


def test_a_folder_of_graded_pairs(tmp_path: Path) -> None:
    for name in ("qrels", "judges", "annotators"):
        (tmp_path / name).mkdir()
    documents = [{"_id": TWO, "text": "soup"}, {"_id": "b", "text": "bread"}]
    lines = "".join(json.dumps(row) + "\n" for row in documents)
    (tmp_path / "corpus.jsonl").write_text(lines)
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "lunch"}\n')
    header = "query-id\tcorpus-id\tscore\n"
    (tmp_path / "qrels" / "human.tsv").write_text(f"{header}lunch\t{ONE}\t3\nlunch\tb\t0\n")
    (tmp_path / "annotators" / "ada.tsv").write_text(f"{header}q1\t{ONE}\t2\n")
    (tmp_path / "judges" / "big.tsv").write_text(f"{header}lunch\t{ONE}\t1\n")
    for texts_needed in (True, False):
        found = load_benchmark(tmp_path, SCALE, texts_needed=texts_needed)
        pairs = found.judgments[["query_id", "document_id"]].to_numpy().tolist()
        assert pairs == [["q1", TWO], ["q1", "b"]]
        assert found.notes == (TEXTS, LETTERS)
        assert found.annotators["grade"].tolist() == [2]
        assert len(found.documents) == 2
        big = found.judge("big")
        assert big[["query_id", "document_id", "grade"]].to_numpy().tolist() == [["q1", TWO, 1]]
    assert read_wanted(tmp_path / "corpus.jsonl", {ONE})["document_id"].tolist() == [TWO]


def test_a_judge_s_file(tmp_path: Path) -> None:
    path = tmp_path / "judge.csv"
    path.write_text(f"query,document_id,grade\nlunch,{TWO},2\n")
    found = read_judge("judge", path, people(tmp_path), {})
    assert found.table[["query_id", "document_id"]].to_numpy().tolist() == [["q1", ONE]]
    assert found.facts["notes"] == [TEXTS, LETTERS]


def test_a_recorded_teacher(tmp_path: Path) -> None:
    path = tmp_path / "teacher.csv"
    path.write_text(f"query,document_id,grade\nlunch,{ONE},2\nlunch,b.md,1\n")
    corpus = passages().replace({"path": {"b": "b.md"}})
    sources = JudgeSources(
        SCALE, passages=corpus, queries=queries(), recorded=read_recorded_grades(str(path), None)
    )
    pairs = corpus.assign(query_id="q1")
    graded = next(RecordedJudge.prepare("", sources).grade([pairs]))
    assert [one.grade for one in graded] == [2, 1]


def test_runs_of_several_systems(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "new.run").write_text(f"q1\tQ0\t{ONE}\t1\t2.0\tt\n")
    (folder / "old.csv").write_text(f"query,document_id,rank\nlunch,{TWO},1\n")
    benchmark = people(tmp_path)
    runs, notes = match_ids(read_runs(folder), **benchmark.known_ids)
    assert runs.ranked["query_id"].tolist() == ["q1", "q1"]
    assert runs.ranked["document_id"].tolist() == [ONE, ONE]
    assert notes == [TEXTS, LETTERS]
    texts = TextSources().passages(benchmark, passages(TWO), {ONE}, lambda found: found)
    assert texts["document_id"].tolist() == [ONE, "b"]
