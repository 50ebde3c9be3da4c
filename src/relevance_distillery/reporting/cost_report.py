"""The content of cost.json: price and speed of judges, and every assumption behind them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.evaluation.cost import (
    LabelPrice,
    Throughput,
    break_even,
    measure_throughput,
    price_by_machine,
    ratio,
)
from relevance_distillery.judges.base import Judge
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.llm.prices import Price
from relevance_distillery.reporting.settings import CostParameters

Assumption = dict[str, Any]
"""Keys name, value, unit, source."""


def student_price(labeler: Labeler, pairs: pd.DataFrame, parameters: CostParameters) -> LabelPrice:
    """Speed of the student on these pairs and what a label costs on the stated machine."""
    speed = measure_throughput(labeler.grade, pairs, parameters.repeats)
    return price_by_machine(parameters.usd_per_hour, speed)


def price_of_labels(
    state: Mapping[str, Any], labels: pd.DataFrame, parameters: CostParameters
) -> LabelPrice | None:
    """Price and speed of a language model from its labels; None for other kinds of judge.

    A judge behind an API has a known price, also when that is 0, and is never timed: its speed
    depends on the server and the account. A language model in this process recorded the time
    of every label.

    Args:
        state: The teacher's.
        labels: Its labels.
        parameters: Prices of machines.
    """
    if state.get("judge") not in ("llm", "transformers"):
        return None
    own = labels[labels["model"] == state["model"]]
    if state["judge"] == "llm":
        stated = parameters.teacher_pairs_per_second
        if own.empty or state["price"] is None:
            return LabelPrice(None, "not known", pairs_per_second=stated)
        paid = 1000.0 * float(own["cost_usd"].sum()) / len(own)
        return LabelPrice(paid, "measured", pairs_per_second=stated)
    taken = own["seconds"][own["seconds"] > 0]
    if taken.empty:
        return LabelPrice(None, "not known")
    speed = Throughput((1.0 / float(taken.mean()),), len(taken))
    return price_by_machine(_teacher_usd_per_hour(parameters), speed)


def _teacher_usd_per_hour(parameters: CostParameters) -> float:
    stated = parameters.teacher_usd_per_hour
    return parameters.usd_per_hour if stated is None else stated


def teacher_price(
    name: str,
    judge: Judge | None,
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    parameters: CostParameters,
) -> LabelPrice:
    """What the teacher's labels cost: measured when it runs here, else by list price.

    Args:
        name: The judge's name, key of the list prices.
        judge: The teacher when it runs in this process.
        pairs: Pairs to time it on.
        labels: The teacher's labels; paid ones know their price.
        parameters: Prices and assumptions.
    """
    paid = float(labels["cost_usd"].sum())
    if paid > 0:
        return LabelPrice(
            1000.0 * paid / len(labels),
            "measured",
            pairs_per_second=parameters.teacher_pairs_per_second,
        )
    if judge is not None:
        given = pairs[list(PAIR_COLUMNS)]
        speed = measure_throughput(
            lambda some: list(judge.grade([some])), given, parameters.repeats
        )
        return price_by_machine(_teacher_usd_per_hour(parameters), speed)
    price, stated = parameters.prices.get(name), parameters.teacher_pairs_per_second
    if price is None:
        return LabelPrice(None, "not known", pairs_per_second=stated)
    listed = _usd_by_tokens(price, *_tokens(pairs, labels, parameters))
    return LabelPrice(listed, "list price", None, stated, listed)


def listed_price(asked: str, state: Mapping[str, Any], parameters: CostParameters) -> Price | None:
    """The list price of a teacher, by its name, by what follows its kind, or by its model."""
    names = (asked, asked.partition(":")[2], str(state.get("model") or ""))
    found = (parameters.prices.get(name) for name in names if name)
    return next((price for price in found if price is not None), None)


def with_list_price(
    teacher: LabelPrice,
    listed: Price | None,
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    parameters: CostParameters,
) -> LabelPrice:
    """Add the list price to what was measured."""
    if listed is None or teacher.list_usd_per_1000 is not None:
        return teacher
    usd = _usd_by_tokens(listed, *_tokens(pairs, labels, parameters))
    return replace(teacher, list_usd_per_1000=usd)


def _usd_by_tokens(price: Price, read: float, written: float) -> float:
    """Dollars for 1,000 labels from the tokens of one pair."""
    return (read * price.usd_per_million_input + written * price.usd_per_million_output) / 1000.0


def prices_of_files(
    judges: Mapping[str, Mapping[str, Any]], texts: pd.DataFrame, parameters: CostParameters
) -> dict[str, Any]:
    """The content of cost.json where judges are files of grades.

    Args:
        judges: By name usd_per_label, seconds_per_label (None where the file does not say) and
            over how many labels.
        texts: Of the judged pairs, columns query, title, text; empty where they are not known:
            then tokens, and with them a list price, are not known either.
        parameters: Prices and assumptions.

    Returns:
        judges (each with measured and list price, apart) and assumptions.
    """
    found, assumptions = {}, []
    for name, judge in judges.items():
        price = parameters.prices.get(name)
        listed = None
        if price is not None and (texts["text"] != "").any():
            read = _estimated_tokens(texts, parameters)
            listed = _usd_by_tokens(price, read, parameters.output_tokens)
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
                row = _one(f"{name}, labels with {what}", judge[count], "labels", source)
                assumptions.append(row)
    if any(row["list_usd_per_1000_labels"] is not None for row in found.values()):
        assumptions += _assumed_tokens(parameters)
    return {"judges": found, "assumptions": assumptions}


def _tokens(
    pairs: pd.DataFrame, labels: pd.DataFrame, parameters: CostParameters
) -> tuple[float, float]:
    """Tokens read and written for one pair: from the labels, else estimated."""
    if int(labels["input_tokens"].sum()) > 0:
        return float(labels["input_tokens"].mean()), float(labels["output_tokens"].mean())
    return _estimated_tokens(pairs, parameters), float(parameters.output_tokens)


def _estimated_tokens(pairs: pd.DataFrame, parameters: CostParameters) -> float:
    """Tokens read for one pair, by the length of its texts."""
    characters = (
        pairs["query"].str.len() + pairs["title"].str.len() + pairs["text"].str.len()
    ).mean()
    return parameters.prompt_tokens + float(characters) / parameters.characters_per_token


def summarise(
    student: LabelPrice,
    teacher: LabelPrice,
    labels: pd.DataFrame,
    training_facts: dict[str, Any],
    parameters: CostParameters,
    listed: Price | None = None,
) -> dict[str, Any]:
    """The content of cost.json.

    Args:
        student: What its labels cost.
        teacher: What its labels cost.
        labels: The teacher's labels.
        training_facts: What training took.
        parameters: Prices and assumptions.
        listed: The teacher's list price, where the price list has one.

    Returns:
        judges (student and teacher: dollars per 1,000 labels, pairs a second, with the basis
        of each), speed_ratio and cost_ratio (student against teacher), break_even, assumptions.
    """
    seconds = float(training_facts.get("seconds") or 0.0)
    return {
        "judges": {"student": student.as_json(), "teacher": teacher.as_json()},
        "speed_ratio": ratio(student.speed, teacher.speed),
        "cost_ratio": ratio(teacher.usd_per_1000, student.usd_per_1000),
        "break_even": break_even(student, teacher, len(labels), seconds, parameters.usd_per_hour),
        "assumptions": _assumptions(student, teacher, labels, seconds, parameters, listed),
    }


def _assumptions(
    student: LabelPrice,
    teacher: LabelPrice,
    labels: pd.DataFrame,
    seconds: float,
    parameters: CostParameters,
    listed: Price | None,
) -> list[Assumption]:
    per_hour, source = parameters.usd_per_hour, parameters.usd_per_hour_source
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
            found += _assumed_tokens(parameters)
    if teacher.throughput is not None:
        stated = parameters.teacher_usd_per_hour is not None
        source = "stated" if stated else "the student's machine"
        usd = _teacher_usd_per_hour(parameters)
        found.append(_one("machine of the teacher", usd, "USD an hour", source))
    if student.throughput is not None:
        found.append(
            _one("pairs in each timed repetition", student.throughput.pairs, "pairs", "counted")
        )
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
