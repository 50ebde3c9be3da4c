"""The pages of docs/results hold what agreement.json and cost.json say."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.measurement import Options, measure
from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.grading import DEFAULT_SCALE

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUICK = Options(resamples=100, permutations=100)
COST = {
    "judges": {
        "student": {
            "pairs_per_second": 40.0,
            "speed_basis": "measured",
            "usd_per_1000_labels": 0.0007,
            "usd_basis": "measured",
        },
        "teacher": {
            "pairs_per_second": None,
            "speed_basis": "not known",
            "usd_per_1000_labels": 1.08,
            "usd_basis": "list price",
        },
    },
    "speed_ratio": None,
    "cost_ratio": 1543.0,
    "break_even": {"labels": 7000, "reason": "made up"},
    "assumptions": [{"name": "machine", "value": 0.1, "unit": "USD an hour", "source": "stated"}],
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of benchmarks/, which finds its neighbours there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == BENCHMARKS:
            del sys.modules[name]


def table(judges: tuple[str, ...], queries: int = 24, documents: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    human = rng.integers(0, 4, queries * documents)
    found = pd.DataFrame(
        {
            "query_id": np.repeat([f"q{n}" for n in range(queries)], documents),
            "document_id": [f"d{n}" for n in range(human.size)],
            "human": human,
            "style": np.where(np.arange(human.size) % 16 < 8, "question", "keyword"),
            "student_expected": human + rng.normal(0, 0.5, human.size),
        }
    )
    for name in judges:
        graded = np.clip(human + rng.integers(-1, 2, human.size), 0, 3)
        found[f"{name}_grade"] = pd.array(graded, dtype="Int64")
    near = np.exp(-np.abs(found[f"{judges[0]}_grade"].to_numpy()[:, None] - np.arange(4)))
    found[f"{judges[0]}_probabilities"] = (near / near.sum(1, keepdims=True)).tolist()
    return found


def raters(grades: pd.DataFrame) -> pd.DataFrame:
    named = grades[["query_id", "document_id"]].assign(grade=grades["human"])
    return pd.concat([named.assign(annotator=name) for name in ("ann", "bob")])


def rows_are_whole(page: str) -> None:
    """Every row of a table has as many cells as its header, and nothing reads None or nan."""
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert not re.search(r"\b(None|nan|NaN)\b", page)


def test_every_figure_of_a_student_is_on_the_page(load: Any) -> None:
    grades = table(("student", "teacher", "base"))
    found = measure(grades, DEFAULT_SCALE, {"name": "b", "human": True}, raters(grades), QUICK)
    page = load("pages").short_report(found, COST, {"teacher": "teacher (GPT)"})
    rows_are_whole(page)
    for title in ("Metrics", "People and judges on one scale", "Cost and speed"):
        assert f"### {title}\n" in page
    cell = load("pages").cell
    for side in ("raters", "judges"):
        for row in found["one_scale"][side].values():
            assert cell(row["quadratic_kappa"]) in page
    for judge in ("student", "teacher"):
        for name, metric in METRICS.items():
            value = found["judges"][judge][name]
            left_out = name in load("pages").LEFT_OUT
            assert left_out or cell(value, metric.better == "zero") in page
    couple = found["comparisons"][0]["metrics"]["quadratic_kappa"]
    assert f"**{couple['conclusion'] or 'not defined'}** at a margin of 0.03" in page
    assert "teacher (GPT)" in page
    assert "| teacher (GPT) | not known | not known | $1.08 | list price |" in page
    assert page.index("graded by people") < page.index("### Metrics")


def test_many_judges_stand_in_one_table_without_their_couples(load: Any) -> None:
    names = ("one", "two", "three", "four")
    found = measure(table(names), DEFAULT_SCALE, {"name": "b", "human": False}, None, QUICK)
    page = load("pages").short_report(found)
    rows_are_whole(page)
    assert "**not** graded by people" in page
    assert "| metric | one | two | three | four |" in page
    assert "minus" not in page


def test_what_is_not_defined_is_a_dash(load: Any) -> None:
    grades = table(("student", "teacher"), queries=1)
    grades["human"] = 2
    grades["student_grade"] = pd.array([2] * len(grades), dtype="Int64")
    apart = pd.concat([raters(grades).iloc[:3], raters(grades).iloc[12:]])
    found = measure(grades, DEFAULT_SCALE, {"name": "b", "human": True}, apart, QUICK)
    page = load("pages").short_report(found, COST)
    rows_are_whole(page)
    assert "| κ | – |" in page


def test_the_page_of_the_paper(load: Any) -> None:
    grades = table(("student", "teacher", "base"))
    found = measure(grades, DEFAULT_SCALE, {"name": "b", "human": True}, None, QUICK)
    pairs = pd.DataFrame({"query": ["a" * 40], "title": [""], "text": ["b" * 360]})
    paper = load("paper")
    run = paper.Run("A to B", "umbrela-gpt-4o", found, COST, pairs)
    page = paper.paper_page([run, run])
    rows_are_whole(page)
    for published in ("0.953", "0.944", "0.815", "63.81 %", "62.58 %", "17×", "19×"):
        assert published in page
    cell = load("pages").cell
    assert cell(found["judges"]["student"]["ndcg"]) in page
    assert cell(found["student_minus_base"]["ndcg"], signed=True) in page
    # 100 tokens at $2.50 a million are $0.25 for 1,000 pairs; the student's cost $0.0007.
    assert paper.equal_tokens_ratio(run) == pytest.approx(0.25 / 0.0007)


def test_the_page_of_speed_has_what_was_measured_and_says_what_was_not(load: Any) -> None:
    ways = {
        "labeler": [2.0, 4.0],
        "labeler-int8": [1.0, 2.0],
        "labeler-fp32": [3.0, 6.0],
        "plain": [4.0, 12.0],
        "openvino-int8": [2.0, 6.0],
    }
    facts = {"date": "2026-11-29", "command": "python it"}
    labeling = {
        **facts,
        "set": "some-set",
        "pairs": 300,
        "queries": 30,
        "passages": 290,
        "rounds": 2,
        "base_model": "bundled",
        "precision": "bf16",
        "seconds": ways,
        "missing": ["sentence-transformers[onnx]"],
        "quadratic_kappa": dict.fromkeys(ways, 0.5),
        "correlation_with_fp32": 0.99991,
        "same_grade_as_fp32": 0.995,
        "products": 3e10,
    }
    machine = {
        **facts,
        "side": 2048,
        "gflops": {"fp32": 50.0, "bf16": 100.0},
        "copied_gb_per_second": 20.0,
    }
    training = {**facts, "missing": ["sentence-transformers[train]"]}
    runs = {"labeler": [60.0, 80.0], "before": [120.0, 176.0]}
    first_run = {**facts, "before": "0a1b", "rounds": 2, "seconds": runs}
    measured = {
        "labeling": labeling, "training": training, "first_run": first_run, "machine": machine
    }  # fmt: skip
    page = load("performance_page").as_page({"machine": "a machine", "measured": measured})
    rows_are_whole(page)
    assert "| `CrossEncoder.predict`, as it loads | 38 | 2.50× (2.00 to 3.00) | 0.500 |" in page
    for package in ("onnx", "train"):
        assert f"not installed: `sentence-transformers[{package}]`" in " ".join(page.split())
    assert "Labeling reaches 10.0 % of the product" in " ".join(page.split())
    assert "takes 5.00× (4.00 to 6.00), in OpenVINO int8 2.50×" in " ".join(page.split())
    assert "corpus: 70 s; at commit `0a1b` it takes 2.10× (2.00 to 2.20)." in " ".join(page.split())
    assert "Mining" not in page
    assert "too small" in page


def test_each_passage_is_a_candidate_of_five_queries(load: Any) -> None:
    pairs = pd.DataFrame(
        {
            "query": [f"query {n % 8}" for n in range(40)],
            "text": [f"text {n}" for n in range(40)],
            "human": 0,
        }
    )
    found = load("performance").five_queries_each(pairs, 100)
    assert len(found) == 100
    assert found.groupby("text")["query"].nunique().tolist() == [5] * 20
    own = found.merge(pairs, on=["query", "text"])
    assert own["text"].nunique() == 20
    assert found["query"].is_monotonic_increasing


def test_products_are_counted_as_torch_counts_them(load: Any, tmp_path: Path) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModel

    from tiny_models import encoder

    network = AutoModel.from_pretrained(encoder(tmp_path), attn_implementation="eager")
    network.pooler = None
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        for length in (7, 12):
            network(input_ids=torch.ones(1, length, dtype=torch.long))
    counted = load("performance").products(network.config, np.array([7, 12]))
    assert counted == counter.get_total_flops()
