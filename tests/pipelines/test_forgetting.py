"""A document that is forgotten is gone from every stored version, and stays away."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from checkout import make_project
from relevance_distillery.documents.forgetting import ForgottenDocuments, StoredFiles
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.ledger.schema import Completion, Source
from relevance_distillery.pipelines.forgetting.nodes import forget_document
from relevance_distillery.pipelines.forgetting.parameters import ForgettingParameters

JUDGE = SimpleNamespace(name="j", model="m", prompt_hash="h", scale=DEFAULT_SCALE)
SECRET = "the merger with Halcyon"


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path, index=False)


def label(query: str, passage: str, request: str) -> dict:
    chances = np.array([0.1, 0.2, 0.3, 0.4])
    return {
        "query_id": query,
        "passage_id": passage,
        "grade": 3,
        "probabilities": chances,
        "request_hash": request,
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What runs left about `secret.md` and `plain.md`, in two versions of the labels."""
    folder = tmp_path / "data"
    documents = [
        {"document_id": d, "text": t} for d, t in (("secret.md", SECRET), ("plain.md", "x"))
    ]
    write(folder / "02_intermediate/documents.parquet", documents)
    passages = [
        {"passage_id": "secret.md#0", "document_id": "secret.md", "text": SECRET},
        {"passage_id": "plain.md#0", "document_id": "plain.md", "text": "x"},
        {"passage_id": "secret.md#0b", "document_id": "other.md", "text": "y"},
    ]
    write(folder / "02_intermediate/passages.parquet", passages)
    queries = [
        {"query_id": "q1", "text": SECRET, "passage_id": "secret.md#0", "generator": "g"},
        {"query_id": "q2", "text": "x?", "passage_id": "plain.md#0", "generator": "g"},
        {"query_id": "q3", "text": "people's own", "passage_id": "", "generator": "log"},
    ]
    write(folder / "03_primary/queries.parquet/v1/queries.parquet", queries)
    # An older split of the document had one passage more.
    old = [label("q2", "secret.md#1", "a"), label("q2", "plain.md#0", "b")]
    new = [label("q1", "plain.md#0", "c"), label("q3", "secret.md#0", "d"), *old[1:]]
    write(folder / "05_model_input/labels.parquet/v1/labels.parquet", old)
    write(folder / "05_model_input/labels.parquet/v2/labels.parquet", new)
    grades = [{"query_id": "b1", "document_id": d, "grade": 1} for d in ("secret.md", "plain.md")]
    write(folder / "07_model_output/benchmark_grades.parquet/v1/benchmark_grades.parquet", grades)
    index = folder / "04_feature/bm25_index"
    index.mkdir(parents=True)
    (index / "vocabulary.json").write_text(json.dumps(SECRET.split()))
    page = folder / "08_reporting/report.html/v1/report.html"
    page.parent.mkdir(parents=True)
    page.write_text(f"an example quotes {SECRET}")
    ledger = Ledger(folder / "05_model_input/label_ledger.sqlite")
    ledger.record(JUDGE, [Verdict(key, grade=3) for key in "abcd"])
    ledger.record(JUDGE, [Verdict("e", status="timeout")], {"e": Source("q3", "secret.md")})
    ledger.record_completions(
        [
            Completion("f", "queries", "m", "h", "secret.md", SECRET),
            Completion("g", "queries", "m", "h", "plain.md", "x?"),
        ]
    )
    ledger.close()
    return folder


def forget(data: Path, document: str | None) -> None:
    folders = [path for path in sorted(data.iterdir()) if path.is_dir()]
    derived = ("04_feature/bm25_index", "05_model_input/none.json", "08_reporting/report.html")
    forget_document(
        StoredFiles(folders, [data / name for name in derived]),
        Ledger(data / "05_model_input/label_ledger.sqlite"),
        ForgottenDocuments(data / "02_intermediate/forgotten.json"),
        ForgettingParameters(document=document),
    )


def stored(data: Path, name: str) -> list[pd.DataFrame]:
    return [pd.read_parquet(path) for path in sorted(data.glob(f"*/{name}.parquet/*/*.parquet"))]


def check_gone(data: Path) -> None:
    assert SECRET.encode() not in b"".join(
        path.read_bytes() for path in data.rglob("*") if path.is_file()
    )
    assert pd.read_parquet(data / "02_intermediate/documents.parquet")["document_id"].tolist() == [
        "plain.md"
    ]
    kept = pd.read_parquet(data / "02_intermediate/passages.parquet")["passage_id"].tolist()
    assert kept == ["plain.md#0", "secret.md#0b"]
    assert stored(data, "queries")[0]["query_id"].tolist() == ["q2", "q3"]
    assert [table["request_hash"].tolist() for table in stored(data, "labels")] == [["b"], ["b"]]
    assert stored(data, "benchmark_grades")[0]["document_id"].tolist() == ["plain.md"]
    assert not (data / "04_feature/bm25_index").exists()
    ledger = Ledger(data / "05_model_input/label_ledger.sqlite")
    assert set(ledger.lookup("abcd")) == {"b"}
    assert ledger.failures("e") == {}
    assert set(ledger.completions("fg")) == {"g"}
    assert ForgottenDocuments(data / "02_intermediate/forgotten.json").ids() == {"secret.md"}


def test_a_document_is_gone_from_every_version_and_its_bytes_too(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        forget(data, "secret.md")
    check_gone(data)
    assert "2 passages, 1 queries written from it, 5 rows of the ledger" in caplog.text
    assert "deleted 3 rows of labels (2 files)" in caplog.text
    assert not list(data.rglob("*.partial"))


def test_what_was_found_is_said_before_anything_goes(
    data: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(ForgottenDocuments, "add", stop)
    with caplog.at_level(logging.INFO), pytest.raises(OSError, match="no space"):
        forget(data, "secret.md")
    assert caplog.messages == [
        "found document secret.md in 6 tables, with 2 passages and 1 queries written from it; "
        "deleting"
    ]
    assert len(pd.read_parquet(data / "02_intermediate/documents.parquet")) == 2


def test_an_id_is_found_however_its_letters_are_written(data: Path) -> None:
    taken_apart = "Cafe\u0301.md"
    rows = [{"document_id": name, "text": "x"} for name in (taken_apart, "plain.md")]
    write(data / "02_intermediate/documents.parquet", rows)
    forget(data, "Caf\u00e9.md")

    left = pd.read_parquet(data / "02_intermediate/documents.parquet")["document_id"]
    assert left.tolist() == ["plain.md"]
    # It stays away under both names.
    listed = ForgottenDocuments(data / "02_intermediate/forgotten.json")
    assert listed.ids() == {taken_apart, "Caf\u00e9.md"}
    assert json.loads(Path(listed.path).read_text()) == [taken_apart]
    with pytest.raises(UserError, match="forgotten before"):
        forget(data, "Caf\u00e9.md")


def test_what_is_kept_reads_as_before(data: Path) -> None:
    before = stored(data, "labels")[0]
    forget(data, "secret.md")
    after = stored(data, "labels")[0]

    pd.testing.assert_frame_equal(after, before.iloc[1:].reset_index(drop=True))


def test_an_unknown_document_changes_nothing(data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*.parquet") if path.is_file()}

    with pytest.raises(UserError, match="nothing that is stored has this id"):
        forget(data, "secret")
    with pytest.raises(UserError, match="say which document"):
        forget(data, None)
    assert {path: path.read_bytes() for path in before} == before
    assert not (data / "02_intermediate/forgotten.json").exists()


def test_a_document_that_only_the_ledger_knows_is_forgotten_too(data: Path) -> None:
    ledger = Ledger(data / "05_model_input/label_ledger.sqlite")
    ledger.record(JUDGE, [Verdict("h", grade=1)], {"h": Source("q", "scored.md")})
    forget(data, "scored.md")

    assert ledger.lookup("h") == {}
    with pytest.raises(UserError, match="forgotten before; nothing is left"):
        forget(data, "scored.md")


@pytest.mark.parametrize("survivor", ["labels", "queries", "passages"])
def test_a_killed_run_is_finished_by_the_same_command(data: Path, survivor: str) -> None:
    # Whatever had not been rewritten when the first run died is found again.
    kept = {path: path.read_bytes() for path in data.rglob(f"{survivor}.parquet") if path.is_file()}
    forget(data, "secret.md")
    if survivor == "labels":
        # Labels are rewritten before the queries by which they are found.
        (path,) = data.rglob("queries.parquet/*/*.parquet")
        write(
            path, [{"query_id": "q1", "text": "t", "passage_id": "secret.md#0", "generator": "g"}]
        )
    for path, content in kept.items():
        path.write_bytes(content)
    forget(data, "secret.md")

    assert SECRET.encode() not in b"".join(p.read_bytes() for p in data.rglob("*") if p.is_file())
    assert [table["request_hash"].tolist() for table in stored(data, "labels")] == [["b"], ["b"]]


def test_a_torn_table_stops_it_before_anything_is_deleted(data: Path) -> None:
    (data / "05_model_input/failures.parquet").write_bytes(b"PAR1")

    with pytest.raises(UserError, match=r"failures\.parquet: half written or damaged; nothing"):
        forget(data, "secret.md")
    assert Ledger(data / "05_model_input/label_ledger.sqlite").lookup("a")


def test_forgetting_waits_for_no_labeling(data: Path) -> None:
    with (
        Ledger(data / "05_model_input/label_ledger.sqlite").lock(),
        pytest.raises(UserError, match="in use by another run"),
    ):
        forget(data, "secret.md")


def test_a_broken_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "forgotten.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="not a JSON list"):
        ForgottenDocuments(tmp_path / "forgotten.json").ids()


def test_the_command_forgets_and_says_so(data: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    data.rename(tmp_path / "moved")
    for layer in (tmp_path / "moved").iterdir():
        layer.rename(project.path / "data" / layer.name)
    done = project.kedro("run", "--pipeline=forget", "--params=document=secret.md")
    again = project.kedro("run", "--pipeline=forget", "--params=document=secret.md", check=False)

    assert "forgot document secret.md" in done.stdout
    assert again.returncode == 1
    assert "forgotten before" in again.stdout.splitlines()[-1]
    check_gone(project.path / "data")
    assert (
        not (project.path / "mlflow.db").exists()
        or b"secret.md" not in (project.path / "mlflow.db").read_bytes()
    )
