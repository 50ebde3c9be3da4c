"""The few figures of a run that two runs are compared by; everything else is in its artifacts."""

import re
from typing import Any

import pandas as pd

MOST = 30
"""Metrics of one table, however many judges or systems it is about."""

_INTERVAL = r"(estimate|low|high)"
_SPENT = r"(cost_usd|cost_usd_this_run|actual_over_planned)"

_HEADLINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "agreement": (
        "agreement",
        (
            rf"judges\.(student|teacher)\.quadratic_kappa\.{_INTERVAL}",
            rf"student_minus_(teacher|base)\.quadratic_kappa\.{_INTERVAL}",
            r"human_ceiling\.quadratic_kappa\.estimate",
            r"benchmark\.queries",
            r"judges\..+\.quadratic_kappa\.estimate",
        ),
    ),
    "cost": (
        "cost",
        (
            r"judges\..+\.usd_per_1000_labels",
            r"judges\..+\.pairs_per_second",
            r"break_even\.labels",
        ),
    ),
    "synthesis_report": ("synthesis", (r"queries\.total", rf"llm\.{_SPENT}")),
    "labeling_report": ("labeling", (r"failed", _SPENT)),
    "robustness": ("robustness", (rf"judges\..+\.overall\.(mean_change|raised)\.{_INTERVAL}",)),
    "human_grades_report": ("human_grades", (r"grades", r"pairs", r"without_a_grade")),
    "cascade_report": (
        "cascade",
        (
            rf"systems\.cascade\.quadratic_kappa\.{_INTERVAL}",
            rf"cascade_minus\..+\.quadratic_kappa\.{_INTERVAL}",
            r"systems\..+\.(cost|usd_per_1000)",
        ),
    ),
    "system_evaluation": (
        "system_evaluation",
        (rf"systems\..+\.measures\..+\.{_INTERVAL}", r"queries\.all"),
    ),
    "retrieval": (
        "retrieval",
        (
            rf"(systems|differences)\.retriever\.nDCG@10\.{_INTERVAL}",
            rf"systems\.retriever\.(embarrassing@10|removed)\.{_INTERVAL}",
            rf"recovered\.compressed\.(nDCG@10|top_10_in_common)\.{_INTERVAL}",
            r"latency\.compressed\.(median_ms|speedup)",
            r"benchmark\.queries",
            r"(systems|differences)\..+\.nDCG@10\.estimate",
        ),
    ),
}
"""Of each table: the prefix of its metrics, and which of its numbers, the first ones foremost."""

_LONGEST = 250
"""Characters that MLflow takes as the name of a metric."""


def headlines(table: str, data: Any) -> dict[str, float]:
    """The headline metrics of a table of the catalog, `MOST` of them at most; often none."""
    if table not in _HEADLINES or not isinstance(data, dict):
        return {}
    prefix, patterns = _HEADLINES[table]
    numbers = flat_numbers(data)
    found = [
        name for pattern in patterns for name in numbers if re.fullmatch(pattern, name, re.DOTALL)
    ]
    return {
        re.sub(r"[^\w./ -]", "_", f"{prefix}.{name}")[:_LONGEST]: numbers[name]
        for name in list(dict.fromkeys(found))[:MOST]
    }


def compared(table: str, data: Any) -> dict[str, str]:
    """Tags that say what a run's headlines are about: which labeler, measured on what."""
    if table == "promotion":
        return {
            "labeler": f"{data['name']} {data['version']}",
            "labeler_in_use": "yes" if data["champion"] == data["version"] else "no",
        }
    if table != "agreement":
        return {}
    benchmark = data["benchmark"]
    return {
        "benchmark": f"{benchmark['name']} {benchmark['digest']}",
        "benchmark_graded_by_people": "yes" if benchmark["human"] else "no",
    }


def training_curve(facts: Any) -> list[tuple[int, dict[str, float]]]:
    """Training loss and held-out kappa by step, from training_facts."""
    if not isinstance(facts, dict):
        return []
    first = {"step": 0, **(facts.get("before_training") or {})}
    return [
        (int(entry["step"]), known)
        for entry in (first, *(facts.get("early_stopping") or []))
        if (
            known := {
                f"training.{name}": float(entry[key])
                for name, key in (
                    ("loss", "train_loss"),
                    ("held_out_quadratic_kappa", "quadratic_kappa"),
                )
                if entry.get(key) is not None
            }
        )
    ]


def flat_numbers(tree: dict[str, Any]) -> dict[str, float]:
    """Every number of a nested dictionary under its dotted path; lists and texts are passed over.

    Returns:
        For example `{"judges.student.kappa.estimate": 0.41}`.
    """
    (flat,) = pd.json_normalize(tree).to_dict("records") or [{}]
    return {
        str(name): float(value)
        for name, value in flat.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
