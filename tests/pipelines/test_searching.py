"""`kedro run --pipeline=search`: from queries to a run that `evaluate` reads."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import tiny_models
from checkout import Project
from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.errors import UserError
from relevance_distillery.io.trec import read_run
from relevance_distillery.query_encoders.reference import write_reference
from relevance_distillery.retriever import flavor, searching
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.searching import RetrieverShelf, Searcher, write_run

LABELS, QUERIES, PASSAGES = tiny_models.tables()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `retriever` and the index that it made."""
    folder = tmp_path_factory.mktemp("models")
    retriever = Retriever.load(tiny_models.retriever(folder), precision="fp32")
    PassageIndex.build(retriever, PASSAGES, folder / "retriever_index")
    return folder


@pytest.fixture(scope="module")
def parts(models: Path) -> tuple[Retriever, PassageIndex]:
    retriever = Retriever.load(models / "retriever", precision="fp32")
    return retriever, PassageIndex.load(models / "retriever_index")


def ranked(searcher: Searcher, queries: pd.DataFrame = QUERIES) -> pd.DataFrame:
    return pd.concat(list(searcher.blocks(queries)), ignore_index=True)


def test_search_then_evaluate(models: Path, project: Project, tmp_path: Path) -> None:
    """The champion, from a file of queries to figures; a second version only when it is named."""
    mlflow.set_tracking_uri(f"sqlite:///{project.path}/mlflow.db")
    mlflow.set_experiment("tiny")
    folders = models / "retriever", models / "retriever_index"
    flavor.log_and_register(*folders, "relevance-retriever", {}, {})
    BM25Channel.build(PASSAGES, "none").save(project.path / "data/04_feature/bm25_index")
    asked = [{"_id": q, "text": text} for q, text, _ in QUERIES.itertuples(index=False)]
    asked += [{"_id": "nothing", "text": " "}, {"_id": "long", "text": "w1 " * 10_000}]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    pd.DataFrame(asked).iloc[[*range(40), 41]].to_json(
        tmp_path / "with_text.jsonl", orient="records", lines=True
    )
    runs = tmp_path / "runs"
    for name, more in (("dense", "depth=20"), ("fused", "fuse=true,retriever=1")):
        given = f"queries={tmp_path / 'queries.jsonl'},run={runs / name}.run,{more}"
        said = project.kedro("run", "--pipeline=search", f"--params={given}").stdout
        assert "1 queries without a text, such as nothing" in said
        assert "1 queries, such as long, have more than 24 words" in said
        assert "41 queries, " in said
        assert f"queries/s → {runs / name}.run" in said
    dense, fused = read_run(runs / "dense.run"), read_run(runs / "fused.run")
    assert (dense.groupby("query_id").size() == 20).all()
    assert set(dense["tag"]) == {Retriever.load(folders[0]).name}
    assert set(fused["tag"]) == {Retriever.load(folders[0]).name + "+bm25"}
    assert set(fused["document_id"]) <= set(PASSAGES["document_id"])

    grades = LABELS.merge(PASSAGES, on="passage_id").groupby(["query_id", "document_id"])["grade"]
    known, documents = grades.max().to_dict(), PASSAGES["document_id"].unique()
    pairs = [
        (query, document) for query in [*QUERIES["query_id"], "long"] for document in documents
    ]
    lines = [f"{query} 0 {document} {known.get((query, document), 0)}" for query, document in pairs]
    (tmp_path / "human.qrels").write_text("\n".join(lines))
    given = f"runs={runs},judge=none,human_judgments={tmp_path / 'human.qrels'}"
    given += f",judgment_queries={tmp_path / 'with_text.jsonl'}"
    project.kedro("run", "--pipeline=evaluate", f"--params={given}")
    found = json.loads(project.newest("08_reporting/evaluation.json").read_text())["systems"]
    # Random weights know nothing, the words of the query do.
    value = {name: one["measures"]["nDCG@10"]["people"]["estimate"] for name, one in found.items()}
    assert value["fused"] > value["dense"]


def test_bad_input_is_one_line_and_nothing_is_written(project: Project, tmp_path: Path) -> None:
    (tmp_path / "queries.csv").write_text("query_id,text\nq1,w1\n")
    (tmp_path / "empty.csv").write_text("query_id,text\nq1,\n")
    run = tmp_path / "run.trec"

    def said(params: str) -> str:
        done = project.kedro("run", "--pipeline=search", f"--params={params}", check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stdout
        assert not run.exists()
        return done.stdout

    assert 'say what to search and where to: --params="queries=FILE,run=FILE"' in said("depth=3")
    good = f"queries={tmp_path / 'queries.csv'},run={run}"
    assert "no query has a text" in said(f"queries={tmp_path / 'empty.csv'},run={run}")
    assert "no such file of queries" in said(f"queries={tmp_path / 'nowhere.csv'},run={run}")
    assert "ends with .run" in said(f"queries={tmp_path / 'queries.csv'},run={tmp_path / 'a.csv'}")
    assert "no such registered retriever" in said(good)
    assert "no such registered retriever" in said(f"{good},retriever={tmp_path}")
    assert "no such registered query encoder" in said(f"{good},query_encoder=champion")
    assert "greater than or equal to 1" in said(f"{good},depth=0")


def test_a_document_stands_where_its_best_passage_does(
    parts: tuple[Retriever, PassageIndex],
) -> None:
    retriever = parts[0]
    passages = ranked(Searcher(*parts, None, by_document=False, depth=len(PASSAGES)))
    documents = ranked(Searcher(*parts, None, by_document=True, depth=len(PASSAGES)))
    assert len(passages) == len(QUERIES) * len(PASSAGES)
    every = (
        retriever.encode_queries(QUERIES["text"].tolist()) @ retriever.encode_passages(PASSAGES).T
    )
    for place, query in enumerate(QUERIES["query_id"]):
        best = pd.Series(every[place]).groupby(PASSAGES["document_id"]).max()
        found = documents[documents["query_id"] == query]
        assert found["rank"].tolist() == list(range(1, len(best) + 1))
        np.testing.assert_allclose(found["score"], best[found["document_id"]], atol=2e-6)
        assert (np.diff(found["score"]) <= 0).all()


def test_documents_of_many_passages_leave_no_query_short(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred of the passages are one document's."""
    monkeypatch.setattr(searching, "_LEAST", 4)
    retriever = Retriever.load(models / "retriever", precision="fp32")
    big = PASSAGES.assign(document_id=PASSAGES["document_id"].where(PASSAGES.index >= 200, "big"))
    index = PassageIndex.build(retriever, big, tmp_path / "index")
    found = ranked(Searcher(retriever, index, None, by_document=True, depth=4))
    whole = ranked(Searcher(retriever, index, None, by_document=True, depth=1000))
    assert (found.groupby("query_id").size() == 4).all()
    assert found["query_id"].drop_duplicates().tolist() == QUERIES["query_id"].tolist()
    first = whole[whole["rank"] <= 4].reset_index(drop=True)
    assert (found["document_id"] == first["document_id"]).all()


def test_ranks_are_those_that_trec_eval_reads_and_ids_may_hold_blanks(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    retriever = Retriever.load(models / "retriever", precision="fp32")
    table = pd.concat([PASSAGES.head(3)] * 3, ignore_index=True)
    names = [f"HR/Travel policy {n}.md" for n in range(9)]
    table = table.assign(passage_id=names, document_id=names)
    index = PassageIndex.build(retriever, table, tmp_path / "index")
    path = tmp_path / "runs" / "a.run"
    with caplog.at_level(logging.INFO):
        write_run(Searcher(retriever, index, None, True, 100), QUERIES.head(2), path)
    assert caplog.messages[-1].startswith("2 queries, 18 rows, ")
    run = read_run(path)
    assert set(run["document_id"]) == set(names)
    # Copies tie: of equal scores trec_eval puts the larger id first.
    for _, one in run.groupby("query_id"):
        again = one.sort_values(["score", "document_id"], ascending=False)
        assert one["document_id"].tolist() == again["document_id"].tolist()
    assert [part.name for part in path.parent.iterdir()] == ["a.run"]
    broken = table.assign(document_id=["a\tb", *names[1:]])
    index = PassageIndex.build(retriever, broken, tmp_path / "index")
    with pytest.raises(UserError, match="holds a tab"):
        write_run(Searcher(retriever, index, None, True, 100), QUERIES.head(2), tmp_path / "b.run")


def test_an_index_of_another_model_or_other_passages_is_refused(
    models: Path, tmp_path: Path
) -> None:
    shelf = RetrieverShelf("nobody", str(tmp_path / "retriever_index"), str(tmp_path / "bm25"))
    named = tmp_path / "retriever" / "v1"
    tiny_models.retriever(named, max_length=9)
    with pytest.raises(UserError, match="no index of passages; run kedro run"):
        shelf.find(str(named / "retriever"))
    stored = tmp_path / "retriever_index"
    own, theirs = Retriever.load(named / "retriever"), Retriever.load(models / "retriever")
    PassageIndex.build(theirs, PASSAGES, stored / "v2" / "retriever_index")
    with pytest.raises(UserError, match="the index was made by the retriever"):
        shelf.find(str(named / "retriever"))
    # One that the same run made comes before the newest.
    PassageIndex.build(own, PASSAGES.head(9), stored / "v1" / "retriever_index")
    assert len(shelf.find(str(named / "retriever"))[1]) == 9
    BM25Channel.build(PASSAGES, "none").save(tmp_path / "bm25")
    with pytest.raises(UserError, match="fuse=true: the BM25 index has other passages"):
        shelf.bm25(shelf.find(str(named / "retriever"))[1])


def test_a_folders_query_encoder_searches_its_references_index_alone(
    parts: tuple[Retriever, PassageIndex], models: Path, tmp_path: Path
) -> None:
    shelf = RetrieverShelf("nobody", str(models / "retriever_index"), str(tmp_path / "bm25"))
    own = write_reference(parts[0], tmp_path / "own")
    found = shelf.find(str(models / "retriever"), str(own))
    asked = tmp_path / "a.run", tmp_path / "b.run"
    for (encoder, index), run in zip((found, parts), asked, strict=True):
        write_run(Searcher(encoder, index, None, True, 20), QUERIES, run)
    ours, theirs = (read_run(run).sort_values(["query_id", "document_id"]) for run in asked)
    assert ours["document_id"].tolist() == theirs["document_id"].tolist()
    other = Retriever.load(tiny_models.retriever(tmp_path, max_length=9))
    foreign = write_reference(other, tmp_path / "foreign")
    with pytest.raises(UserError, match="is for that of another model"):
        shelf.find(str(models / "retriever"), str(foreign))
