"""Steps of the labeling pipeline."""

import logging
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.executors.execution import LOCAL, ExecutionParameters
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.labeling import (
    refuse_total_failure,
    run_labeling,
    summarise_labeling,
)
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import JudgeSources, prepare_judge, restore_judge
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.planning.plan_report import compare_with_plan

logger = logging.getLogger(__name__)


def prepare_teacher(
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    recorded: RecordedGrades,
    prompt: Prompt,
    benchmark: Benchmark,
    parameters: LabelingParameters,
    scale: GradeScale,
) -> dict[str, Any]:
    """Fit or read what the judge needs before it grades.

    Each kind of judge takes what it needs: `recorded` is empty for others than recorded judges,
    the prompt is for those that read instructions, and no few-shot example may be a query of
    the benchmark.

    Returns:
        The judge's state, from which `restore_judge` makes it anywhere.
    """
    sources = JudgeSources(
        scale=scale,
        settings=parameters,
        passages=passages,
        queries=queries,
        recorded=recorded,
        prompt=prompt,
        benchmark_queries=benchmark.query_texts(),
    )
    return prepare_judge(parameters.judge, sources).to_state()


def grade_candidates(
    candidates: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    judge_state: dict[str, Any],
    ledger: Ledger,
    synthesis_report: dict[str, Any],
    plan: dict[str, Any],
    parameters: LabelingParameters,
    scale: GradeScale,
    execution: ExecutionParameters = LOCAL,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Grade every candidate, through the ledger, and compare with the last plan, if any.

    Returns:
        Labels (schema `Labels`), failures (schema `Failures`), the labeling report, and for a
        judge that is made of others what each of them said (schema `JudgeLabels`) and how far
        they disagree (schema `Difficulty`).
    """
    budget = None
    if parameters.llm.max_cost_usd is not None:
        # Synthesis and labeling share the cap.
        paid = float((synthesis_report.get("llm") or {}).get("cost_usd", 0.0))
        budget = Budget(parameters.llm.max_cost_usd, paid)
    judge = restore_judge(parameters.judge, judge_state, scale, budget=budget, ledger=ledger)
    result = run_labeling(
        Pairs(candidates, queries, passages),
        judge,
        ledger,
        retry_failures=parameters.retry_failures,
        max_attempts=parameters.max_attempts,
        executor=execution.make(),
    )
    report = summarise_labeling(result, judge) | result.facts
    report |= compare_with_plan(plan, result.labels, result.pairs, passages)
    # What the cap has to count: queries, labels and failures, of earlier runs too.
    report["spent_usd"] = report["cost_usd"] if budget is None else budget.spent_usd
    if report["failed"]:
        listed = ", ".join(f"{count} {status}" for status, count in report["failures"].items())
        logger.warning(
            "%d of %d pairs got no label (%s); listed in `failures`",
            report["failed"],
            report["pairs"],
            listed,
        )
    return result.labels, result.failures, report, result.judge_labels, result.difficulty


def keep_labels(
    graded: pd.DataFrame, failures: pd.DataFrame, report: dict[str, Any]
) -> pd.DataFrame:
    """Hand the labels on, unless there are none.

    This is a step of its own so that the failures of a run in which no pair got a label are
    written before it is refused, and an empty table never becomes the newest labels.

    Raises:
        UserError: There was no pair, or none of them got a label.
    """
    refuse_total_failure(report["judge"], graded, failures)
    return graded
