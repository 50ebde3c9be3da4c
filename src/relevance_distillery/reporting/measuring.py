"""Agreement on one benchmark of several, for every kind of report."""

from __future__ import annotations

from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.evaluation.agreement.measurement import Options, measure
from relevance_distillery.pipelines.reporting.parameters import ReportingParameters

_FACTS = ("name", "human", "kind", "digest", "whole_queries")


def of_benchmark(table: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """The rows of one benchmark: ids of two benchmarks may be the same.

    Args:
        table: With a column benchmark, the name.
        benchmark: Whose rows.

    Returns:
        Its rows without that column, numbered from 0.
    """
    rows = table[table["benchmark"] == benchmark.name]
    return rows.drop(columns="benchmark").reset_index(drop=True)


def agreement_with(
    benchmark: Benchmark,
    grades: pd.DataFrame,
    facts: dict[str, Any],
    parameters: ReportingParameters,
    roles: dict[str, str] | None = None,
) -> dict[str, Any]:
    """What `evaluation.agreement.measurement.measure` says, and what was left out of the benchmark.

    Args:
        benchmark: The benchmark.
        grades: Its rows of benchmark_grades.
        facts: Of benchmark_facts: name, human, kind, digest, skipped, perhaps whole_queries.
        parameters: How the figures are computed.
        roles: Which judge is the student, the teacher and the base; by their names when None.
    """
    options = Options(
        resamples=parameters.resamples,
        permutations=parameters.permutations,
        seed=parameters.seed,
        level=parameters.confidence,
        slice_pairs=parameters.slice_pairs,
        margin=parameters.margin,
    )
    named = {name: facts[name] for name in _FACTS if facts.get(name) is not None}
    found = measure(grades, benchmark.scale, named, benchmark.annotators, options, roles)
    found["notes"] += benchmark.notes
    found["notes"] += [f"Left out of the benchmark: {reason}." for reason in facts["skipped"]]
    return found
