"""Any judges' files of grades against people's, with no labeler and no earlier run."""

import logging
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.benchmark_pairs import judged_pairs
from relevance_distillery.collections.judge_files import (
    JudgeFiles,
    JudgeGrades,
    NothingInCommonError,
    join_judges,
    named_files,
    read_judge,
)
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.reporting.benchmark_agreement import agreement_with
from relevance_distillery.reporting.settings import ReportingParameters

logger = logging.getLogger(__name__)


def collect_grades(
    benchmark: Benchmark, files: JudgeFiles
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any], pd.DataFrame]:
    """People's grades and those of every file, side by side.

    Returns:
        benchmark_grades (query_id, document_id, benchmark, human, facts for slices, and for
        each judge NAME_grade or NAME_score); benchmark_facts; grading_facts (mode `grades`,
        judges: what each file held and what its labels cost); and the texts of the pairs.

    Raises:
        UserError: There are no grades by people or by a judge, a file cannot be read, or a
            file has no pair in common with any benchmark.
    """
    if benchmark.kind == "held_out":
        raise UserError(
            "grades of judges are compared with people's: name them too, "
            '--params="benchmark=DIR,grades=FILE"'
        )
    places = named_files(files, benchmark)
    tables, texts, facts = [], [], []
    judges: dict[str, dict[str, Any]] = {}
    unmatched: dict[str, NothingInCommonError] = {}
    for one in benchmark.everything:
        read: dict[str, JudgeGrades] = {}
        for name, place in places.items():
            path = one.judge_files.get(place) if isinstance(place, str) else place
            try:
                if path is not None:
                    read[name] = read_judge(name, path, one, files.columns)
            except NothingInCommonError as error:
                unmatched.setdefault(name, error)
        documents, own_texts = judged_pairs(one)
        tables.append(join_judges(documents, read).assign(benchmark=one.name))
        texts.append(own_texts.assign(benchmark=one.name))
        facts.append(one.facts)
        for name, judge in read.items():
            own = judges.setdefault(name, _paid(judge) | {"benchmarks": {}})
            own["benchmarks"][one.name] = judge.facts | {"not_graded": judge.reason}
    absent = next((name for name in unmatched if name not in judges), None)
    if absent is not None:
        raise unmatched[absent]
    _warn(facts, judges)
    return (
        pd.concat(tables, ignore_index=True),
        {**facts[0], "others": facts[1:]},
        {"mode": "grades", "judges": {name: judges[name] for name in places if name in judges}},
        pd.concat(texts, ignore_index=True),
    )


def agreement_of_files(
    grades: pd.DataFrame,
    benchmark: Benchmark,
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """As `agreement_of_labeler`: judges by the names of their files; `sources`, what each held."""
    measured = []
    facts = [benchmark_facts, *benchmark_facts["others"]]
    for one, own in zip(benchmark.everything, facts, strict=True):
        sources = {
            name: judge["benchmarks"][one.name]
            for name, judge in grading_facts["judges"].items()
            if one.name in judge["benchmarks"]
        }
        found = agreement_with(one, grades, own, parameters, roles={})
        found["sources"] = {
            name: {key: value for key, value in source.items() if key != "not_graded"}
            for name, source in sources.items()
        }
        for name, source in sources.items():
            if source["not_graded"]:
                _not_defined(found, name, source["not_graded"])
        absent = [name for name in grading_facts["judges"] if name not in sources]
        found["notes"] += [f"No grades by {name} for this benchmark." for name in absent]
        measured.append(found)
    return measured[0] | {"other_benchmarks": measured[1:]}


def _paid(judge: JudgeGrades) -> dict[str, Any]:
    """What the labels of a file cost and took, means over those that say so."""
    return {
        "usd_per_label": number(float(judge.usd.mean())) if len(judge.usd) else None,
        "labels_with_price": len(judge.usd),
        "seconds_per_label": number(float(judge.seconds.mean())) if len(judge.seconds) else None,
        "labels_with_time": len(judge.seconds),
    }


def _not_defined(found: dict[str, Any], judge: str, reason: str) -> None:
    """Give every metric that a judge without grades does not have its reason."""
    measured = found["judges"].get(judge, {})
    nothing = {"estimate": None, "low": None, "high": None, "reason": reason}
    found["judges"][judge] = {metric: measured.get(metric, nothing) for metric in METRICS}
    found["not_defined"] += [
        {"where": f"judges.{judge}.{metric}", "reason": reason}
        for metric in METRICS
        if metric not in measured
    ]


def _warn(facts: list[dict[str, Any]], judges: dict[str, dict[str, Any]]) -> None:
    """Log what was left out."""
    for own in facts:
        for reason in own["skipped"]:
            logger.warning("benchmark %s: %s", own["name"], reason)
    for name, judge in judges.items():
        for place, source in judge["benchmarks"].items():
            for note in source["notes"]:
                logger.warning("%s on %s: %s", name, place, note)
            if source["missing"]:
                logger.warning(
                    "%s on %s: no grade for %d judged pairs", name, place, source["missing"]
                )
