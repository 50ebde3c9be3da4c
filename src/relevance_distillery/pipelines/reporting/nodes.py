"""Grade the benchmark with every judge, measure, decide, report.

Nodes import what they compute with, so that registering the pipeline imports none of it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judge_files import JudgeFiles
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.reporting.parameters import ReportingParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters

logger = logging.getLogger(__name__)


def select_benchmark_pairs(
    benchmark: Benchmark,
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    synthesis: SynthesisParameters,
    parameters: ReportingParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Which passages must be graded to grade the benchmark's documents.

    Returns:
        benchmark_pairs and benchmark_facts, see `collections.benchmark_pairs.select_pairs`;
        the pairs have a column benchmark, the facts a list `others`.
    """
    from relevance_distillery.collections.benchmark_pairs import select_pairs
    from relevance_distillery.documents.passages import split_documents

    def split(documents: pd.DataFrame) -> pd.DataFrame:
        return split_documents(documents, synthesis.passages.splitter())[0]

    tables, facts = [], []
    for one in benchmark.everything:
        pairs, own = select_pairs(one, passages, queries, labels, splits, split)
        tables.append(pairs.assign(benchmark=one.name))
        facts.append(own)
        for reason in own["skipped"]:
            logger.warning("benchmark %s: %s", one.name, reason)
    return pd.concat(tables, ignore_index=True), {**facts[0], "others": facts[1:]}


def choose_teacher(
    judge_state: dict[str, Any],
    recorded: RecordedGrades,
    prompt: Prompt,
    benchmark: Benchmark,
    labeling: LabelingParameters,
    parameters: ReportingParameters,
    scale: GradeScale,
) -> dict[str, Any]:
    """The state of the judge that the report compares the student with.

    Returns:
        `judge_state`, unless another judge is asked for by its kind, which is then prepared.
    """
    from relevance_distillery.judges.base import KINDS, parse_judge
    from relevance_distillery.judges.registry import JudgeSources, is_prepared, prepare_judge

    if parameters.judge.partition(":")[0] not in KINDS:
        return judge_state  # a recorded judge goes by the name of its file
    asked = parse_judge(parameters.judge)
    if is_prepared(asked, judge_state) or KINDS[asked.kind].from_corpus:
        return judge_state
    sources = JudgeSources(
        scale,
        labeling,
        recorded=recorded,
        prompt=prompt,
        benchmark_queries=benchmark.query_texts(),
    )
    return prepare_judge(str(asked), sources).to_state()


def grade_benchmark(
    benchmark: Benchmark,
    pairs: pd.DataFrame,
    labeler: Path,
    judge_state: dict[str, Any],
    ledger: Ledger,
    labels: pd.DataFrame,
    labeling_report: dict[str, Any],
    splits: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    parameters: ReportingParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """benchmark_grades, benchmark_failures, grading_facts; see `reporting.benchmark_grades`."""
    from relevance_distillery.reporting import benchmark_grades

    return benchmark_grades.grade_benchmark(
        benchmark,
        pairs,
        labeler,
        judge_state,
        ledger,
        labels,
        labeling_report,
        splits,
        queries,
        passages,
        parameters,
    )


def collect_grades(
    benchmark: Benchmark, files: JudgeFiles, parameters: ReportingParameters
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any], pd.DataFrame]:
    """benchmark_grades, benchmark_facts, grading_facts and texts; see `reporting.judge_files`."""
    from relevance_distillery.reporting import judge_files

    return judge_files.collect_grades(benchmark, files)


def measure_agreement(
    grades: pd.DataFrame,
    benchmark: Benchmark,
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """The content of agreement.json for a trained labeler."""
    from relevance_distillery.reporting.benchmark_agreement import agreement_of_labeler

    return agreement_of_labeler(grades, benchmark, benchmark_facts, grading_facts, parameters)


def measure_grades(
    grades: pd.DataFrame,
    benchmark: Benchmark,
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """The content of agreement.json for files of grades."""
    from relevance_distillery.reporting.judge_files import agreement_of_files

    return agreement_of_files(grades, benchmark, benchmark_facts, grading_facts, parameters)


def pick_disagreements(
    grades: pd.DataFrame,
    pairs: pd.DataFrame,
    benchmark: Benchmark,
    parameters: ReportingParameters,
) -> list[dict[str, Any]]:
    """The student's worst disagreements with people, see `evaluation.disagreements.pick`."""
    return _disagreements(grades, pairs, benchmark, parameters, ["student"])


def pick_examples(
    grades: pd.DataFrame, texts: pd.DataFrame, benchmark: Benchmark, parameters: ReportingParameters
) -> list[dict[str, Any]]:
    """Every judge's worst disagreements with people, see `evaluation.disagreements.pick`."""
    return _disagreements(grades, texts, benchmark, parameters, None)


def _disagreements(
    grades: pd.DataFrame,
    texts: pd.DataFrame,
    benchmark: Benchmark,
    parameters: ReportingParameters,
    judges: list[str] | None,
) -> list[dict[str, Any]]:
    from relevance_distillery.evaluation.agreement.graded_pairs import grading_judges
    from relevance_distillery.evaluation.disagreements import pick
    from relevance_distillery.reporting.benchmark_agreement import of_benchmark

    own = of_benchmark(grades, benchmark)
    return pick(
        own,
        of_benchmark(texts, benchmark),
        grading_judges(own) if judges is None else judges,
        benchmark.scale,
        parameters.examples,
        parameters.seed,
        parameters.language,
    )


def measure_cost(
    pairs: pd.DataFrame,
    labeler: Path,
    judge_state: dict[str, Any],
    labels: pd.DataFrame,
    training_facts: dict[str, Any],
    benchmark: Benchmark,
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """The content of cost.json: speed and price of student and teacher, and the break-even."""
    from relevance_distillery.labeler.inference import Labeler
    from relevance_distillery.reporting import cost_report
    from relevance_distillery.reporting.benchmark_agreement import of_benchmark

    return cost_report.measure_cost(
        of_benchmark(pairs, benchmark),
        Labeler.load(labeler),
        judge_state,
        labels,
        training_facts,
        benchmark.scale,
        parameters,
    )


def price_grades(
    grading_facts: dict[str, Any], texts: pd.DataFrame, parameters: ReportingParameters
) -> dict[str, Any]:
    """The content of cost.json for files of grades: what they and the price list say."""
    from relevance_distillery.reporting.cost_report import prices_of_files

    return prices_of_files(grading_facts["judges"], texts, parameters.cost)


def promote_labeler(
    registration: dict[str, Any],
    grades: pd.DataFrame,
    pairs: pd.DataFrame,
    benchmark: Benchmark,
    agreement: dict[str, Any],
    cost: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """Decide whether the registered version becomes the champion, and record it there."""
    from relevance_distillery.reporting.benchmark_agreement import of_benchmark
    from relevance_distillery.reporting.promotion import promote

    if not registration.get("version"):
        raise UserError("the labeler has no registered version: run `kedro run --pipeline=distill`")
    return promote(
        registration,
        of_benchmark(grades, benchmark),
        of_benchmark(pairs, benchmark),
        benchmark,
        agreement,
        cost,
        parameters,
    )


def draw_figures(agreement: dict[str, Any], cost: dict[str, Any]) -> tuple[Any, ...]:
    """Plotly figures, see `reporting.figures.draw_figures`."""
    from relevance_distillery.reporting.figures import draw_figures

    return draw_figures(agreement, cost)


def write_report(
    agreement: dict[str, Any],
    cost: dict[str, Any],
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    disagreements: list[dict[str, Any]],
    promotion: dict[str, Any],
    labeling_report: dict[str, Any],
    exclusions: dict[str, Any],
    training_facts: dict[str, Any],
) -> tuple[str, str]:
    """The page of a trained labeler, with texts of queries and documents and without."""
    from relevance_distillery.reporting.report import labeler_report

    return labeler_report(
        {
            "agreement": agreement,
            "cost": cost,
            "benchmark": benchmark_facts,
            "grading": grading_facts,
            "disagreements": disagreements,
            "promotion": promotion,
            "labeling": labeling_report,
            "exclusions": exclusions,
            "training": training_facts,
        }
    )


def write_grades_report(
    agreement: dict[str, Any],
    cost: dict[str, Any],
    benchmark_facts: dict[str, Any],
    disagreements: list[dict[str, Any]],
) -> tuple[str, str]:
    """The page of files of grades, with texts of queries and documents and without."""
    from relevance_distillery.reporting.report import grades_report

    return grades_report(
        {
            "agreement": agreement,
            "cost": cost,
            "benchmark": benchmark_facts,
            "disagreements": disagreements,
        }
    )
