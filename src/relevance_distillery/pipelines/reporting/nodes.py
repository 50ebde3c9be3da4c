"""Grade the benchmark with every judge, measure, decide, report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.documents.passages import Splitter, split_documents
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.summary import Options, measure
from relevance_distillery.evaluation.benchmarks import graders
from relevance_distillery.evaluation.benchmarks.benchmark import Benchmark
from relevance_distillery.evaluation.benchmarks.selection import select_pairs
from relevance_distillery.evaluation.benchmarks.untrained import UntrainedEncoder
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.embedding.encoder import sentence_encoder
from relevance_distillery.judges.grade_files import RecordedGrades
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import (
    FROM_CORPUS,
    JUDGES,
    is_prepared,
    make_judge,
    parse_judge,
    prepare_judge,
    state_name,
)
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.template import load_token_counter
from relevance_distillery.llm.budget import Budget
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.labeling.sources import judge_sources
from relevance_distillery.pipelines.reporting import costs, promotions
from relevance_distillery.pipelines.reporting.parameters import ReportingParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.schemas import Failures, empty

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
        benchmark_pairs and benchmark_facts, see `evaluation.benchmarks.selection.select_pairs`.
    """

    def split(documents: pd.DataFrame) -> pd.DataFrame:
        splitter = Splitter(
            load_token_counter(synthesis.passages.tokenizer),
            max_tokens=synthesis.passages.max_tokens,
            min_tokens=synthesis.passages.min_tokens,
            enabled=synthesis.passages.split,
        )
        return split_documents(documents, splitter)[0]

    pairs, facts = select_pairs(benchmark, passages, queries, labels, splits, split)
    for reason in facts["skipped"]:
        logger.warning("benchmark %s: %s", benchmark.name, reason)
    return pairs, facts


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

    Args:
        judge_state: Of the judge that taught.
        recorded: Grades of the recorded judge, empty where there are none.
        prompt: The grading prompt.
        benchmark: None of its queries may be an example in the prompt.
        labeling: Settings of all kinds of judge.
        parameters: Names the judge.
        scale: The grades.

    Returns:
        `judge_state`, unless another judge is asked for by its kind, which is then prepared.
    """
    if parameters.judge.partition(":")[0] not in JUDGES:
        return judge_state  # a recorded judge goes by the name of its file
    asked = parse_judge(parameters.judge)
    if is_prepared(asked, judge_state) or asked.kind in FROM_CORPUS:
        return judge_state
    return prepare_judge(str(asked), judge_sources(labeling, scale, recorded, prompt, benchmark))


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
        benchmark_grades (query_id, document_id, human, style, query_words, seen, passages,
        student_grade, student_expected, student_score, teacher_grade, teacher_expected,
        base_grade, base_similarity, base_cosine, bm25), benchmark_failures, grading_facts.
    """
    student = Labeler.load(labeler)
    # A recorded judge goes by the name of its file, which the benchmark may know too.
    by_file = judge_state.get("judge") == "recorded" or parameters.judge == "human"
    name = parameters.judge if by_file else state_name(judge_state)
    spent = float(labeling_report.get("spent_usd", labels["cost_usd"].sum()))
    teacher, failures, reason = _teacher(benchmark, pairs, judge_state, ledger, parameters, spent)
    calibration = graders.calibration_pairs(
        labels, splits, queries, passages, parameters.calibration_pairs, parameters.seed
    )
    base = None
    if len(calibration):
        encoder = UntrainedEncoder(
            parameters.base_model, student.facts.template, student.facts.precision
        )
        base = graders.grade_with_base(encoder, pairs, calibration, benchmark.scale)
    grades = graders.assemble(
        graders.benchmark_documents(pairs),
        [
            graders.grade_with_student(student, pairs),
            teacher,
            base,
            graders.score_with_bm25(benchmark, pairs, passages, parameters.language),
        ],
    )
    facts = {
        "student": {
            "digest": student.digest,
            "base_model": student.facts.base_model,
            "architecture": student.facts.architecture,
            "precision": student.facts.precision,
            "device": str(student.device),
            "length_slope": student.facts.length_slope,
        },
        "teacher": {
            "name": name,
            "left_out": reason,
            "failures": graders.failure_counts(failures),
        },
        "base": {"model": parameters.base_model, "calibrated_on": len(calibration)},
    }
    if len(failures):
        logger.warning("teacher %s gave no grade for %d pairs", name, len(failures))
    return grades, failures, facts


def _teacher(
    benchmark: Benchmark,
    pairs: pd.DataFrame,
    judge_state: dict[str, Any],
    ledger: Ledger,
    parameters: ReportingParameters,
    spent_usd: float = 0.0,
) -> tuple[pd.DataFrame | None, pd.DataFrame, str]:
    """The teacher's grades, its failures, and why there are none where it is left out."""
    nothing = empty(Failures)
    if benchmark.kind == "held_out":
        return None, nothing, "the benchmark is made of its own grades"
    if parameters.judge == "human":
        return None, nothing, "people were the teacher"
    recorded = graders.recorded_teacher(benchmark, parameters.judge.removeprefix("recorded:"))
    if recorded is not None:
        return recorded, nothing, ""
    # One cap holds for the labels and for the benchmark.
    budget = Budget(parameters.max_cost_usd, spent_usd)
    judge = make_judge(None, judge_state, benchmark.scale, budget=budget, ledger=ledger)
    teacher, failures = graders.grade_with_teacher(judge, ledger, pairs)
    if teacher["teacher_grade"].isna().all():
        if judge_state.get("judge") != "recorded":
            counts = failures["status"].value_counts().sort_index().items()
            listed = ", ".join(f"{count} {status}" for status, count in counts)
            return None, failures, f"it gave no grade ({listed})"
        # A recorded judge that never saw this benchmark failed at nothing.
        return None, nothing, f"there are no grades by {parameters.judge} for this benchmark"
    return teacher, failures, ""


def measure_agreement(
    grades: pd.DataFrame,
    benchmark: Benchmark,
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """The content of agreement.json, see `evaluation.agreement.summary.measure`."""
    options = Options(
        resamples=parameters.resamples,
        permutations=parameters.permutations,
        seed=parameters.seed,
        level=parameters.confidence,
        slice_pairs=parameters.slice_pairs,
    )
    facts = {name: benchmark_facts[name] for name in ("name", "human", "kind", "digest")}
    if benchmark_facts.get("whole_queries") is not None:
        facts["whole_queries"] = benchmark_facts["whole_queries"]
    found = measure(grades, benchmark.scale, facts, benchmark.annotators, options)
    reason = grading_facts["teacher"]["left_out"]
    if reason:
        found["notes"].append(f"No row for the teacher: {reason}.")
    found["notes"] += [
        f"Left out of the benchmark: {reason}." for reason in benchmark_facts["skipped"]
    ]
    return found


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
    most = min(len(pairs), parameters.cost.throughput_pairs)
    sample = pairs.sample(most, random_state=parameters.seed)
    # An encoder that remembers the benchmark's texts would make the teacher look faster.
    sentence_encoder.cache_clear()
    student = costs.student_price(Labeler.load(labeler), sample, parameters.cost)
    teacher = costs.price_of_labels(judge_state, labels, parameters.cost)
    if teacher is None:
        timed = judge_state.get("judge") in ("embedded", "labeler")
        judge = make_judge(None, judge_state, benchmark.scale) if timed else None
        teacher = costs.teacher_price(parameters.judge, judge, sample, labels, parameters.cost)
    return costs.summarise(student, teacher, labels, training_facts, parameters)


def promote_labeler(
    registration: dict[str, Any],
    grades: pd.DataFrame,
    pairs: pd.DataFrame,
    benchmark: Benchmark,
    agreement: dict[str, Any],
    cost: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """Decide whether the registered version becomes the champion, and write it down there."""
    if not registration.get("version"):
        raise UserError("the labeler has no registered version: run `kedro run --pipeline=distill`")
    return promotions.promote(registration, grades, pairs, benchmark, agreement, cost, parameters)
