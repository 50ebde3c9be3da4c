"""Reading runs: the order of trec_eval, ties, duplicates, broken files, ids of another type."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from relevance_distillery.collections.system_runs import match_ids, ranking, read_runs
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.pools import (
    complete_queries,
    judged_share,
    make_pool,
    reordered,
)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_format_gives_the_same_ranking(tmp_path: Path) -> None:
    rows = [("q1", "b", 2.0), ("q1", "a", 3.0), ("q2", "a", -1.0), ("q2", "c", 0.5)]
    table = pd.DataFrame(rows, columns=["query_id", "document_id", "score"])
    write(tmp_path / "one.run", *(f"{q} Q0 {d} 9 {s} mine" for q, d, s in rows))
    with gzip.open(tmp_path / "two.trec.gz", "wt") as stream:
        stream.writelines(f"{q}\tQ0\t{d}\t9\t{s}\n" for q, d, s in rows)
    table.to_csv(tmp_path / "three.csv", index=False)
    table.to_parquet(tmp_path / "four.parquet", index=False)
    ranks = table.assign(rank=[2, 1, 2, 1]).drop(columns="score")
    ranks.rename(columns={"query_id": "qid", "document_id": "docno"}).to_csv(
        tmp_path / "five.tsv", sep="\t", index=False
    )
    write(tmp_path / "six", *(f"{r.query_id} {r.document_id} {r.rank}" for r in ranks.itertuples()))
    write(tmp_path / "README.md", "not a run")
    runs = read_runs(tmp_path)
    assert sorted(runs.systems) == ["five", "four", "one", "six", "three", "two"]
    for name in runs.systems:
        own = runs.ranked[runs.ranked["system"] == name]
        assert own["document_id"].tolist() == ["a", "b", "c", "a"], name
        assert own["rank"].tolist() == [1, 2, 1, 2]
    assert runs.facts["one"]["tags"] == ["mine"]
    assert read_runs(f"{tmp_path / 'one.run'};{tmp_path / 'six'}").systems == ("one", "six")


def _rows(documents: list[str], scores: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"query_id": "q", "document_id": documents, "score": scores})


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=1, unique_by=lambda r: r[0])
)
def test_ties_stand_as_in_trec_eval(rows: list[tuple[int, int]]) -> None:
    documents = [f"d{name}" for name, _ in rows]
    scores = [float(score) for _, score in rows]
    table = ranking(_rows(documents, scores))
    # One relevant document at a time: its reciprocal rank tells where pytrec_eval put it.
    for document, rank in zip(table["document_id"], table["rank"], strict=True):
        evaluator = pytrec_eval.RelevanceEvaluator({"q": {document: 1}}, {"recip_rank"})
        found = evaluator.evaluate({"q": dict(zip(documents, scores, strict=True))})
        assert found["q"]["recip_rank"] == pytest.approx(1.0 / rank)


def test_scores_are_compared_as_trec_eval_keeps_them() -> None:
    # Equal as 32-bit numbers, so the larger id stands first.
    table = ranking(_rows(["a", "b"], [1.0 + 1e-9, 1.0]))
    assert table["document_id"].tolist() == ["b", "a"]
    assert table["level"].tolist() == [1, 1]


def test_duplicates_count_once_where_they_stand_first(tmp_path: Path) -> None:
    write(tmp_path / "a.run", "q Q0 d 1 1.0 t", "q Q0 e 2 2.0 t", "q Q0 d 3 9.0 t")
    runs = read_runs(tmp_path)
    assert runs.ranked["document_id"].tolist() == ["e", "d"]
    assert runs.facts["a"]["duplicates"] == 1


def test_ids_with_blanks_are_whole_between_tabs(tmp_path: Path) -> None:
    write(tmp_path / "a.run", "q 1\tQ0\tHR/my file.md\t1\t2.0\tour engine")
    write(tmp_path / "b.run", "q\u00a01 Q0 my\u00a0file.md 1 2.0 our engine")
    rows = read_runs(tmp_path).ranked[["query_id", "document_id"]].to_numpy().tolist()
    assert rows == [["q 1", "HR/my file.md"], ["q\u00a01", "my\u00a0file.md"]]


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("a.run", ["q Q0 d 1 2.0 t", "q Q0 e 2"], "row 2: 4 cells where TREC runs have 6"),
        ("a.run", ["q Q0 d 1 high t"], "row 1: the score 'high' is no finite number"),
        ("a.run", ["q Q0 d 1 nan t"], "row 1: the score 'nan'"),
        ("a.run", ["q Q0 my file.md 1 2.0 t"], "row 1: rank and score are not where"),
        ("a.run", ["q Q0 part 2 1 2.0 t"], "row 1: rank and score are not where"),
        ("a.run", ["q\tQ0\tmy file.md\tbest\t2.0\tt"], "row 1: rank and score are not where"),
        ("a.run", ["q\tQ0\td\t1\t2.0\tt\tmore"], "row 1: 7 cells where TREC runs have 6"),
        ("a.csv", ["query_id,document_id", "q,d"], "needs the column score"),
        ("a.csv", ["query_id,document_id,score", ",d,1"], "row 2: empty query id"),
        ("a.csv", ["query_id,document_id,rank", "q,d,"], "row 2: the rank '' is no"),
        ("a.run", [""], "holds no ranked document"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, name: str, lines: list[str], said: str) -> None:
    write(tmp_path / name, *lines)
    with pytest.raises(UserError, match=said) as error:
        read_runs(tmp_path)
    assert str(tmp_path / name) in str(error.value)


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        read_runs(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        read_runs(tmp_path / "absent")
    write(tmp_path / "a.run", "q Q0 d 1 1 t")
    write(tmp_path / "a.csv", "query_id,document_id,score", "q,d,1")
    with pytest.raises(UserError, match=r"is called a too"):
        read_runs(tmp_path)


def test_pool_and_judged_share(tmp_path: Path) -> None:
    write(tmp_path / "x.run", *(f"q Q0 d{n} 1 {-n} t" for n in range(5)))
    write(tmp_path / "y.run", *(f"q Q0 d{n} 1 {n} t" for n in range(5)), "p Q0 d1 1 1 t")
    runs = read_runs(tmp_path)
    pool = make_pool(runs, 2)
    assert set(zip(pool["query_id"], pool["document_id"], strict=True)) == {
        ("q", "d0"), ("q", "d1"), ("q", "d3"), ("q", "d4"), ("p", "d1"),
    }  # fmt: skip
    graded = pool[pool["document_id"].isin(["d0", "d1"])]
    assert judged_share(runs, 2, graded) == {"x": 1.0, "y": pytest.approx(1 / 3)}
    assert complete_queries(pool, pool["document_id"].isin(["d0", "d1"])) == ["p"]


def test_order_of_ties_moves_only_what_ties(tmp_path: Path) -> None:
    write(tmp_path / "x.run", "q Q0 a 1 3 t", "q Q0 b 2 2 t", "q Q0 c 3 2 t", "q Q0 d 4 1 t")
    runs = read_runs(tmp_path)
    grade = runs.ranked["document_id"].map({"a": 0, "b": 3, "c": 1})
    best, worst = (
        reordered(runs, grade, one).ranked["document_id"].tolist() for one in (True, False)
    )
    assert best == ["a", "b", "c", "d"]
    assert worst == ["a", "c", "b", "d"]
    missing = pd.Series([np.nan, np.nan, 0, 3.0])
    assert reordered(runs, missing, True).ranked["rank"].tolist() == [1, 2, 3, 4]


def known(queries: list[str], documents: list[str]) -> dict[str, pd.DataFrame]:
    names = {"query_id": queries, "document_id": documents}
    return {name: pd.DataFrame({name: ids}, dtype=str) for name, ids in names.items()}


def test_ids_of_another_type_find_their_own(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", "query_id,document_id,score", "7.0,0012,1", "8.0,13,2")
    runs, notes = match_ids(read_runs(tmp_path), **known(["7", "8"], ["12", "13"]))
    assert notes == ["ids were matched as numbers: decimals and leading zeros do not count"]
    assert runs.ranked["query_id"].tolist() == ["7", "8"]
    assert runs.ranked["document_id"].tolist() == ["12", "13"]
    # Two known ids that would be one stay apart.
    same, notes = match_ids(read_runs(tmp_path), **known(["7", "07"], []))
    assert not notes
    assert same.ranked["query_id"].tolist() == ["7.0", "8.0"]


def test_two_ids_of_a_run_never_become_one(tmp_path: Path) -> None:
    write(tmp_path / "x.run", "q Q0 7.0 1 2 t", "q Q0 007 2 1 t")
    runs, notes = match_ids(read_runs(tmp_path), **known(["q"], ["7"]))
    assert not notes
    assert runs.ranked["document_id"].tolist() == ["7.0", "007"]
