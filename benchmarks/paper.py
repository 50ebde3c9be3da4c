"""The measures that the paper published, ours beside them, and how each was computed.

The paper: arXiv 2601.03211 (Kang, Huang, ..., Craswell, ..., 2026). Its figures rest on one
secondary source; its gain, cut-off and treatment of ties are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from pages import ROOT, Names, cell, table

from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.llm.prices import Price
from relevance_distillery.reporting.formats import dollars, rate, times

GLOBALS = ROOT / "conf" / "base" / "globals.yml"
CHARACTERS_PER_TOKEN = 4.0

PAPER = {
    "ndcg": {"student": "0.953", "teacher": "0.944", "base": "0.815"},
    "pairwise_accuracy": {"student": "63.81 %", "teacher": "62.58 %", "base": "not known"},
}
ROWS = ("student", "student_expected", "teacher", "base")
CALLED: Names = {
    "student": "distilled, its grades",
    "student_expected": "distilled, expected grade (no ties)",
    "teacher": "teacher",
    "base": "before training, cut points fitted",
}


@dataclass(frozen=True)
class Run:
    """What one run measured.

    Attributes:
        heading: Which collection taught and which tested.
        judge: Name of the recorded teacher, a key of the list prices.
        agreement: The content of agreement.json.
        cost: The content of cost.json.
        pairs: The benchmark_pairs table, for the lengths of its texts.
    """

    heading: str
    judge: str
    agreement: dict[str, Any]
    cost: dict[str, Any]
    pairs: pd.DataFrame


def paper_page(runs: list[Run]) -> str:
    """The body of the page: the answer, agreement, speed and cost."""
    parts = [
        _steps(runs),
        "Only these differences can be compared: the paper tests a 3.8B model on 923 pairs of "
        "enterprise search that are not public, these runs a 22M model on passages of the web. The "
        "paper's figures are cited from one secondary source.\n",
        "## Agreement\n",
        "### nDCG\n",
        _measure(runs, "ndcg"),
        "### Pairwise accuracy\n",
        _measure(runs, "pairwise_accuracy"),
        "## Speed and cost\n",
        _speed(runs),
    ]
    return "\n".join(parts)


def _steps(runs: list[Run]) -> str:
    """What distillation changed, and what is left to the teacher: the answer of the page."""
    rows = [
        [f"{METRICS[metric].title}, {said}", paper, *(_step(run, key, metric) for run in runs)]
        for metric, key, said, paper in (
            ("ndcg", "student_minus_base", "distilled minus untrained", "+0.138"),
            ("ndcg", "student_minus_teacher", "distilled minus teacher", "+0.009"),
            ("pairwise_accuracy", "student_minus_base", "distilled minus untrained", "not known"),
            ("pairwise_accuracy", "student_minus_teacher", "distilled minus teacher", "+0.012"),
        )
    ]
    return table(["", "paper", *(run.heading for run in runs)], rows)


def _step(run: Run, key: str, metric: str) -> str:
    row = run.agreement.get(key, {}).get(metric)
    said = (row or {}).get("conclusion")
    return cell(row, signed=True) + (f", {said}" if said else "")


def _measure(runs: list[Run], metric: str) -> str:
    rows = []
    for name in ROWS:
        judges = [run.agreement["judges"] for run in runs]
        if any(name in there for there in judges):
            ours = [cell(there.get(name, {}).get(metric)) for there in judges]
            rows.append([CALLED[name], PAPER[metric].get(name, "–"), *ours])
    return table(["", "paper", *(run.heading for run in runs)], rows)


def _speed(runs: list[Run]) -> str:
    judges = [(run.cost["judges"]["student"], run.cost["judges"]["teacher"]) for run in runs]
    speeds = [student.get("pairs_per_second") for student, _ in judges]
    rows = [
        [
            "distilled, requests a minute",
            "873 (one A100)",
            *(rate(None if speed is None else 60 * speed) for speed in speeds),
        ],
        [
            "teacher, requests a minute",
            "about 51 (873 / 17)",
            *(rate(_minute(teacher.get("pairs_per_second"))) for _, teacher in judges),
        ],
        ["throughput, times the teacher's", "17×", *(_ratio(run, "speed_ratio") for run in runs)],
        [
            "teacher, 1,000 labels, list price",
            "not known",
            *(dollars(teacher.get("usd_per_1000_labels")) for _, teacher in judges),
        ],
        [
            "distilled, 1,000 labels, measured speed at a stated hourly price",
            "–",
            *(dollars(student.get("usd_per_1000_labels")) for student, _ in judges),
        ],
        [
            "cost, teacher to distilled, as billed",
            "–",
            *(_ratio(run, "cost_ratio") for run in runs),
        ],
        [
            "cost, teacher to distilled, equal tokens",
            "19× (two list prices)",
            *(times(equal_tokens_ratio(run)) or "not known" for run in runs),
        ],
        [
            "labels after which teacher's labels and training are paid back",
            "left out",
            *(_whole(run.cost["break_even"].get("labels")) for run in runs),
        ],
    ]
    return table(["", "paper", *(run.heading for run in runs)], rows)


def _minute(speed: float | None) -> float | None:
    return None if speed is None else 60 * speed


def _ratio(run: Run, key: str) -> str:
    return times(run.cost.get(key)) or "not known"


def _whole(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"


def equal_tokens_ratio(run: Run) -> float | None:
    """The teacher's list price of the pair's own tokens over the student's price of the pair.

    Like the paper's ratio it counts the same tokens on both sides: query and passage, without
    instructions and without an answer.
    """
    prices = yaml.safe_load(GLOBALS.read_text(encoding="utf-8"))["prices"]
    student = run.cost["judges"]["student"].get("usd_per_1000_labels")
    if run.judge not in prices or not student:
        return None
    texts = [name for name in ("query", "title", "text") if name in run.pairs]
    characters = sum(float(run.pairs[name].str.len().mean()) for name in texts)
    teacher = Price(**prices[run.judge]).usd(characters / CHARACTERS_PER_TOKEN, 0)
    return 1000.0 * teacher / student
