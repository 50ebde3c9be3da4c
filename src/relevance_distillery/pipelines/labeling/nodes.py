"""Steps of the labeling pipeline."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.panel import side_by_side
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

    Args:
        passages: Schema `Passages`.
        queries: Schema `Queries`.
        recorded: Grades of the recorded judge, empty for the others.
        prompt: The grading prompt, for judges that read instructions.
        benchmark: Whose queries no few-shot example may ask.
        parameters: Which judge, and its settings.
        scale: The grades to give.

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
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Grade every candidate, through the ledger.

    Args:
        candidates: Schema `Candidates`.
        queries: Schema `Queries`.
        passages: Schema `Passages`.
        judge_state: From `prepare_teacher`.
        ledger: Where answers are kept.
        synthesis_report: What an LLM was paid for queries counts against the same cap.
        plan: The last `plan.json`, to compare with; empty where there is none.
        parameters: Attempts and the cap.
        scale: The grades to give.

    Returns:
        Labels (schema `Labels`), failures (schema `Failures`), the labeling report, and for a
        judge that is made of others what each of them said (schema `JudgeLabels`) and how far
        they disagree (schema `Difficulty`).
    """
    budget = _budget(parameters.llm.max_cost_usd, synthesis_report)
    judge = restore_judge(parameters.judge, judge_state, scale, budget=budget, ledger=ledger)
    result = run_labeling(
        Pairs(candidates, queries, passages),
        judge,
        ledger,
        retry_failures=parameters.retry_failures,
        max_attempts=parameters.max_attempts,
    )
    report = summarise_labeling(result, judge)
    judge_labels, difficulty, facts = side_by_side(result)
    report |= facts
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
    return result.labels, result.failures, report, judge_labels, difficulty


def _budget(limit_usd: float | None, synthesis_report: Mapping[str, Any]) -> Budget | None:
    """What is left of a cap that synthesis and labeling share; None without a cap."""
    if limit_usd is None:
        return None
    return Budget(limit_usd, float((synthesis_report.get("llm") or {}).get("cost_usd", 0.0)))


def keep_labels(
    graded: pd.DataFrame, failures: pd.DataFrame, report: dict[str, Any]
) -> pd.DataFrame:
    """Hand the labels on, unless there are none.

    This is a step of its own so that the failures of a run in which no pair got a label are
    written before it is refused, and an empty table never becomes the newest labels.

    Args:
        graded: Labels from `grade_candidates`.
        failures: Failures from `grade_candidates`.
        report: The labeling report.

    Returns:
        The labels (schema `Labels`).

    Raises:
        UserError: There was no pair, or none of them got a label.
    """
    refuse_total_failure(report["judge"], graded, failures)
    return graded
