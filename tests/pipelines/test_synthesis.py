"""The synthesis pipeline on a small folder of documents."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from llm.fault_server import FaultServer
from relevance_distillery.collections.benchmark import held_out, load_benchmark
from relevance_distillery.datasets import HandleDataset
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.files import read_stored_table
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.synthesis.nodes import (
    draft_queries,
    filter_queries,
    read_documents,
    split_into_passages,
)
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.pipelines.synthesis.pipeline import create_pipeline
from relevance_distillery.schemas import Documents, Passages, Queries
from relevance_distillery.synthesizers.llm_requests import PROMPT_ALLOWS, PROMPT_REQUIRES
from relevance_distillery.synthesizers.query_log import QueryLog

NOTHING = held_out(DEFAULT_SCALE)
ROOT = Path(__file__).parents[2]
PROMPT = ROOT / "conf/base/synthesis/prompts/write_queries.jinja2"
SUBJECTS = ["Hotels", "Laptops", "Passkeys", "Invoices", "Berths", "Buoys", "Quotas", "Leases"]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "intranet"
    place.mkdir()
    for number, subject in enumerate(SUBJECTS):
        (place / f"{subject.lower()}-guide.md").write_text(
            f"---\ntitle: {subject} guide\nauthor: Ada Lund\ndate: 2026-0{number + 1}-01\n---\n"
            f"## Ordering {subject.lower()}\n\nYou may order {subject.lower()} with form {number}. "
            f"The approval of {subject.lower()} takes {number} days.\n"
        )
    (place / "copy.md").write_text((place / "hotels-guide.md").read_text())
    (place / "logo.png").write_bytes(b"\x89PNG")
    return place


def query_prompt() -> Prompt:
    return Prompt.read(PROMPT, PROMPT_REQUIRES, PROMPT_ALLOWS)


def run(folder, log=None, benchmark=NOTHING, previous=None, forgotten=None, ledger=None, **options):
    parameters = SynthesisParameters(seed=1, **options)
    source = DocumentSource.parse(str(folder))
    gone = forgotten or ForgottenDocuments(folder.parent / "forgotten.json")
    documents, skipped, read = read_documents(source, benchmark, gone, parameters)
    none = (pd.DataFrame(), pd.DataFrame())
    passages, origins, split = split_into_passages(documents, *(previous or none), parameters)
    ledger = ledger or Ledger(folder.parent / "ledger.sqlite")
    drafts, counts, told = draft_queries(
        passages,
        QueryLog.parse(log),
        query_prompt(),
        ledger,
        parameters,
    )
    queries, report = filter_queries(
        drafts, passages, benchmark, read, split, counts, told, parameters
    )
    Documents.validate(documents)
    Passages.validate(passages)
    Queries.validate(queries)
    return {
        "documents": documents,
        "skipped": skipped,
        "passages": passages,
        "origins": origins,
        "drafts": drafts,
        "queries": queries,
        "report": report,
    }


def test_everything_is_counted(folder):
    made = run(folder, queries_per_passage=6)
    report = made["report"]
    assert report["documents"]["read"] == 9
    assert report["documents"]["kept"] == len(made["documents"]) == 8
    assert set(made["skipped"]["path"]) == {"logo.png", "hotels-guide.md"}
    assert sum(report["documents"]["skipped"].values()) == len(made["skipped"])
    dropped = sum(count for styles in report["queries"]["dropped"].values()
                  for count in styles.values())  # fmt: skip
    assert dropped + report["queries"]["total"] == len(made["drafts"])
    assert report["queries"]["total"] == len(made["queries"]) > 8


def test_rows_in_another_encoding_are_named_in_the_log(tmp_path, caplog):
    table = tmp_path / "sizes.csv"
    lines = ["id,title,text", *(f"p{n},Drill {n},Bit of {n} mm for 90°" for n in range(6))]
    lines += ["p6,Drill 6,Bit of 6 mm"]
    table.write_bytes("\n".join(lines).encode("cp1252"))
    parameters = SynthesisParameters(seed=1)
    gone = ForgottenDocuments(tmp_path / "forgotten.json")
    documents, _, _ = read_documents(DocumentSource.parse(table), NOTHING, gone, parameters)
    assert documents["document_id"].tolist() == ["p6"]
    rows = "row 2, row 3, row 4 and 3 more"
    said = f"skipped: {table}, {rows}: is not valid UTF-8: save the file as UTF-8"
    assert said in caplog.messages


def test_a_judged_document_is_no_copy_however_its_id_is_written(folder):
    copies = {name: (folder / "hotels-guide.md").read_text() for name in ("a.md", "caf\u00e9.md")}
    for name, text in copies.items():
        (folder / name).write_text(text)
    graded = folder.parent / "people.csv"
    graded.write_text("query,document_id,grade\nhotels,cafe\u0301.md,3\n")
    made = run(folder, benchmark=load_benchmark(graded, DEFAULT_SCALE))
    assert "caf\u00e9.md" in set(made["documents"]["document_id"])


def test_what_is_left_out_is_in_the_log_with_its_reason(folder, caplog):
    with caplog.at_level("INFO"):
        run(folder)
    assert "8 documents kept, 2 skipped or dropped" in caplog.messages
    said = [line for line in caplog.messages if line.startswith("skipped: ")]
    assert said == [
        "skipped: logo.png: '.png' files are not read",
        "skipped: hotels-guide.md (copy of copy.md): exact duplicate",
    ]


def test_same_seed_same_tables(folder):
    first, second = run(folder), run(folder)
    for name in ("documents", "passages", "queries"):
        assert first[name].equals(second[name])


def test_limits(folder):
    made = run(folder, limit=3, queries_per_passage=6)
    assert len(made["documents"]) <= 3
    assert len(made["queries"]) == 3
    assert len(run(folder, max_queries=5)["queries"]) == 5


def test_real_queries_are_mixed_in_and_never_filtered_out(folder, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("query,frequency\nguide,40\nhow to get a buoy,2\n")
    queries = run(folder, log=str(log))["queries"]
    real = queries[queries["style"] == "real"]
    assert real[["text", "frequency"]].to_numpy().tolist() == [
        ["guide", 40],
        ["how to get a buoy", 2],
    ]
    assert len(queries) > 5
    assert len(run(folder, log=str(log), synthesizer="log")["queries"]) == 2
    with pytest.raises(UserError, match="needs a query log"):
        run(folder, synthesizer="log")


def test_benchmark_queries_are_kept_out(folder, tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("the hotels guide\nbuoys\n")
    plain = run(folder, log=str(log))["queries"]
    row = {"query_id": ["b1"], "text": ["hotel guide"], "style": [""]}
    benchmark = held_out(DEFAULT_SCALE)
    object.__setattr__(benchmark, "queries", pd.DataFrame(row))
    made = run(folder, log=str(log), benchmark=benchmark)
    assert "the hotels guide" in set(plain["text"])
    assert "the hotels guide" not in set(made["queries"]["text"])
    assert made["report"]["queries"]["dropped"]["benchmark_overlap"]["real"] == 1


def test_judged_copies_stay(folder):
    judgments = pd.DataFrame({"document_id": ["copy.md", "hotels-guide.md"]})
    benchmark = held_out(DEFAULT_SCALE)
    object.__setattr__(benchmark, "kind", "same_corpus")
    object.__setattr__(benchmark, "judgments", judgments)
    assert len(run(folder, benchmark=benchmark)["documents"]) == 9


def test_unchanged_documents_keep_their_passages(folder):
    first = run(folder)
    (folder / "buoys-guide.md").write_text("# Buoys\n\nAll of them are new.")
    second = run(folder, previous=(first["passages"], first["origins"]))
    assert second["report"]["passages"]["kept"] == 7
    assert second["report"]["passages"]["split"] == 1


def test_benchmark_corpora_stay_whole(folder):
    options = {"passages": {"split": False}, "cleaning": {"deduplicate": False}}
    made = run(folder, **options)
    assert made["passages"]["passage_id"].tolist() == made["documents"]["document_id"].tolist()
    assert len(made["documents"]) == 9


def test_a_forgotten_document_stays_out_and_is_listed(folder, tmp_path):
    before = run(folder)["documents"]["document_id"].tolist()
    forgotten = ForgottenDocuments(tmp_path / "forgotten.json")
    forgotten.add("buoys-guide.md")
    made = run(folder, forgotten=forgotten)

    assert set(before) - set(made["documents"]["document_id"]) == {"buoys-guide.md"}
    assert not made["passages"]["document_id"].eq("buoys-guide.md").any()
    skipped = made["skipped"].set_index("path")["reason"]
    assert skipped["buoys-guide.md"] == "forgotten"


def test_an_llm_writes_the_queries_and_the_report_says_what_came_of_it(folder, monkeypatch):
    (folder / "buoys-guide.md").write_text("# Buoys\n\nAll of them are new. [[gibberish]]")
    (folder / "secret.md").write_text("# Salaries\n\nNobody else may read this page.")
    llm = {"model": "writer", "never_send": ["secret.md"]}
    prices = {"writer": Price(usd_per_million_input=1.0, usd_per_million_output=1.0)}
    options = {"synthesizer": "llm", "llm": llm, "prices": prices, "queries_per_passage": 3}
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        # Words drawn from the prompt find no way back to their page.
        made = run(folder, filters={"round_trip_k": None}, **options)
        asked = len(server.records())
        again = run(folder, filters={"round_trip_k": None}, **options)

        assert len(server.records()) == asked == 8
    report = made["report"]
    assert set(made["queries"]["generator"]) == {"llm:writer"}
    assert report["synthesizer"] == "llm"
    assert report["withheld_passages"] == 1
    assert report["llm"]["failed"] == {"unparseable: the answer is no JSON": 1}
    assert report["llm"]["cost_usd"] == report["llm"]["cost_usd_this_run"] > 0
    assert "copy" in report["queries"]["dropped"]
    assert again["report"]["llm"]["cost_usd_this_run"] == 0
    assert again["queries"].equals(made["queries"])


def test_no_query_left_says_so(folder, tmp_path):
    (tmp_path / "log.txt").write_text("the hotels guide\n")
    benchmark = held_out(DEFAULT_SCALE)
    row = {"query_id": ["b1"], "text": ["hotel guide"], "style": [""]}
    object.__setattr__(benchmark, "queries", pd.DataFrame(row))
    with pytest.raises(UserError, match="none of 1 queries passed the filters"):
        run(folder, log=str(tmp_path / "log.txt"), synthesizer="log", benchmark=benchmark)


def test_documents_without_words_say_that_no_query_could_be_written(tmp_path):
    folder = tmp_path / "ratings"
    folder.mkdir()
    for rating in ("★★★", "★★☆"):
        (folder / f"{len(set(rating))}.txt").write_text(rating)
    with pytest.raises(UserError, match="no query could be written from 2 passages"):
        run(folder)


def test_unknown_parameter_is_refused():
    with pytest.raises(ValidationError, match="max_querys"):
        SynthesisParameters(max_querys=3)


def test_datasets_are_lazy_and_read_only(tmp_path):
    documents = HandleDataset(handle=DocumentSource.parse, filepath=str(tmp_path / "none"))
    assert documents.exists()
    with pytest.raises(UserError, match="no such file"):
        documents.load().read()
    previous = HandleDataset(handle=read_stored_table, filepath=str(tmp_path / "none.parquet"))
    assert previous.exists()
    assert previous.load().empty
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    assert read_stored_table(str(tmp_path / "torn.parquet")).empty


def test_nodes_have_names_that_say_what_they_do():
    names = {node.name for node in create_pipeline().nodes}
    assert names == {"read_documents", "split_into_passages", "draft_queries", "filter_queries"}
