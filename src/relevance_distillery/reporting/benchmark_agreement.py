"""Agreement of a trained labeler and its rivals with people, on every benchmark of a report."""

from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.evaluation.agreement.combining import gain_of_combining
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.agreement.measurement import measure
from relevance_distillery.reporting.settings import ReportingParameters

_FACTS = ("name", "human", "kind", "digest", "whole_queries", "limit")


def of_benchmark(table: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """The rows of one benchmark, numbered from 0: ids of two benchmarks may be the same."""
    rows = table[table["benchmark"] == benchmark.name]
    return rows.drop(columns="benchmark").reset_index(drop=True)


def options_of(parameters: ReportingParameters) -> Options:
    """How figures of agreement are computed."""
    return Options.of(parameters, slice_pairs=parameters.slice_pairs, margin=parameters.margin)


def agreement_with(
    benchmark: Benchmark,
    grades: pd.DataFrame,
    facts: dict[str, Any],
    parameters: ReportingParameters,
    roles: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The content of agreement.json for one benchmark, what was left out of it among the notes.

    `grades` are those of all benchmarks, `facts` those of this one, `roles` as in `measure`.
    """
    named = {name: facts[name] for name in _FACTS if facts.get(name) is not None}
    own = of_benchmark(grades, benchmark)
    options = options_of(parameters)
    found = measure(own, benchmark.scale, named, benchmark.annotators, options, roles)
    found["notes"] += benchmark.notes
    found["notes"] += [f"Left out of the benchmark: {reason}." for reason in facts["skipped"]]
    return found


def agreement_of_labeler(
    grades: pd.DataFrame,
    benchmark: Benchmark,
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """agreement.json of the benchmark that decides; in `other_benchmarks` that of each other."""
    facts = [benchmark_facts, *benchmark_facts["others"]]
    teachers = [grading_facts["teacher"], *grading_facts["other_teachers"]]
    measured = []
    for one, own, teacher in zip(benchmark.everything, facts, teachers, strict=True):
        found = agreement_with(one, grades, own, parameters)
        own_grades = of_benchmark(grades, one)
        found["combining"] = gain_of_combining(own_grades, one.scale, options_of(parameters))
        if teacher["left_out"]:
            found["notes"].append(f"No row for the teacher: {teacher['left_out']}.")
        measured.append(found)
    return measured[0] | {"other_benchmarks": measured[1:]}
