"""Steps of the labeling pipeline."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.grade_files import RecordedGrades
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger import Ledger
from relevance_distillery.judges.pairs import build_pairs
from relevance_distillery.judges.registry import make_judge, prepare_judge
from relevance_distillery.judges.summary import refuse_total_failure, summarise
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters

logger = logging.getLogger(__name__)


def prepare_teacher(
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    recorded: RecordedGrades,
    parameters: LabelingParameters,
    scale: GradeScale,
) -> dict[str, Any]:
    """Fit or read what the judge needs before it grades.

    Args:
        passages: Schema `Passages`.
        queries: Schema `Queries`.
        recorded: Grades of the recorded judge, empty for the others.
        parameters: Which judge, and its settings.
        scale: The grades to give.

    Returns:
        The judge's state, from which `make_judge` makes it anywhere.
    """
    return prepare_judge(
        parameters.judge,
        passages,
        queries,
        recorded,
        scale,
        parameters.embedded,
        language=parameters.language,
        seed=parameters.seed,
    )


def grade_candidates(
    candidates: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    judge_state: dict[str, Any],
    ledger: Ledger,
    parameters: LabelingParameters,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Grade every candidate, through the ledger.

    Args:
        candidates: Schema `Candidates`.
        queries: Schema `Queries`.
        passages: Schema `Passages`.
        judge_state: From `prepare_teacher`.
        ledger: Where answers are kept.
        parameters: Attempts.
        scale: The grades to give.

    Returns:
        Labels (schema `Labels`), failures (schema `Failures`) and the labeling report.
    """
    judge = make_judge(parameters.judge, judge_state, scale)
    result = run_labeling(
        build_pairs(candidates, queries, passages),
        judge,
        ledger,
        retry_failed=parameters.retry_failed,
        max_attempts=parameters.max_attempts,
    )
    refuse_total_failure(result, judge)
    report = summarise(result, judge, scale)
    if report["failed"]:
        listed = ", ".join(f"{count} {status}" for status, count in report["failures"].items())
        logger.warning(
            "%d of %d pairs got no label (%s); they stand in the failures table",
            report["failed"],
            report["pairs"],
            listed,
        )
    return result.labels, result.failures, report
