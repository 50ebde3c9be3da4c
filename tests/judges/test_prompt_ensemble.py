"""One model asked in several wordings, over HTTP: what is paid, kept, averaged and refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.composites import prompt_ensemble
from relevance_distillery.judges.labeling import Labeling, run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.pair_prompt import PROMPT_ALLOWS, PROMPT_REQUIRES
from relevance_distillery.judges.registry import JudgeSources, prepare_judge, restore_judge
from relevance_distillery.judges.settings import JudgeSettings
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.prompts import Prompt

sys.path.insert(0, str(Path(__file__).parents[1] / "llm"))
from fault_server import FaultPlan, FaultServer, prompt_of

PROMPTS = Path(__file__).parents[2] / "conf/base/labeling/prompts"
PRICE = Price(usd_per_million_input=1.0, usd_per_million_output=2.0)
VALUES = DEFAULT_SCALE.values


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    with FaultServer(FaultPlan(ignores=("logprobs",))) as started:
        monkeypatch.setenv("OPENAI_BASE_URL", started.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield started


def pairs(*texts: str) -> pd.DataFrame:
    table = pd.DataFrame({name: [""] * len(texts) for name in PAIR_COLUMNS})
    table["text"], table["query"], table["query_id"] = texts, "who pays for hotels", "q"
    table["passage_id"] = table["document_id"] = [f"p{row}" for row in range(len(texts))]
    return table.assign(is_seed=False, in_seed_document=False)


HOTELS = pairs(*(f"Hotels in town {number} are paid." for number in range(40)))


def prompt(path: Path = PROMPTS / "grade.jinja2") -> Prompt:
    return Prompt.read(path, PROMPT_REQUIRES, PROMPT_ALLOWS)


def judge(prompts: int = 3, of: Prompt | None = None, **llm: Any) -> Any:
    """Prepared, stored as JSON and restored, as between two nodes."""
    settings = JudgeSettings.model_validate(
        {"judge": "llm", "prices": {"tiny": PRICE}, "llm": {"model": "tiny", **llm}}
    )
    settings = settings.model_copy(
        update={"llm": settings.llm.model_copy(update={"prompts": prompts})}
    )
    made = prepare_judge("llm", JudgeSources(DEFAULT_SCALE, settings, prompt=of or prompt()))
    return made.to_state()


def label(
    ledger: Path, table: pd.DataFrame = HOTELS, prompts: int = 3, **given: Any
) -> tuple[Labeling, Any]:
    opened = Ledger(ledger)
    state = json.loads(json.dumps(judge(prompts, **given)))
    asked: Any = restore_judge("llm", state, DEFAULT_SCALE, ledger=opened)
    try:
        return run_labeling(table, asked, opened), asked
    finally:
        opened.close()


def said(server: FaultServer, of: Any, table: pd.DataFrame) -> np.ndarray:
    """The grades that the server gives by each prompt, shape (prompts, pairs)."""
    return np.array(
        [
            [server.plan.grade(prompt_of(list(r.messages))) for r in one.requests([table])]
            for one in of.judges
        ]
    )


def test_a_label_is_the_mean_of_three_answers_and_their_shares_are_its_soft_target(
    server: FaultServer, tmp_path: Path
) -> None:
    found, of = label(tmp_path / "l.sqlite")
    given = said(server, of, HOTELS)
    shares = (given[:, :, None] == VALUES).mean(axis=0)

    assert len(server.records()) == 120
    assert found.labels["grade"].tolist() == np.ceil(given.mean(axis=0) - 0.5).tolist()
    np.testing.assert_allclose(np.stack(found.labels["probabilities"].tolist()), shares)
    assert set(found.labels["judge"]) == {"llm:tiny"}
    assert set(found.labels["model"]) == {"tiny"}
    assert found.labels["cost_usd"].sum() == pytest.approx(found.cost_usd)
    assert set(found.judge_labels["judge"]) == {f"llm:tiny, prompt {n}" for n in (1, 2, 3)}
    assert (found.difficulty["answers"] == 3).all()
    assert [row["prompt"] for row in found.facts["prompts"]] == [
        "grade.jinja2", "grade-2.jinja2", "grade-3.jinja2",
    ]  # fmt: skip
    assert sum(row["cost_usd"] for row in found.facts["prompts"]) == pytest.approx(found.cost_usd)


def test_probabilities_of_the_prompts_are_averaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        found, of = label(tmp_path / "l.sqlite")
        given = said(server, of, HOTELS)
    own = np.where(given[:, :, None] == VALUES, 0.7, 0.1)
    np.testing.assert_allclose(np.stack(found.labels["probabilities"].tolist()), own.mean(axis=0))


def test_one_prompt_asks_what_it_always_asked_and_more_prompts_reuse_its_answers(
    server: FaultServer, tmp_path: Path
) -> None:
    ledger = tmp_path / "l.sqlite"
    first, _ = label(ledger, prompts=1)
    assert first.judge_labels.empty
    assert len(server.records()) == 40
    second, _ = label(ledger)
    assert len(server.records()) == 120
    third, _ = label(ledger)
    back, _ = label(ledger, prompts=1)
    assert len(server.records()) == 120
    pd.testing.assert_frame_equal(second.labels, third.labels)
    pd.testing.assert_frame_equal(first.labels, back.labels)
    assert third.from_ledger == 40
    assert second.cost_usd == pytest.approx(first.cost_usd * 2, rel=0.3)


def test_a_pair_that_one_prompt_lost_is_labelled_by_the_others_and_counted(
    server: FaultServer, tmp_path: Path
) -> None:
    one = (PROMPTS / "grade.jinja2").read_text()
    (tmp_path / "own.jinja2").write_text(one)
    for number in (2, 3):
        # Two of three prompts fail on lost pairs, one of three on loose ones.
        words = "'lost' in query" + (" or 'loose' in query" if number == 3 else "")
        mark = f"{{{{ '[[gibberish]]' if {words} }}}}"
        text = one.replace("Which grade does", f"{mark} Prompt {number}: which grade does")
        (tmp_path / f"own-{number}.jinja2").write_text(text)
    table = pairs("a", "b", "c")
    table["query"] = ["hotels", "a loose screw", "a lost key"]
    found, _ = label(tmp_path / "l.sqlite", table, of=prompt(tmp_path / "own.jinja2"))

    assert found.labels["passage_id"].tolist() == ["p0", "p1"]
    assert found.failures[["passage_id", "status"]].to_numpy().tolist() == [["p2", "unparseable"]]
    assert found.failures["reason"].iloc[0].startswith("llm:tiny, prompt 3: ")
    assert found.facts["labelled_by_fewer_prompts"] == 1
    assert [row["failed"] for row in found.facts["prompts"]] == [0, 1, 2]


def test_the_cap_holds_over_all_prompts_and_runs_and_leaves_whole_labels(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_ensemble, "BLOCK", 4)
    table = HOTELS.iloc[:16]
    free, _ = label(tmp_path / "all.sqlite", table)
    half, ledger = free.cost_usd / 2, tmp_path / "l.sqlite"
    before = len(server.records())
    found, of = label(ledger, table, max_cost_usd=half)

    assert 0.3 * half < found.cost_usd <= half
    assert of.judges[0].budget.spent_usd <= half
    assert len(found.labels) >= 4
    assert set(found.failures["status"]) == {"budget"}
    assert len(found.labels) + len(found.failures) == 16
    sent = len(server.records()) - before
    _, of = label(ledger, table, max_cost_usd=half)
    assert len(server.records()) - before - sent <= 1  # what was left may pay a shorter request
    assert of.judges[0].budget.spent_usd <= half
    rest, _ = label(ledger, table)
    assert len(server.records()) - before == 48
    assert rest.labels["grade"].tolist() == free.labels["grade"].tolist()
    assert rest.labels["cost_usd"].sum() == pytest.approx(free.cost_usd)


def test_pairs_that_read_the_same_are_paid_once_wherever_they_stand(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_ensemble, "BLOCK", 2)
    found, _ = label(tmp_path / "l.sqlite", pairs("a", "b", "c", "a", "b"))
    assert len(server.records()) == 9
    assert found.labels["cost_usd"].sum() == pytest.approx(found.cost_usd)
    assert found.judge_labels["cost_usd"].sum() == pytest.approx(found.cost_usd)
    assert found.labels["passage_id"].tolist() == [f"p{row}" for row in range(5)]


def test_the_batch_api_takes_all_prompts_at_once(server: FaultServer, tmp_path: Path) -> None:
    ledger = tmp_path / "l.sqlite"
    waiting, _ = label(ledger, batch=True)
    assert waiting.labels.empty
    assert set(waiting.failures["status"]) == {"pending"}
    assert list(server.control(finish="completed")["requests"].values()) == [40, 40, 40]
    done, of = label(ledger, batch=True)
    given = said(server, of, HOTELS)
    assert done.labels["grade"].tolist() == np.ceil(given.mean(axis=0) - 0.5).tolist()


def test_every_shipped_wording_shows_the_same_pair_and_scale() -> None:
    wordings = prompt().wordings(3)
    fields = {
        "query": "QUERY?",
        "document": {name: f"<{name}>" for name in ("title", "heading", "path", "author", "text")}
        | {"modified": "<modified>"},
        "scale": DEFAULT_SCALE.model_dump(),
        "examples": [{"query": "EQ", "title": "ET", "text": "EX", "grade": 2, "boundary": "EB"}],
        "boundary": "CODE1234",
    }
    for one in wordings:
        system, user = (message["content"] for message in one.render(**fields))
        for value in ["QUERY?", *fields["document"].values(), "<query CODE1234>"]:
            assert value in user
        for grade in DEFAULT_SCALE.grades:
            assert f"{grade.value} = {grade.name}: {grade.definition}" in system
        for value in ("EQ", "ET", "EX", '{"grade": 2}', "<document EB>", "0, 1, 2, 3"):
            assert value in system
    assert len({one.hash for one in wordings}) == 3


def test_too_many_prompts_none_and_copies_are_refused_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ask with at most prompts=3, or write .*grade-4\.jinja2$"):
        judge(prompts=4)
    for number in ("", "-2"):
        (tmp_path / f"own{number}.jinja2").write_text((PROMPTS / "grade.jinja2").read_text())
    with pytest.raises(UserError, match=r"own-2\.jinja2 repeats another prompt"):
        judge(prompts=2, of=prompt(tmp_path / "own.jinja2"))
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        JudgeSettings.model_validate({"judge": "llm", "llm": {"prompts": 0}})


@pytest.mark.parametrize("name", ["embedded", "recorded", "consensus", "cascade", "labeler"])
def test_judges_without_a_prompt_take_no_prompts(name: str) -> None:
    said = f"prompts=3 is for judge=llm; judge={name} takes no prompts"
    with pytest.raises(ValidationError, match=said):
        JudgeSettings.model_validate({"judge": name, "llm": {"prompts": 3}})
