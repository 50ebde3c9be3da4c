"""The content of cost.json: price and speed of judges, and every assumption behind them."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.encoders.sentence_encoder import sentence_encoder
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Grading
from relevance_distillery.judges.registry import restore_judge
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.llm.prices import Price
from relevance_distillery.reporting.benchmark_agreement import of_benchmark
from relevance_distillery.reporting.settings import CostParameters, ReportingParameters

Assumption = dict[str, Any]
"""Keys name, value, unit, source."""

Basis = Literal["measured", "list price", "not known"]


@dataclass(frozen=True)
class Throughput:
    """Pairs graded a second: one value a repetition, of so many pairs each."""

    runs: tuple[float, ...]
    pairs: int

    @property
    def pairs_per_second(self) -> float:
        """The median of the repetitions."""
        return float(np.median(self.runs))


def measure_throughput(
    grade: Callable[[pd.DataFrame], object], pairs: pd.DataFrame, repeats: int = 3
) -> Throughput:
    """Time a judge: one part of the pairs to warm up, which does not count, then one a run.

    The parts are disjoint, so that no cache of a judge makes it look faster.

    Raises:
        ValueError: No pairs or no repetitions.
    """
    if pairs.empty or repeats < 1:
        raise ValueError(f"{len(pairs)} pairs and {repeats} repetitions: both must be at least 1")
    parts = [pairs.iloc[start :: repeats + 1] for start in range(min(repeats + 1, len(pairs)))]
    grade(parts[0].reset_index(drop=True))
    runs = []
    for part in parts[1:] or parts:
        batch = part.reset_index(drop=True)
        start = time.perf_counter()
        grade(batch)
        runs.append(len(batch) / max(time.perf_counter() - start, 1e-9))
    return Throughput(tuple(runs), len(parts[-1]))


@dataclass(frozen=True)
class LabelPrice:
    """What 1,000 labels cost with one judge.

    Attributes:
        usd_per_1000: Dollars; None when not known.
        usd_basis: Where the price comes from.
        throughput: Its measured speed; None when it was not measured.
        pairs_per_second: Speed as stated by the user where it was not measured.
        list_usd_per_1000: Dollars by the price list, also where the price was measured; None
            when not known.
    """

    usd_per_1000: float | None
    usd_basis: Basis
    throughput: Throughput | None = None
    pairs_per_second: float | None = None
    list_usd_per_1000: float | None = None

    @property
    def speed(self) -> float | None:
        """Pairs a second, measured before stated; None when not known."""
        return self.throughput.pairs_per_second if self.throughput else self.pairs_per_second

    def as_json(self) -> dict[str, Any]:
        """For cost.json."""
        speed_basis = "not known" if self.pairs_per_second is None else "stated"
        return {
            "usd_per_1000_labels": number(self.usd_per_1000),
            "usd_basis": self.usd_basis,
            "measured_usd_per_1000_labels": number(
                self.usd_per_1000 if self.usd_basis == "measured" else None
            ),
            "list_usd_per_1000_labels": number(self.list_usd_per_1000),
            "pairs_per_second": number(self.speed),
            "speed_basis": "measured" if self.throughput else speed_basis,
            "runs": [number(run) for run in self.throughput.runs] if self.throughput else [],
            "pairs_a_run": self.throughput.pairs if self.throughput else 0,
        }


def price_by_machine(usd_per_hour: float, throughput: Throughput) -> LabelPrice:
    """A judge that runs on a machine paid by the hour, busy all the time."""
    return LabelPrice(
        1000.0 * usd_per_hour / 3600.0 / throughput.pairs_per_second, "measured", throughput
    )


def break_even(
    student: LabelPrice,
    teacher: LabelPrice,
    teacher_labels: int,
    training_seconds: float,
    usd_per_hour: float,
) -> dict[str, Any]:
    """After how many labels distillation has paid for its teacher labels and its training.

    Returns:
        `labels` (None when it never happens or is not known) with a `reason`, and the two
        parts of the investment in dollars.
    """
    training = training_seconds / 3600.0 * usd_per_hour
    labels = taught = None
    if teacher.usd_per_1000 is None or student.usd_per_1000 is None:
        reason = "the price of the teacher's labels is not known"
    else:
        taught = teacher_labels * teacher.usd_per_1000 / 1000.0
        saved = (teacher.usd_per_1000 - student.usd_per_1000) / 1000.0
        reason = "a label of the student costs no less than one of the teacher"
        if saved > 0:
            labels = int(np.ceil((taught + training) / saved))
            reason = (
                f"(teacher labels {taught:.4f} + training {training:.4f}) USD / "
                f"{saved * 1000:.6f} USD saved per 1,000 labels"
            )
    return {
        "labels": labels,
        "reason": reason,
        "teacher_labels_usd": number(taught),
        "training_usd": number(training),
    }


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """The ratio of two figures, None where one is not known or the second is 0."""
    if numerator is None or denominator is None or denominator <= 0:
        return None
    return number(numerator / denominator)


def measure_cost(
    pairs: pd.DataFrame,
    labeler: Path,
    state: dict[str, Any],
    labels: pd.DataFrame,
    labeling_report: dict[str, Any],
    training_facts: dict[str, Any],
    benchmark: Benchmark,
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """The content of cost.json: speed and price of student and teacher, and the break-even.

    Returns:
        judges (student and teacher: dollars per 1,000 labels, pairs a second, with the basis
        of each), prompts (see `price_by_prompt`), speed_ratio and cost_ratio (student against
        teacher), break_even, assumptions.
    """
    cost = parameters.cost
    own = of_benchmark(pairs, benchmark)
    most = min(len(own), cost.throughput_pairs)
    sample = own.sample(most, random_state=parameters.seed)
    # An encoder that remembers the benchmark's texts would make the teacher look faster.
    sentence_encoder.cache_clear()
    speed = measure_throughput(Labeler.load(labeler).grade, sample, cost.repeats)
    student = price_by_machine(cost.usd_per_hour, speed)
    listed = listed_price(parameters.judge, state, cost)
    teacher = teacher_price(parameters.judge, state, labels, sample, benchmark.scale, cost)
    seconds = float(training_facts.get("seconds") or 0.0)
    return {
        "judges": {"student": student.as_json(), "teacher": teacher.as_json()},
        "prompts": price_by_prompt(state, labeling_report),
        "speed_ratio": ratio(student.speed, teacher.speed),
        "cost_ratio": ratio(teacher.usd_per_1000, student.usd_per_1000),
        "break_even": break_even(student, teacher, len(labels), seconds, cost.usd_per_hour),
        "assumptions": _assumptions(speed.pairs, teacher, labels, seconds, cost, listed),
    }


def teacher_price(
    asked: str,
    state: dict[str, Any],
    labels: pd.DataFrame,
    pairs: pd.DataFrame,
    scale: GradeScale,
    cost: CostParameters,
) -> LabelPrice:
    """What the teacher's labels cost: measured where that is possible, else by list price.

    A judge behind an API has a known price, also when that is 0, and is never timed: its speed
    depends on the server and the account. A language model in this process recorded the time
    of every label; other judges in this process are timed.
    """
    kind, price = state.get("judge"), listed_price(asked, state, cost)
    listed = None if price is None else 1000.0 * price.usd(*_tokens(pairs, labels, cost))
    of_model = kind in ("llm", "transformers")
    own = labels[labels["model"] == state["model"]] if of_model else labels
    paid, speed = float(own["cost_usd"].sum()), None
    if kind == "transformers":
        taken = own["seconds"][own["seconds"] > 0]
        if taken.empty:
            return LabelPrice(None, "not known", list_usd_per_1000=listed)
        speed = Throughput((1.0 / float(taken.mean()),), len(taken))
    elif kind in ("embedded", "labeler") and paid <= 0:
        judge = cast(Grading, restore_judge(None, state, scale))
        given = pairs[list(PAIR_COLUMNS)]
        speed = measure_throughput(lambda some: list(judge.grade([some])), given, cost.repeats)
    if speed is not None:
        on_machine = price_by_machine(_teacher_usd_per_hour(cost), speed)
        return replace(on_machine, list_usd_per_1000=listed)
    usd: float | None = None
    basis: Basis = "not known"
    if paid > 0 or (kind == "llm" and len(own)):
        if kind != "llm" or state["price"] is not None:
            usd, basis = 1000.0 * paid / len(own), "measured"
    elif not of_model and cost.prices.get(asked) is not None:
        usd, basis = listed, "list price"
    return LabelPrice(usd, basis, None, cost.teacher_pairs_per_second, listed)


def price_by_prompt(state: Mapping[str, Any], labeling_report: Mapping[str, Any]) -> dict[str, Any]:
    """What asking several prompts added to 1,000 labels; empty for a teacher with one prompt.

    Returns:
        `asked`, how many; `first_usd_per_1000_labels` and `further_usd_per_1000_labels`, None
        without a price.
    """
    prompts, labelled = labeling_report.get("prompts"), labeling_report.get("labelled")
    if "prompts" not in state or not prompts or not labelled:
        return {}
    usd: list[float | None] = [None, None]
    if state["price"] is not None:
        paid = [1000.0 * row["cost_usd"] / labelled for row in prompts]
        usd = [number(paid[0]), number(sum(paid[1:]))]
    names = ("first_usd_per_1000_labels", "further_usd_per_1000_labels")
    return {"asked": len(prompts), **dict(zip(names, usd, strict=True))}


def listed_price(asked: str, state: Mapping[str, Any], cost: CostParameters) -> Price | None:
    """The list price of a teacher, by its name, by what follows its kind, or by its model."""
    names = (asked, asked.partition(":")[2], str(state.get("model") or ""))
    found = (cost.prices.get(name) for name in names if name)
    return next((price for price in found if price is not None), None)


def _teacher_usd_per_hour(cost: CostParameters) -> float:
    stated = cost.teacher_usd_per_hour
    return cost.usd_per_hour if stated is None else stated


def prices_of_files(
    grading_facts: dict[str, Any], texts: pd.DataFrame, parameters: ReportingParameters
) -> dict[str, Any]:
    """The content of cost.json where judges are files of grades.

    `grading_facts` and `texts` are from `judge_files.collect_grades`; where the texts are not known
    tokens, and with them a list price, are not known either.

    Returns:
        judges (each with measured and list price, apart) and assumptions.
    """
    cost, found, assumptions = parameters.cost, {}, []
    for name, judge in grading_facts["judges"].items():
        price = cost.prices.get(name)
        listed = None
        if price is not None and (texts["text"] != "").any():
            read = _estimated_tokens(texts, cost)
            listed = 1000.0 * price.usd(read, cost.output_tokens)
            assumptions += _list_price(name, price)
        paid, seconds = judge["usd_per_label"], judge["seconds_per_label"]
        known = LabelPrice(
            listed if paid is None else 1000.0 * paid,
            "measured" if paid is not None else "not known" if listed is None else "list price",
            Throughput((1.0 / seconds,), judge["labels_with_time"]) if seconds else None,
            list_usd_per_1000=listed,
        )
        found[name] = known.as_json()
        for count, what in (("labels_with_price", "a price"), ("labels_with_time", "a time")):
            if judge[count]:
                source = "its file, one label after another"
                assumptions += [_one(f"{name}, labels with {what}", judge[count], "labels", source)]
    if any(row["list_usd_per_1000_labels"] is not None for row in found.values()):
        assumptions += _assumed_tokens(cost)
    return {"judges": found, "assumptions": assumptions}


def _tokens(pairs: pd.DataFrame, labels: pd.DataFrame, cost: CostParameters) -> tuple[float, float]:
    """Tokens read and written for one pair: from the labels, else estimated."""
    if int(labels["input_tokens"].sum()) > 0:
        return float(labels["input_tokens"].mean()), float(labels["output_tokens"].mean())
    return _estimated_tokens(pairs, cost), float(cost.output_tokens)


def _estimated_tokens(pairs: pd.DataFrame, cost: CostParameters) -> float:
    """Tokens read for one pair, by the length of its texts."""
    characters = sum(float(pairs[name].str.len().mean()) for name in ("query", "title", "text"))
    return cost.prompt_tokens + characters / cost.characters_per_token


def _assumptions(
    pairs_a_run: int,
    teacher: LabelPrice,
    labels: pd.DataFrame,
    seconds: float,
    cost: CostParameters,
    listed: Price | None,
) -> list[Assumption]:
    per_hour, source = cost.usd_per_hour, cost.usd_per_hour_source
    found = [
        _one("machine of the student", per_hour, "USD an hour", source),
        _one("cores of this machine", os.cpu_count() or 1, "cores", "counted"),
        _one("the machine is busy all the time", 1, "share", "assumed"),
        _one("labels by the teacher for training", len(labels), "labels", "counted"),
        _one("training", round(seconds, 1), "seconds", "measured"),
    ]
    if listed is not None:
        found += _list_price("teacher", listed)
        if int(labels["input_tokens"].sum()) == 0:
            found += _assumed_tokens(cost)
    if teacher.throughput is not None:
        stated = cost.teacher_usd_per_hour is not None
        source = "stated" if stated else "the student's machine"
        usd = _teacher_usd_per_hour(cost)
        found.append(_one("machine of the teacher", usd, "USD an hour", source))
    found.append(_one("pairs in each timed repetition", pairs_a_run, "pairs", "counted"))
    return found


def _list_price(name: str, price: Price) -> list[Assumption]:
    return [
        _one(f"{name}, tokens read", price.usd_per_million_input, "USD a million", price.basis),
        _one(f"{name}, tokens written", price.usd_per_million_output, "USD a million", price.basis),
    ]


def _assumed_tokens(cost: CostParameters) -> list[Assumption]:
    return [
        _one("instructions in a request", cost.prompt_tokens, "tokens", "assumed"),
        _one("an answer", cost.output_tokens, "tokens", "assumed"),
        _one("a token", cost.characters_per_token, "characters", "assumed"),
    ]


def _one(name: str, value: float, unit: str, source: str) -> Assumption:
    return {"name": name, "value": value, "unit": unit, "source": source or "stated"}
