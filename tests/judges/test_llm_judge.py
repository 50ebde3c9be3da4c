"""The LLM judge over HTTP: a server that breaks on purpose, and transformers' own."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest

import tiny_models
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.ledger.schema import Source
from relevance_distillery.judges.prompted.grade_answers import parse_answer
from relevance_distillery.judges.prompted.llm import LLMJudge
from relevance_distillery.judges.prompted.pair_prompt import (
    PROMPT_ALLOWS,
    PROMPT_REQUIRES,
    PairPrompt,
)
from relevance_distillery.judges.registry import JudgeSources, prepare_judge, restore_judge
from relevance_distillery.judges.settings import JudgeSettings, LLMJudgeSettings
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.llm.settings import Endpoint

sys.path.insert(0, str(Path(__file__).parents[1] / "llm"))
from fault_server import FaultPlan, FaultServer, prompt_of

ROOT = Path(__file__).parents[2]
PROMPT = Prompt.read(
    ROOT / "conf/base/labeling/prompts/grade.jinja2", PROMPT_REQUIRES, PROMPT_ALLOWS
)
SECRET = "planted-secret-8c1f5e02"


def pairs(*texts: str, **columns: Any) -> pd.DataFrame:
    table = pd.DataFrame({"text": texts})
    for name in PAIR_COLUMNS:
        if name not in table:
            table[name] = columns.get(name, "")
    table["query"] = columns.get("query", "who pays for hotels")
    table["query_id"] = "q"
    table["passage_id"] = [f"p{row}" for row in range(len(table))]
    table[["is_seed", "in_seed_document"]] = False
    return table


def judge(server: FaultServer | None = None, **settings: Any) -> LLMJudge:
    price = settings.pop("price", None)
    given = LLMJudgeSettings(**{"model": "tiny", **settings})
    return LLMJudge(
        PairPrompt(PROMPT, DEFAULT_SCALE, redact=given.redact),
        given,
        DEFAULT_SCALE,
        price=price,
        endpoint=Endpoint.at(server.url, SECRET) if server else None,
    )


def verdicts(of: LLMJudge, table: pd.DataFrame) -> list[Verdict]:
    """In the order of the pairs."""
    found = {v.request_hash: v for some in of.grade([table]) for v in some}
    return [found[key] for key in of.request_hashes(table)]


def grade_of(server: FaultServer, of: LLMJudge, table: pd.DataFrame) -> list[int]:
    """What the server says about each pair, by the rule that it follows."""
    asked = [request for request in of.requests([table]) if not isinstance(request, Verdict)]
    return [server.plan.grade(prompt_of([dict(m) for m in r.messages])) for r in asked]


def test_grades_and_probabilities_are_the_servers() -> None:
    table = pairs(*(f"Hotels in town {number} are paid." for number in range(40)))
    with FaultServer(FaultPlan()) as server:
        of = judge(server, price=Price(usd_per_million_input=1, usd_per_million_output=2))
        found = verdicts(of, table)
        assert [v.grade for v in found] == grade_of(server, of, table)
    assert {v.grade for v in found} == {0, 1, 2, 3}
    for verdict in found:
        assert verdict.probabilities is not None
        assert verdict.probabilities[verdict.grade or 0] == pytest.approx(0.7)
        assert sum(verdict.probabilities) == pytest.approx(1.0)
        assert verdict.cost_usd == pytest.approx(
            (verdict.input_tokens + 2 * verdict.output_tokens) / 1e6
        )
    assert of.budget is not None
    assert of.budget.spent_usd == pytest.approx(sum(v.cost_usd for v in found))


def test_a_server_without_logprobs_and_schemas_still_grades() -> None:
    table = pairs("one", "two", "three")
    plan = FaultPlan(ignores=("logprobs",), refuses=("json_schema", "json_object"))
    with FaultServer(plan) as server:
        of = judge(server)
        found = verdicts(of, table)
        assert [v.grade for v in found] == grade_of(server, of, table)
    assert [v.probabilities for v in found] == [None] * 3


@pytest.mark.parametrize(
    ("mark", "status"),
    [
        ("off_scale", "invalid"),
        ("gibberish", "unparseable"),
        ("empty", "empty"),
        ("filter", "filtered"),
        ("refusal", "refused"),
        ("truncated", "truncated"),
    ],
)
def test_an_answer_that_is_no_grade_is_a_failure(mark: str, status: str) -> None:
    with FaultServer() as server:
        bad, good = verdicts(judge(server), pairs(f"[[{mark}]] hotels", "hotels"))
    assert (bad.grade, bad.status) == (None, status)
    assert bad.reason
    assert not bad.retryable
    assert good.grade is not None


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("gibberish", "none of the first 20 answers of .* is a grade"),
        ("off_scale", "none of the first 20 answers of .* is a grade"),
        ("truncated", "were all cut off by max_output_tokens"),
        ("null", "hold no text"),
        (
            "filter",
            "The content filter of .* stopped the first 20",
        ),
        ("refusal", "refused the first 20"),
    ],
)
def test_a_judge_that_never_answers_with_a_grade_is_asked_some_twenty_times(
    mark: str, said: str
) -> None:
    table = pairs(*(f"[[{mark}*0]] hotel {number}" for number in range(200)))
    kept: list[Verdict] = []
    with FaultServer() as server:
        asked = chain.from_iterable(judge(server).grade([table]))
        with pytest.raises(UserError, match=said):
            kept.extend(iter(asked))
        assert len(server.records()) < 100
    assert len(kept) >= 20 or mark != "gibberish"


def test_a_thought_in_front_of_the_answer_is_passed_over() -> None:
    for text in (
        '<think>\nHotels, so {"grade": 0}? No.</think>\n\n{"grade": 2}',
        'swallowed</think>{"grade": 2}',
        '<thinking>x</thinking>\n```json\n{"grade": 2}\n```',
    ):
        answer = parse_answer(text, DEFAULT_SCALE)
        assert (answer.grade, answer.span) == (2, (text.rindex("2"), text.rindex("2") + 1))
    for text in (
        '<think>open {"grade": 2}',
        '<think>a</think><think>b</think>{"grade": 2}',
        '{"grade": 2}<think>late</think>',
        "<think>2</think>",
    ):
        assert parse_answer(text, DEFAULT_SCALE).grade is None


THOUGHT = "<think>\nA hotel bill, so the traveller pays.</think>\n\n"


def test_a_kept_answer_is_read_again_before_anything_is_asked(tmp_path: Path) -> None:
    """A release that could not read thoughts has paid for these."""
    table, of, ledger = pairs("hotels", "taxis"), judge(), Ledger(tmp_path / "ledger.sqlite")
    first, second = of.request_hashes(table)
    lost = {"status": "unparseable", "reason": "", "cost_usd": 0.5, "output_tokens": 90}
    given = [
        Verdict(first, text=THOUGHT + '{"grade": 2}', **lost),
        Verdict(second, text=THOUGHT + "Sorry, error 429", **lost),
    ]
    ledger.record(of, given, {first: Source("q", "hotels.md"), second: Source("q", "taxis.md")})

    # There is no server to ask.
    result = run_labeling(table, of, ledger)
    assert result.labels[["passage_id", "grade", "output_tokens", "cost_usd"]].values.tolist() == [
        ["p0", 2, 90, 0.5]
    ]
    assert result.failures["status"].tolist() == ["unparseable"]
    assert (result.requests, result.cost_usd, result.from_ledger) == (0, 0.0, 1)
    assert list(ledger.unread([first, second])) == [second]
    assert ledger.spent([first, second]) == 1.0
    assert ledger.forget("hotels.md") == 1
    ledger.forget("taxis.md")
    assert not ledger.unread([second])


def test_an_answer_that_could_not_be_read_is_kept_and_not_asked_for_again(tmp_path: Path) -> None:
    table, ledger = pairs("[[gibberish]] hotels"), Ledger(tmp_path / "ledger.sqlite")
    with FaultServer() as server:
        of = judge(server)
        for retry, asked in ((False, 1), (False, 1), (True, 2)):
            result = run_labeling(table, of, ledger, retry_failures=retry)
            assert result.failures["status"].tolist() == ["unparseable"]
            assert len(server.records()) == asked
    (kept,) = ledger.unread(of.request_hashes(table)).values()
    assert kept[0] == "Sorry, error 429"
    assert "Sorry" not in result.failures.to_csv()


def test_documents_that_stay_here_are_never_sent() -> None:
    table = pairs("open", "closed", "closed too")
    table["path"] = ["people/travel.md", "board/minutes/may.md", ""]
    table["document_id"] = ["a", "b", "salaries-2026"]
    with FaultServer() as server:
        of = judge(server, never_send=("board/**", "salaries-*"))
        found = verdicts(of, table)
        assert len(server.records()) == 1
    assert [v.status for v in found] == ["ok", "withheld", "withheld"]
    assert not found[1].asked


def test_nothing_is_asked_when_all_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = verdicts(judge(never_send=("*",)), pairs("closed").assign(path="a.md"))
    assert [v.status for v in found] == ["withheld"]


def test_what_is_sent_was_redacted() -> None:
    table = pairs("Ask ana@example.com or +49 30 1234567.", author="ana@example.com")
    redacted = judge(redact="relevance_distillery.llm.redaction:contact_details")
    sent = next(redacted.requests([table]))
    assert not isinstance(sent, Verdict)
    text = "".join(message["content"] for message in sent.messages)
    assert "ana@example.com" not in text
    assert text.count("[e-mail]") == 2
    assert redacted.request_hashes(table) != judge().request_hashes(table)
    assert redacted.prompt_hash != judge().prompt_hash


def test_every_change_that_could_change_a_grade_is_another_request() -> None:
    table = pairs("Hotels are paid.")
    base = judge()
    hashes = [base.request_hashes(table)[0]]
    for change in (
        {"model": "other"},
        {"temperature": 0.5},
        {"seed": 1},
        {"max_output_tokens": 32},
        {"structured": "none"},
        {"extra_body": {"top_k": 1}},
    ):
        hashes.append(judge(**change).request_hashes(table)[0])
    for column in ("title", "heading", "path", "author", "modified", "query"):
        hashes += base.request_hashes(table.assign(**{column: "changed"}))
    stricter = Prompt(PROMPT.source + "{# stricter #}", "p", PROMPT_REQUIRES, PROMPT_ALLOWS)
    other = LLMJudge(PairPrompt(stricter, DEFAULT_SCALE), base.settings, DEFAULT_SCALE)
    assert other.prompt_hash != base.prompt_hash
    assert len(set(hashes)) == len(hashes)
    same = judge(concurrency=2, timeout_seconds=5, max_cost_usd=3, requests_per_minute=10)
    assert same.request_hashes(table) == base.request_hashes(table)


def sources(**changes: Any) -> JudgeSources:
    llm = changes.pop("llm", LLMJudgeSettings(model="tiny"))
    settings = JudgeSettings(llm=llm, prices=changes.pop("prices", {}))
    return JudgeSources(DEFAULT_SCALE, settings, prompt=PROMPT, **changes)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_state_makes_the_same_judge_and_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:{SECRET}@127.0.0.1:9/v1")
    price = {"other": Price(usd_per_million_input=1, usd_per_million_output=2)}
    state = json.loads(json.dumps(prepare_judge("llm:other", sources(prices=price)).to_state()))
    assert SECRET not in json.dumps(state)
    again = restore_judge("llm:other", state, DEFAULT_SCALE)
    assert (again.name, again.model) == ("llm:other", "other")
    first = restore_judge(None, state, DEFAULT_SCALE)
    assert again.request_hashes(pairs("a")) == first.request_hashes(pairs("a"))
    assert first.price == price["other"]
    with pytest.raises(UserError, match="judge=llm:third was not prepared"):
        restore_judge("llm:third", state, DEFAULT_SCALE)


def test_a_judge_without_model_or_price_for_a_cap_is_refused() -> None:
    with pytest.raises(UserError, match=r'--params="model=NAME"'):
        prepare_judge("llm", sources(llm=LLMJudgeSettings()))
    with pytest.raises(UserError, match=r"add prices\.tiny to conf/base/globals.yml"):
        prepare_judge("llm", sources(llm=LLMJudgeSettings(model="tiny", max_cost_usd=1)))


def test_examples_are_shown_and_change_the_request(tmp_path: Path) -> None:
    file = write(tmp_path / "e.jsonl", [{"query": "leave", "text": "Ask Ana.", "grade": 1}])
    settings = LLMJudgeSettings(model="tiny", examples=file)
    of = prepare_judge("llm", sources(llm=settings))
    assert isinstance(of, LLMJudge)
    sent = next(of.requests([pairs("a")]))
    assert not isinstance(sent, Verdict)
    assert "Ask Ana." in sent.messages[0]["content"]
    assert of.prompt_hash != judge().prompt_hash


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"query": "Who pays for  HOTELS?", "text": "x", "grade": 1}], "is one of the benchmark"),
        ([{"query": "q", "text": "x", "grade": 7}], "example 1: its grade is not on the scale"),
        ([{"query": "q", "text": "", "grade": 1}], "example 1: query or text is empty"),
        ([{"query": "q", "grade": 1}], "no column text"),
    ],
)
def test_wrong_examples_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    settings = LLMJudgeSettings(model="tiny", examples=write(tmp_path / "e.jsonl", rows))
    given = sources(llm=settings, benchmark_queries=["who pays for hotels"])
    with pytest.raises(UserError, match=message):
        prepare_judge("llm", given)


def test_no_secret_and_no_text_in_log_and_ledger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    table = pairs("a very private sentence", "[[gibberish]] another private one", "[[500*0]]")
    with FaultServer(FaultPlan(key=SECRET)) as server:
        of = judge(server, max_tries=2)
        result = run_labeling(table, of, Ledger(tmp_path / "ledger.sqlite"))
    assert len(result.labels) == 1
    assert len(result.failures) == 2
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for text in (SECRET, "private"):
        assert text.encode() not in stored
        assert text not in caplog.text
        assert not result.failures["reason"].str.contains(text).any()


def test_a_batch_is_handed_in_by_one_run_and_collected_by_the_next(tmp_path: Path) -> None:
    table = pairs("one", "two", "three")
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def run() -> Any:
        settings = LLMJudgeSettings(model="tiny", batch=True)
        return run_labeling(
            table,
            LLMJudge(
                PairPrompt(PROMPT, DEFAULT_SCALE),
                settings,
                DEFAULT_SCALE,
                endpoint=Endpoint.at(server.url, SECRET),
                ledger=ledger,
            ),
            ledger,
        )

    with FaultServer() as server:
        assert run().failures["status"].tolist() == ["pending"] * 3
        assert run().failures["status"].tolist() == ["pending"] * 3
        server.control(finish="completed")
        assert run().labels["grade"].tolist() == grade_of(server, judge(), table)
        assert run().from_ledger == 3


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """`transformers serve` with a random Phi3: its address and the model's name."""
    folder = tiny_models.chat_model(tmp_path_factory.mktemp("served") / "tiny-phi3", "phi3")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--dtype", "float32", "--port", str(port)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(240):
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except (URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail("transformers serve did not start")
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.slow
def test_gibberish_of_a_real_server_ends_in_failures_to_the_last_pair(
    served: tuple[str, str], tmp_path: Path
) -> None:
    url, model = served
    settings = LLMJudgeSettings(model=model, concurrency=2, max_output_tokens=8)
    of = LLMJudge(
        PairPrompt(PROMPT, DEFAULT_SCALE),
        settings,
        DEFAULT_SCALE,
        endpoint=Endpoint.at(url, "any"),
    )
    table = pairs(*(f"w{number} w1 w2" for number in range(6)))
    result = run_labeling(table, of, Ledger(tmp_path / "ledger.sqlite"))
    assert len(result.labels) + len(result.failures) == len(table)
    assert len(result.failures) == len(table)
    assert set(result.failures["status"]) <= {"unparseable", "truncated", "empty", "invalid"}
