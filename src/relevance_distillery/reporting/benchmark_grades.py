"""Grades of a benchmark by every judge of the report: student, teacher, untrained base, BM25."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.benchmark_pairs import benchmark_documents
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation import graders
from relevance_distillery.evaluation.graders import UntrainedEncoder
from relevance_distillery.evaluation.statistics.numbers import counts
from relevance_distillery.io.files import parts_of
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import restore_judge, state_name
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.llm.prices import Budget
from relevance_distillery.reporting.benchmark_agreement import of_benchmark
from relevance_distillery.reporting.settings import ReportingParameters
from relevance_distillery.schemas import Failures, empty

logger = logging.getLogger(__name__)


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
    """Grades of every judge for every graded document.

    Returns:
        benchmark_grades (query_id, document_id, benchmark, human, style, query_words, seen,
        folder, passages, student_grade, student_expected, student_score,
        student_probabilities, second_pass_grade, second_pass_score (where that is asked for),
        teacher_grade, teacher_expected, teacher_probabilities,
        base_grade, base_similarity, base_cosine, bm25), benchmark_failures, grading_facts.
    """
    student = Labeler.load(labeler)
    # A recorded judge goes by the name of its file, which the benchmark may know too.
    by_file = judge_state.get("judge") == "recorded" or parameters.judge == "human"
    of_state = "" if by_file else state_name(judge_state)
    # One cap holds for the labels and for all benchmarks.
    spent = float(labeling_report.get("spent_usd", labels["cost_usd"].sum()))
    budget = Budget(parameters.max_cost_usd, spent)
    calibration = graders.calibration_pairs(
        labels, splits, queries, passages, parameters.calibration_pairs, parameters.seed
    )
    encoder = None
    if len(calibration):
        encoder = UntrainedEncoder(parameters.base_model, student.facts.template, student.precision)
        encoder.share_layers_with(student)
    tables, lost, taught = [], [], []
    for one in benchmark.everything:
        own = of_benchmark(pairs, one)
        asked = _known_judge(parameters.judge, one)
        teacher, failures, reason = teacher_grades(one, own, judge_state, ledger, asked, budget)
        base = None
        if encoder is not None:
            base = graders.grade_with_base(encoder, own, calibration, one.scale)
        grades = graders.assemble(
            benchmark_documents(own).assign(benchmark=one.name),
            [
                _of_student(student, own, parameters.second_pass),
                teacher,
                base,
                graders.score_with_bm25(one, own, passages, parameters.language),
            ],
        )
        tables.append(grades)
        lost.append(failures)
        name = of_state or asked
        taught.append({"name": name, "left_out": reason, "failures": counts(failures["reason"])})
        if len(failures):
            logger.warning("teacher %s gave no grade for %d pairs", name, len(failures))
    facts = {
        "student": {
            "digest": student.digest,
            "base_model": student.facts.base_model,
            "architecture": student.facts.architecture,
            "precision": student.precision,
            "device": str(student.device),
            "length_slope": student.facts.length_slope,
        },
        "teacher": taught[0],
        "other_teachers": taught[1:],
        "base": {"model": parameters.base_model, "calibrated_on": len(calibration)},
    }
    return pd.concat(tables, ignore_index=True), pd.concat(lost, ignore_index=True), facts


def _of_student(student: Labeler, pairs: pd.DataFrame, second_pass: bool) -> pd.DataFrame:
    if second_pass:
        try:
            return graders.grade_in_two_passes(student, pairs)
        except UserError as error:
            logger.warning("%s", error)
    return graders.grade_with_student(student, pairs)


def _known_judge(judges: str, benchmark: Benchmark) -> str:
    """Of several recorded judges the first that graded the benchmark; else all, as they taught."""
    names = parts_of(judges)
    of_benchmark = (name for name in names if name in benchmark.judge_files)
    return next(of_benchmark, "+".join(dict.fromkeys(names)))


def teacher_grades(
    benchmark: Benchmark,
    pairs: pd.DataFrame,
    judge_state: dict[str, Any],
    ledger: Ledger,
    name: str,
    budget: Budget,
) -> tuple[pd.DataFrame | None, pd.DataFrame, str]:
    """Grades of the teacher for one benchmark.

    Returns:
        Columns of `graders.grade_with_teacher`, None where the teacher is left out; its
        failures; and why it is left out.
    """
    nothing = empty(Failures)
    if benchmark.kind == "held_out":
        return None, nothing, "the benchmark is made of its own grades"
    if name == "human":
        return None, nothing, "people were the teacher"
    recorded = benchmark.judge(name.removeprefix("recorded:"))
    if recorded is not None:
        names = {"grade": "teacher_grade"}
        if recorded["probabilities"].notna().any():
            names["expected_grade"] = "teacher_expected"
        own = recorded.astype({"grade": "Int64"}).rename(columns=names)
        return own[[*KEY, *names.values()]], nothing, ""
    by_id = judge_state.get("judge") == "recorded"
    unknown = f"there are no grades by {name} for this benchmark"
    if by_id and benchmark.kind == "own_corpus":
        # It knows ids of the collection that it graded; here they may name something else.
        return None, nothing, unknown
    judge = restore_judge(None, judge_state, benchmark.scale, budget=budget, ledger=ledger)
    teacher, failures = graders.grade_with_teacher(judge, ledger, pairs)
    if teacher["teacher_grade"].isna().all():
        if not by_id:
            by_status = counts(failures["status"]).items()
            listed = ", ".join(f"{count} {status}" for status, count in by_status)
            return None, failures, f"it gave no grade ({listed})"
        # A recorded judge that never saw this benchmark failed at nothing.
        return None, nothing, unknown
    return teacher, failures, ""
