"""Any judge can be the teacher of the report, and a paid one keeps to its cap."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.combining import ALONE, ALONE_EXPECTED
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.pair_prompt import PROMPT_ALLOWS, PROMPT_REQUIRES
from relevance_distillery.judges.registry import state_name
from relevance_distillery.judges.settings import LLMJudgeSettings
from relevance_distillery.llm.prices import Budget, Price
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.reporting import nodes
from relevance_distillery.reporting.benchmark_grades import teacher_grades
from relevance_distillery.reporting.cost_report import (
    LabelPrice,
    listed_price,
    price_by_prompt,
    teacher_price,
)
from relevance_distillery.reporting.settings import ReportingParameters

sys.path.insert(0, str(Path(__file__).parents[1] / "llm"))
from fault_server import FaultServer

ROOT = Path(__file__).parents[2]
PROMPT = Prompt.read(
    ROOT / "conf/base/labeling/prompts/grade.jinja2", PROMPT_REQUIRES, PROMPT_ALLOWS
)
PRICES = {"tiny": Price(usd_per_million_input=1.0, usd_per_million_output=2.0)}


def benchmark() -> Benchmark:
    none = pd.DataFrame({"query_id": [], "document_id": [], "annotator": [], "grade": []})
    return Benchmark(
        name="b",
        kind="same_corpus",
        human=True,
        queries=pd.DataFrame({"query_id": ["q"], "text": ["hotels"], "style": [""]}),
        judgments=none,
        annotators=none,
        documents=None,
        scale=DEFAULT_SCALE,
    )


def chosen(judge: str, state: dict[str, Any], **llm: Any) -> dict[str, Any]:
    return nodes.choose_teacher(
        state,
        read_recorded_grades(None, None),
        PROMPT,
        benchmark(),
        LabelingParameters(seed=1, judge="llm", prices=PRICES, llm=LLMJudgeSettings(**llm)),
        ReportingParameters(judge=judge),
        DEFAULT_SCALE,
    )


def test_another_judge_than_the_one_that_taught_can_be_compared_with() -> None:
    taught = {"judge": "embedded", "scale_hash": DEFAULT_SCALE.digest}
    assert chosen("embedded", taught) is taught
    assert chosen("umbrela-gpt-4o", taught) is taught  # a recorded judge goes by its file
    other = chosen("llm:tiny", taught)
    assert state_name(other) == "llm:tiny"
    assert chosen("llm:tiny", other) is other
    more = chosen("llm:tiny", other, prompts=2)
    assert len(more["prompts"]) == 2
    assert chosen("llm:tiny", more, prompts=2) is more
    assert chosen("llm:tiny", more) is more  # that which taught


def test_no_query_of_the_benchmark_is_an_example_for_its_teacher(tmp_path: Path) -> None:
    examples = tmp_path / "examples.csv"
    examples.write_text("query,text,grade\nhotels,Hotels are paid.,3\n")
    with pytest.raises(UserError, match="benchmark"):
        chosen("llm:tiny", {}, examples=str(examples))


def pairs(count: int) -> pd.DataFrame:
    table = pd.DataFrame({"text": [f"Hotel number {row} is paid." for row in range(count)]})
    for name in PAIR_COLUMNS:
        if name not in table:
            table[name] = ""
    table["query_id"], table["query"] = "q", "hotels"
    table["passage_id"] = table["document_id"] = [f"d{row}" for row in range(count)]
    table[["is_seed", "in_seed_document"]] = False
    return table


def teacher(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cap: float | None,
    spent: float,
    prompts: int = 1,
) -> tuple[pd.DataFrame | None, pd.DataFrame, str]:
    state = chosen("llm:tiny", {}, prompts=prompts)
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        return teacher_grades(
            benchmark(),
            pairs(6),
            state,
            Ledger(tmp_path / "l.sqlite"),
            "llm:tiny",
            Budget(cap, spent),
        )


def test_a_paid_teacher_grades_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    grades, failures, reason = teacher(monkeypatch, tmp_path, cap=1.0, spent=0.2)
    assert grades is not None
    assert grades["teacher_grade"].notna().all()
    assert failures.empty
    assert reason == ""


def test_a_teacher_of_several_prompts_shows_what_each_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    grades, _, _ = teacher(monkeypatch, tmp_path, cap=None, spent=0, prompts=3)
    assert grades is not None
    each = np.stack(grades[ALONE].tolist())
    assert each.shape == (6, 3)
    assert grades["teacher_grade"].tolist() == np.ceil(each.mean(axis=1) - 0.5).tolist()
    expected = np.stack(grades[ALONE_EXPECTED].tolist()).mean(axis=1)
    assert grades["teacher_expected"].to_numpy(float) == pytest.approx(expected)


def test_what_labeling_spent_counts_against_the_cap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    grades, failures, reason = teacher(monkeypatch, tmp_path, cap=1.0, spent=1.0)
    assert grades is None
    assert set(failures["status"]) == {"budget"}
    assert reason == "it gave no grade (6 budget)"


def priced(
    state: dict[str, Any], labels: pd.DataFrame, parameters: ReportingParameters | None = None
) -> LabelPrice:
    known = parameters or ReportingParameters()
    return teacher_price(known.judge, state, labels, pairs(2), DEFAULT_SCALE, known.cost)


def test_a_paid_teacher_is_priced_by_its_labels_and_never_timed() -> None:
    state = chosen("llm:tiny", {})
    labels = pd.DataFrame({"model": ["tiny", "tiny", "other"], "cost_usd": [0.1, 0.3, 5.0]})
    price = priced(state, labels)
    assert price.usd_per_1000 == pytest.approx(200.0)
    assert price.speed is None
    free = priced(state, labels.assign(cost_usd=0.0))
    assert (free.usd_per_1000, free.usd_basis) == (0.0, "measured")
    assert priced({**state, "price": None}, labels).usd_per_1000 is None
    unlabelled = priced(state, labels[labels["model"] == "other"])
    assert (unlabelled.usd_per_1000, unlabelled.usd_basis) == (None, "not known")


def test_the_price_of_several_prompts_is_that_of_the_first_and_of_the_others() -> None:
    report = {"labelled": 100, "prompts": [{"cost_usd": 0.1}, {"cost_usd": 0.2}, {"cost_usd": 0.3}]}
    state = chosen("llm:tiny", {}, prompts=3)
    found = price_by_prompt(state, report)
    assert found["asked"] == 3
    assert found["first_usd_per_1000_labels"] == pytest.approx(1.0)
    assert found["further_usd_per_1000_labels"] == pytest.approx(5.0)
    unpriced = price_by_prompt({**state, "price": None}, report)
    assert unpriced["further_usd_per_1000_labels"] is None
    assert price_by_prompt(chosen("llm:tiny", {}), {"labelled": 100}) == {}


def test_a_language_model_in_this_process_has_the_speed_of_its_labels() -> None:
    state = {"judge": "transformers", "model": "tiny abc"}
    labels = pd.DataFrame({"model": "tiny abc", "seconds": [0.25, 0.75], "cost_usd": 0.0})
    price = priced(state, labels)
    assert price.speed == pytest.approx(2.0)
    assert price.usd_per_1000 == pytest.approx(1000 * 0.1 / 3600 / 2.0)
    assert priced(state, labels.assign(seconds=0.0)).usd_per_1000 is None


def test_measured_and_list_price_of_a_paid_teacher_stand_apart() -> None:
    state = chosen("llm:tiny", {})
    labels = pd.DataFrame(
        {"model": ["tiny"] * 2, "cost_usd": [0.001, 0.003], "input_tokens": 100, "output_tokens": 5}
    )
    parameters = ReportingParameters(judge="llm:tiny").model_copy(
        update={"cost": ReportingParameters().cost.model_copy(update={"prices": PRICES})}
    )
    assert listed_price("llm:tiny", state, parameters.cost) is PRICES["tiny"]
    row = priced(state, labels, parameters).as_json()
    assert row["usd_per_1000_labels"] == row["measured_usd_per_1000_labels"] == 2.0
    assert row["list_usd_per_1000_labels"] == pytest.approx(0.11)
    assert row["usd_basis"] == "measured"
    assert listed_price("embedded", {"judge": "embedded"}, parameters.cost) is None
