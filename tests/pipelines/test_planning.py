"""Plans: nothing is sent, and what is planned is what is then used."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from llm.fault_server import FaultServer
from llm.test_tokens import words_model
from relevance_distillery.collections.benchmark import held_out
from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.collections.system_runs import read_runs
from relevance_distillery.datasets import HandleDataset, JSONFileDataset
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.files import read_stored_json, read_stored_table
from relevance_distillery.judges.composites.calibration import ProbabilityMap
from relevance_distillery.judges.composites.cascade import NEVER, CascadeFit, Identity, Stage
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.llm import LLMJudge
from relevance_distillery.judges.recorded import recorded_grades_of
from relevance_distillery.judges.registry import JudgeSources, prepare_judge
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.llm.settings import LLMSettings
from relevance_distillery.llm.tokens import TokenCounter
from relevance_distillery.pipelines.labeling.nodes import grade_candidates
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.mining.nodes import (
    build_bm25_index,
    choose_candidates,
    run_channels,
)
from relevance_distillery.pipelines.mining.parameters import MiningParameters
from relevance_distillery.pipelines.planning.nodes import expected_pairs
from relevance_distillery.pipelines.planning.parameters import PlanningParameters
from relevance_distillery.pipelines.planning.pipeline import create_pipeline
from relevance_distillery.pipelines.synthesis.nodes import draft_queries, filter_queries
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.planning.estimates import StagePlan, plan_judge
from relevance_distillery.planning.expected_pairs import paid_judges
from relevance_distillery.planning.plan_report import (
    closing_lines,
    compare_with_plan,
    corpus_digest,
    summarise,
)
from relevance_distillery.synthesizers.query_log import QueryLog

ROOT = Path(__file__).parents[2]
GRADING = ROOT / "conf/base/labeling/prompts/grade.jinja2"
WRITING = ROOT / "conf/base/synthesis/prompts/write_queries.jinja2"
PRICE = Price(usd_per_million_input=2.0, usd_per_million_output=8.0, as_of="2026-11-01")
REGIONS = ["north", "south", "east", "west", "rest"]
SUBJECTS = ["hotels", "laptops", "passkeys", "invoices", "berths", "buoys", "quotas", "leases"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty pages of different length."""
    place = tmp_path / "intranet"
    place.mkdir()
    for number in range(40):
        subject = f"{SUBJECTS[number % 8]} {REGIONS[number // 8]}"
        (place / f"{subject.replace(' ', '-')}.md").write_text(
            f"---\ntitle: Guide to {subject}\nauthor: Ada Lund\n---\n"
            f"You may order {subject} with form {number}. The approval of {subject} takes "
            f"{number} days. "
            + f"Everybody in the {subject} team knows rule {number}. "
            * (number % 7)
        )
    return place


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch):
    """A server that must not hear of anything, and no key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def prompt(path: Path, requires: list[str], allows: list[str]) -> HandleDataset:
    return HandleDataset(handle=Prompt.read, path=str(path), requires=requires, allows=allows)


GRADING_PROMPT = prompt(GRADING, ["query", "document.text", "scale"], ["document", "examples"])
QUERY_PROMPT = prompt(
    WRITING, ["document.text", "styles"], ["document", "count", "persona", "language"]
)


def run(
    folder: Path,
    *,
    synthesizer: str = "extractive",
    judge: str = "llm",
    llm: dict[str, Any] | None = None,
    prompts: int = 1,
    prices: dict[str, Price] | None = None,
    queries: pd.DataFrame | None = None,
    candidates: pd.DataFrame | None = None,
    cascade_report: dict[str, Any] | None = None,
    **labeling: Any,
) -> dict[str, Any]:
    llm = {"model": "teacher", **(llm or {})}
    prices = {} if prices is None else prices
    root = folder.parent
    none = str(root / "none.parquet")
    catalog = DataCatalog(
        {
            "raw_documents": HandleDataset(handle=DocumentSource.parse, filepath=str(folder)),
            "benchmark": MemoryDataset(held_out(DEFAULT_SCALE)),
            "forgotten_documents": MemoryDataset(
                ForgottenDocuments(root / "forgotten.json"), copy_mode="assign"
            ),
            "previous_passages": HandleDataset(handle=read_stored_table, filepath=none),
            "previous_origins": HandleDataset(handle=read_stored_table, filepath=none),
            "query_log": HandleDataset(handle=QueryLog.parse, filepath=None),
            "query_prompt": QUERY_PROMPT,
            "grading_prompt": GRADING_PROMPT,
            "recorded_grades": HandleDataset(handle=recorded_grades_of, filepath=None),
            "label_ledger": HandleDataset(handle=Ledger, path=root / "ledger.sqlite"),
            "stored_queries": MemoryDataset(pd.DataFrame() if queries is None else queries),
            "stored_candidates": MemoryDataset(
                pd.DataFrame() if candidates is None else candidates
            ),
            "stored_cascade_report": MemoryDataset(cascade_report or {}),
            "params:synthesis": MemoryDataset(
                synthesis(synthesizer=synthesizer, llm=llm, prices=prices)
            ),
            "params:mining": MemoryDataset(MiningParameters(seed=1)),
            "params:labeling": MemoryDataset(
                LabelingParameters(
                    seed=1, judge=judge, llm={**llm, "prompts": prompts}, prices=prices, **labeling
                )
            ),
            "params:planning": MemoryDataset(PlanningParameters()),
            "params:scale": MemoryDataset(DEFAULT_SCALE),
            "planned_passages": MemoryDataset(),
            "planned_synthesis": MemoryDataset(copy_mode="assign"),
            "planned_labeling": MemoryDataset(copy_mode="assign"),
            "plan": JSONFileDataset(filepath=str(root / "plan.json")),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return json.loads((root / "plan.json").read_text())


def synthesis(**given: Any) -> SynthesisParameters:
    return SynthesisParameters.model_validate({"seed": 1, "max_queries": 30, **given})


def corpus(folder: Path) -> pd.DataFrame:
    """The passages of a folder, one a page."""
    reading = DocumentSource.parse(str(folder)).read()
    table = reading.documents[["document_id", "title", "text", "path", "author", "modified"]]
    return table.assign(passage_id=table["document_id"] + "#0", heading="")


def mined(passages: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Queries and candidates as synthesis and mining make them."""
    parameters, mining = synthesis(), MiningParameters(seed=1)
    log = QueryLog.parse(None)
    drafts, counts, told = draft_queries(
        passages, log, QUERY_PROMPT.load(), Ledger(Path("none.sqlite")), parameters
    )
    queries, _ = filter_queries(
        drafts, passages, held_out(DEFAULT_SCALE), {}, {}, counts, told, parameters
    )
    index = build_bm25_index(passages, mining)
    given = recorded_grades_of(None), read_runs(None, optional=True), ""
    runs, counts = run_channels(queries, passages, index, *given, mining)
    return queries, choose_candidates(queries, passages, runs, counts, mining)[0]


def llm_judge(model: str = "teacher", **settings: Any) -> LLMJudge:
    parameters = LabelingParameters.model_validate({"seed": 1, "llm": {"model": model, **settings}})
    parameters = parameters.model_copy(update={"prices": {model: PRICE}})
    sources = JudgeSources(DEFAULT_SCALE, parameters, prompt=GRADING_PROMPT.load())
    judge = prepare_judge("llm", sources)
    assert isinstance(judge, LLMJudge)
    return judge


def test_annotations_resolve_so_that_kedro_finds_the_models_of_parameters():
    for node in create_pipeline().nodes:
        assert typing.get_type_hints(node.func)


def test_a_plan_sends_nothing_needs_no_key_and_leaves_no_ledger(folder, nowhere, caplog):
    caplog.set_level("INFO")
    plan = run(folder, synthesizer="llm", prices={"teacher": PRICE})
    host = nowhere.url.removeprefix("http://").removesuffix("/v1")

    assert nowhere.records() == []
    assert not (folder.parent / "ledger.sqlite").exists()
    assert list(plan["hosts"]) == [host]
    assert plan["hosts"][host]["documents"] == 40
    assert f"{host} would receive up to 40 documents" in caplog.text
    assert [row["stage"] for row in plan["stages"]] == ["synthesis", "labeling"]
    assert "approval of" not in caplog.text
    assert "approval of" not in json.dumps(plan)


def test_judges_and_synthesizers_of_this_machine_are_free(folder, nowhere, caplog):
    caplog.set_level("INFO")
    plan = run(folder, judge="embedded")

    assert plan["stages"] == []
    assert plan["total"]["calls"] == 0
    assert "nothing would be sent anywhere" in caplog.text
    assert "judge=embedded works here: free" in caplog.text


def test_dollars_follow_from_tokens_price_and_the_limits_of_an_answer(folder, nowhere):
    plan = run(folder, prices={"teacher": PRICE}, llm={"max_output_tokens": 50})
    row = plan["stages"][0]

    assert row["output_tokens"]["high"] == 50 * row["calls"]
    assert 4 * row["calls"] <= row["output_tokens"]["low"] < row["output_tokens"]["high"]
    for edge in ("low", "high"):
        usd = PRICE.usd(row["input_tokens"], row["output_tokens"][edge])
        assert row["usd"][edge] == pytest.approx(usd, rel=1e-3)
    half = run(folder, prices={"teacher": PRICE}, llm={"max_output_tokens": 50, "batch": True})
    assert half["stages"][0]["usd"]["high"] == pytest.approx(row["usd"]["high"] / 2, rel=1e-3)
    assert half["stages"][0]["hours"] == 24


def test_a_plan_says_what_each_prompt_takes_and_what_more_than_one_adds(
    folder, nowhere, caplog, monkeypatch
):
    caplog.set_level("INFO")
    passages = corpus(folder)
    queries, candidates = mined(passages)
    stored = {"queries": queries, "candidates": candidates}
    one = run(folder, prices={"teacher": PRICE}, **stored)
    assert one["further_prompts"] is None
    assert "prompts after the first" not in caplog.text

    # Labelled with one prompt before: its answers are used.
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    judge, ledger = llm_judge(), Ledger(folder.parent / "ledger.sqlite")
    run_labeling(Pairs(candidates, queries, passages), judge, ledger)
    ledger.close()
    plan = run(folder, prices={"teacher": PRICE}, prompts=3, **stored)
    calls = [row["calls"] for row in plan["stages"]]
    number = one["stages"][0]["calls"]

    assert [row["who"] for row in plan["stages"]] == [
        "llm:teacher", "llm:teacher, prompt 2", "llm:teacher, prompt 3",
    ]  # fmt: skip
    assert calls == [0, number, number]
    assert plan["stages"][0]["answered_by_ledger"] == number
    added = plan["further_prompts"]
    assert added["calls"] == plan["total"]["calls"] == 2 * number
    assert added["input_tokens"] == sum(row["input_tokens"] for row in plan["stages"][1:])
    assert added["usd"]["high"] == pytest.approx(plan["total"]["usd"]["high"])
    line = next(line for line in caplog.messages if "prompts after the first" in line)
    assert f"{2 * number:,}" in line


def test_labels_by_several_prompts_are_compared_with_the_plan_of_all_of_them(
    folder, nowhere, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    passages = corpus(folder)
    queries, candidates = mined(passages)
    plan = run(folder, prompts=2, queries=queries, candidates=candidates)
    settings = LabelingParameters(seed=1, judge="llm", llm={"model": "teacher", "prompts": 2})
    sources = JudgeSources(DEFAULT_SCALE, settings, prompt=GRADING_PROMPT.load())
    ledger = Ledger(folder.parent / "ledger.sqlite")
    found = run_labeling(
        Pairs(candidates, queries, passages), prepare_judge("llm", sources), ledger
    )
    ledger.close()
    compared = compare_with_plan(plan, found.labels, found.pairs, passages)

    planned = sum(row["input_tokens"] for row in plan["stages"])
    assert compared["planned_input_tokens"] == pytest.approx(planned)
    read = found.labels["input_tokens"].sum()
    assert compared["actual_over_planned"] == pytest.approx(read / planned)


def test_an_unknown_price_is_said_and_a_cap_without_one_refused(folder, nowhere, caplog):
    caplog.set_level("INFO")
    plan = run(folder)

    assert plan["total"]["usd"] == {"low": None, "high": None}
    assert "no price: add prices.teacher" in caplog.text
    with pytest.raises(UserError, match=r"prices\.teacher"):
        run(folder, llm={"max_cost_usd": 1.0})


def test_a_cap_that_may_be_reached_is_said(folder, nowhere, caplog):
    caplog.set_level("INFO")
    low = run(folder, prices={"teacher": PRICE}, llm={"max_cost_usd": 0.01})
    high = run(folder, prices={"teacher": PRICE}, llm={"max_cost_usd": 100.0})

    assert (low["within_cap"], high["within_cap"]) == (False, True)
    assert caplog.text.count("may stop the run before its end") == 1


def test_stand_in_queries_come_close_to_the_run_itself(folder, nowhere):
    passages = corpus(folder)
    queries, candidates = mined(passages)
    before = run(folder)["stages"][0]
    after = run(folder, queries=queries, candidates=candidates)["stages"][0]

    assert before["basis"]["requests"] == "stand-in queries"
    assert after["basis"]["requests"] == "those of the run"
    assert after["units"] == len(candidates[["query_id", "passage_id"]].drop_duplicates())
    assert before["input_tokens"] == pytest.approx(after["input_tokens"], rel=0.15)
    assert before["calls"] == pytest.approx(after["calls"], rel=0.15)


def test_a_sample_of_a_large_corpus_stands_for_all_of_it(folder):
    passages = corpus(folder)
    small = PlanningParameters(sample_passages=20, sample_queries=12)
    log = pd.DataFrame(columns=["query_id", "text", "passage_id", "style"])
    mining = MiningParameters(seed=1)
    none = pd.DataFrame()
    few = expected_pairs(passages, log, none, none, synthesis(), mining, small)
    all_ = expected_pairs(passages, log, none, none, synthesis(), mining, PlanningParameters())

    assert few is not None
    assert all_ is not None
    (few_pairs, few_weight), (all_pairs, all_weight) = few, all_
    assert len(few_pairs) < len(all_pairs) / 2
    assert len(few_pairs) * few_weight == pytest.approx(len(all_pairs) * all_weight, rel=0.25)


def test_queries_of_another_run_are_not_taken_for_this_one(folder):
    passages = corpus(folder)
    queries, candidates = mined(passages)

    def are_taken(passages, real, parameters, stored=(queries, candidates)):
        log = pd.DataFrame({"query_id": [f"r{number}" for number in range(real)]}).assign(
            text="a question", passage_id="", frequency=1, style="real"
        )
        mining, planning = MiningParameters(seed=1), PlanningParameters(sample_queries=2)
        found = expected_pairs(passages, log, *stored, parameters, mining, planning)
        return found is not None and found[1] == 1

    assert are_taken(passages, 0, synthesis())
    assert not are_taken(passages.iloc[1:], 0, synthesis())
    assert not are_taken(passages, 0, synthesis(max_queries=5))
    assert not are_taken(passages, 40, synthesis())
    other = synthesis(synthesizer="llm", llm={"model": "writer"})
    assert not are_taken(passages, 0, other)
    assert not are_taken(passages, 0, synthesis(), (pd.DataFrame(), pd.DataFrame()))


def test_the_plan_is_within_fifteen_percent_of_what_a_server_then_bills(
    folder, nowhere, monkeypatch
):
    """The server bills words; the model is a folder whose tokenizer counts words."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    model = str(words_model(folder.parent / "model"))
    passages = corpus(folder)
    queries, candidates = mined(passages)
    pairs = Pairs(candidates, queries, passages)
    ledger = Ledger(folder.parent / "ledger.sqlite")
    planned = plan_judge(llm_judge(model), pairs, 1.0, ledger)
    result = run_labeling(pairs, llm_judge(model), ledger)

    assert planned.counter.exact
    assert len(result.labels) == len(pairs) == planned.requests
    used = int(result.labels["input_tokens"].sum())
    assert planned.input_tokens == pytest.approx(used, rel=0.15)
    spent = result.cost_usd
    low, high = (planned.usd(tokens) for tokens in planned.output_tokens)
    assert low is not None
    assert high is not None
    assert low * 0.85 <= spent <= high * 1.15


def test_what_was_answered_is_subtracted_and_corrects_the_rest(folder, nowhere, monkeypatch):
    """The server bills words, the estimate counts more: a trial run tells the factor."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    passages = corpus(folder)
    queries, candidates = mined(passages)
    pairs = Pairs(candidates, queries, passages)
    trial = Pairs(candidates.head(40), queries, passages)
    ledger = Ledger(folder.parent / "ledger.sqlite")
    blind = plan_judge(llm_judge(), pairs, 1.0, ledger)
    tried = run_labeling(trial, llm_judge(), ledger)
    planned = plan_judge(llm_judge(), pairs, 1.0, ledger)
    rest = run_labeling(pairs, llm_judge(), ledger)

    assert planned.answered == len(trial)
    assert planned.requests == len(pairs) - len(trial)
    used = int(rest.labels["input_tokens"].sum() - tried.labels["input_tokens"].sum())
    assert blind.input_tokens > 1.15 * used
    assert planned.input_tokens == pytest.approx(used, rel=0.05)
    assert planned.usual_answer == pytest.approx(tried.labels["output_tokens"].mean())
    assert plan_judge(llm_judge(), pairs, 1.0, ledger).requests == 0


def test_counting_on_a_sample_changes_little(folder):
    passages = corpus(folder)
    queries, candidates = mined(passages)
    pairs = Pairs(candidates, queries, passages)
    ledger = Ledger(folder.parent / "ledger.sqlite")
    whole = plan_judge(llm_judge(), pairs, 1.0, ledger)
    sampled = plan_judge(llm_judge(), pairs, 1.0, ledger, count_at_most=50)

    assert sampled.counted == 50
    assert sampled.requests == whole.requests
    assert sampled.input_tokens == pytest.approx(whole.input_tokens, rel=0.05)


def test_withheld_documents_are_in_no_call(folder):
    passages = corpus(folder)
    queries, candidates = mined(passages)
    pairs = Pairs(candidates, queries, passages)
    ledger = Ledger(folder.parent / "ledger.sqlite")
    planned = plan_judge(llm_judge(never_send=("hotels-*",)), pairs, 1.0, ledger)
    secret = candidates["passage_id"].str.startswith("hotels-").sum()

    assert planned.withheld == secret > 0
    assert planned.requests == len(pairs) - secret
    assert planned.documents == 35


def stage(requests: int, input_tokens: int, **settings: Any) -> StagePlan:
    return StagePlan(
        stage="labeling",
        who="llm:teacher",
        model="teacher",
        prompt_hash="p",
        host="example.org",
        units=requests,
        answered=0,
        answered_input_tokens=0,
        withheld=0,
        requests=requests,
        counted=requests,
        input_tokens=input_tokens,
        documents=5,
        passages=9,
        complete=True,
        settings=LLMSettings(model="teacher", **settings),
        price=PRICE,
        counter=TokenCounter.for_model("teacher"),
        shortest_answer=5,
        usual_answer=None,
        latency_seconds=2.0,
    )


def test_hours_follow_the_slowest_of_latency_and_limits():
    assert stage(3600, 3_600_000, concurrency=2).hours == pytest.approx(1.0)
    assert stage(3600, 3_600_000, concurrency=99, requests_per_minute=30).hours == pytest.approx(2)
    limited = stage(
        3600, 3_600_000, concurrency=99, tokens_per_minute=60_000, max_output_tokens=200
    )
    assert limited.hours == pytest.approx(3600 * 1200 / 60_000 / 60)
    assert stage(0, 0).hours == 0


def test_the_closing_table_names_host_calls_dollars_and_the_basis():
    plan = summarise([stage(1000, 500_000), stage(10, 5_000)], ["a note"], {"digest": "d"}, None)
    lines = closing_lines(plan)

    assert lines[0] == "example.org would receive up to 5 documents (9 passages)"
    assert "1,000" in lines[2]
    assert "500,000" in lines[2]
    assert "1.04–1.51" in lines[2]
    assert "as of 2026-11-01" in lines[3]
    assert lines[-2].startswith("together")
    assert lines[-1] == "a note"


def test_every_judge_of_a_consensus_is_planned_for_all_pairs(folder, nowhere):
    consensus = {"judges": "llm:one;embedded;llm:two"}
    plan = run(folder, judge="consensus", consensus=consensus)

    assert [row["who"] for row in plan["stages"]] == ["llm:one", "llm:two"]
    assert len({row["calls"] for row in plan["stages"]}) == 1


def test_a_cascade_is_planned_at_its_worst_with_the_share_that_is_expected(tmp_path):
    file = tmp_path / "cascade.json"
    labeling = LabelingParameters.model_validate(
        {"seed": 1, "judge": "cascade", "cascade": {"fitted": str(file)}}
    )
    report = {"systems": {"cascade": {"calls": {"embedded": 1.0, "cheap": 0.6, "dear": 0.2}}}}
    with pytest.raises(UserError, match="no fitted cascade"):
        paid_judges(labeling, report)
    names = ("embedded", "llm:cheap", "llm:dear")
    stages = [
        Stage(Identity(name, name, name, ""), ProbabilityMap("none", 4), NEVER, "own")
        for name in names
    ]
    file.write_text(json.dumps(CascadeFit(tuple(stages), 4, DEFAULT_SCALE.digest).to_state()))

    assert paid_judges(labeling, report) == {"llm:cheap": 0.6, "llm:dear": 0.2}
    assert paid_judges(labeling, {}) == {"llm:cheap": None, "llm:dear": None}


def test_labeling_starts_with_what_the_queries_have_cost(folder, nowhere, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    passages = corpus(folder)
    queries, candidates = mined(passages)
    llm = {"model": "teacher", "max_cost_usd": 1.0}
    parameters = LabelingParameters.model_validate(
        {"seed": 1, "judge": "llm", "llm": llm, "prices": {"teacher": PRICE}}
    )
    state = llm_judge(**llm).to_state() | {"price": PRICE.model_dump(mode="json")}

    def grade(spent: float) -> dict[str, Any]:
        return grade_candidates(
            candidates, queries, passages, state, Ledger(folder.parent / f"{spent}.sqlite"),
            {"llm": {"cost_usd": spent}}, {}, parameters, DEFAULT_SCALE,
        )[2]  # fmt: skip

    assert grade(1.0)["failures"] == {"budget": len(candidates)}
    assert nowhere.records() == []
    assert grade(0.0)["labelled"] == len(candidates)


def labels(count: int, tokens: int, **columns: str) -> pd.DataFrame:
    same = {"judge": "llm:teacher", "model": "teacher", "prompt_hash": "p", **columns}
    return pd.DataFrame({"input_tokens": [tokens] * count}).assign(**same)


def test_labels_are_compared_with_the_plan_that_was_made_for_them(folder):
    passages = corpus(folder)
    plan = summarise([stage(100, 50_000)], [], {"digest": corpus_digest(passages)}, None)
    full = compare_with_plan(plan, labels(100, 550), 100, passages)

    assert full == {"planned_input_tokens": 50_000, "actual_over_planned": pytest.approx(1.1)}
    # Half of the pairs failed: they are in neither figure.
    half = compare_with_plan(plan, labels(50, 550), 100, passages)
    assert half["actual_over_planned"] == pytest.approx(1.1)
    # More pairs than planned on the same corpus is a plan that was wrong, not another one.
    more = compare_with_plan(plan, labels(120, 500), 120, passages)
    assert more["planned_input_tokens"] == 50_000
    assert more["actual_over_planned"] == pytest.approx(1.2)
    assert compare_with_plan({}, labels(100, 550), 100, passages) == {}
    assert compare_with_plan(plan, labels(100, 550, prompt_hash="q"), 100, passages) == {}
    assert compare_with_plan(plan, labels(120, 500), 120, passages.iloc[1:]) == {}


def test_a_version_that_cannot_be_read_is_passed_over(tmp_path):
    place = tmp_path / "queries.parquet"
    for version in ("2026-01-01", "2026-01-02"):
        (place / version).mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet(place / "2026-01-01" / "queries.parquet")
    (place / "2026-01-02" / "queries.parquet").write_bytes(b"PAR1")

    assert read_stored_table(str(place))["a"].tolist() == [1]
    assert read_stored_table(str(tmp_path / "none")).empty
    (tmp_path / "torn.json").write_text("{")
    assert read_stored_json(str(tmp_path / "torn.json")) == {}
    assert read_stored_json(str(tmp_path / "none.json")) == {}


def test_the_configuration_states_every_parameter_and_each_is_explained():
    written = yaml.safe_load((ROOT / "conf/base/planning/parameters.yml").read_text())

    assert PlanningParameters.model_validate(written["planning"]) == PlanningParameters()
    assert set(written["planning"]) == set(PlanningParameters.model_fields)
    assert all(field.description for field in PlanningParameters.model_fields.values())
