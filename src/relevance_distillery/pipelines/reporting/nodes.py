"""Grade the benchmark with every judge, measure, decide, report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.documents import benchmark_documents
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.collections.selection import select_pairs
from relevance_distillery.documents.passages import split_documents
from relevance_distillery.encoders.sentence_encoder import sentence_encoder
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation import graders
from relevance_distillery.evaluation.disagreements import pick
from relevance_distillery.evaluation.untrained import UntrainedEncoder
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.kinds import KINDS, parse_judge
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import (
    is_prepared,
    prepare_judge,
    restore_judge,
    state_name,
)
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.reporting.parameters import ReportingParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.pipelines.synthesis.splitting import splitter_for
from relevance_distillery.reporting import costs, promotions
from relevance_distillery.reporting.measuring import agreement_with, of_benchmark
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

    Args:
        benchmark: One benchmark, or several of which the first decides.
        passages: The run's passages.
        queries: The run's queries.
        labels: The teacher's labels.
        splits: Columns query_id, passage_id, split.
        synthesis: How documents are split into passages.
        parameters: Unused; a wrong one fails before anything is graded.

    Returns:
        benchmark_pairs and benchmark_facts, see `evaluation.benchmarks.selection.select_pairs`;
        the pairs have a column benchmark, the facts a list `others`.
    """

    def split(documents: pd.DataFrame) -> pd.DataFrame:
        return split_documents(documents, splitter_for(synthesis.passages))[0]

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
    """Grades of every judge for every graded document.

    Returns:
        benchmark_grades (query_id, document_id, benchmark, human, style, query_words, seen,
        folder, passages, student_grade, student_expected, student_score,
        student_probabilities, teacher_grade, teacher_expected, teacher_probabilities,
        base_grade, base_similarity, base_cosine, bm25), benchmark_failures, grading_facts.
    """
    student = Labeler.load(labeler)
    # A recorded judge goes by the name of its file, which the benchmark may know too.
    by_file = judge_state.get("judge") == "recorded" or parameters.judge == "human"
    name = parameters.judge if by_file else state_name(judge_state)
    # One cap holds for the labels and for all benchmarks.
    spent = float(labeling_report.get("spent_usd", labels["cost_usd"].sum()))
    budget = Budget(parameters.max_cost_usd, spent)
    calibration = graders.calibration_pairs(
        labels, splits, queries, passages, parameters.calibration_pairs, parameters.seed
    )
    encoder = None
    if len(calibration):
        encoder = UntrainedEncoder(
            parameters.base_model, student.facts.template, student.facts.precision
        )
    tables, lost, taught = [], [], []
    for one in benchmark.everything:
        own = of_benchmark(pairs, one)
        teacher, failures, reason = _teacher(one, own, judge_state, ledger, parameters, budget)
        base = None
        if encoder is not None:
            base = graders.grade_with_base(encoder, own, calibration, one.scale)
        grades = graders.assemble(
            benchmark_documents(own).assign(benchmark=one.name),
            [
                graders.grade_with_student(student, own),
                teacher,
                base,
                graders.score_with_bm25(one, own, passages, parameters.language),
            ],
        )
        tables.append(grades)
        lost.append(failures)
        taught.append(
            {"name": name, "left_out": reason, "failures": graders.failure_counts(failures)}
        )
        if len(failures):
            logger.warning("teacher %s gave no grade for %d pairs", name, len(failures))
    facts = {
        "student": {
            "digest": student.digest,
            "base_model": student.facts.base_model,
            "architecture": student.facts.architecture,
            "precision": student.facts.precision,
            "device": str(student.device),
            "length_slope": student.facts.length_slope,
        },
        "teacher": taught[0],
        "other_teachers": taught[1:],
        "base": {"model": parameters.base_model, "calibrated_on": len(calibration)},
    }
    return pd.concat(tables, ignore_index=True), pd.concat(lost, ignore_index=True), facts


def _teacher(
    benchmark: Benchmark,
    pairs: pd.DataFrame,
    judge_state: dict[str, Any],
    ledger: Ledger,
    parameters: ReportingParameters,
    budget: Budget,
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
    by_id = judge_state.get("judge") == "recorded"
    unknown = f"there are no grades by {parameters.judge} for this benchmark"
    if by_id and benchmark.kind == "own_corpus":
        # It knows ids of the collection that it graded; here they may name something else.
        return None, nothing, unknown
    judge = restore_judge(None, judge_state, benchmark.scale, budget=budget, ledger=ledger)
    teacher, failures = graders.grade_with_teacher(judge, ledger, pairs)
    if teacher["teacher_grade"].isna().all():
        if not by_id:
            counts = failures["status"].value_counts().sort_index().items()
            listed = ", ".join(f"{count} {status}" for status, count in counts)
            return None, failures, f"it gave no grade ({listed})"
        # A recorded judge that never saw this benchmark failed at nothing.
        return None, nothing, unknown
    return teacher, failures, ""


def measure_agreement(
    grades: pd.DataFrame,
    benchmark: Benchmark,
    benchmark_facts: dict[str, Any],
    grading_facts: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """The content of agreement.json, see `evaluation.agreement.measurement.measure`.

    Returns:
        Of the benchmark that decides; of each other one the same in `other_benchmarks`.
    """
    facts = [benchmark_facts, *benchmark_facts["others"]]
    teachers = [grading_facts["teacher"], *grading_facts["other_teachers"]]
    measured = []
    for one, own, teacher in zip(benchmark.everything, facts, teachers, strict=True):
        found = agreement_with(one, of_benchmark(grades, one), own, parameters)
        if teacher["left_out"]:
            found["notes"].append(f"No row for the teacher: {teacher['left_out']}.")
        measured.append(found)
    return measured[0] | {"other_benchmarks": measured[1:]}


def pick_disagreements(
    grades: pd.DataFrame,
    pairs: pd.DataFrame,
    benchmark: Benchmark,
    parameters: ReportingParameters,
) -> list[dict[str, Any]]:
    """The student's worst disagreements with people, see `evaluation.disagreements.pick`."""
    return pick(
        of_benchmark(grades, benchmark),
        of_benchmark(pairs, benchmark),
        ["student"],
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
    pairs = of_benchmark(pairs, benchmark)
    most = min(len(pairs), parameters.cost.throughput_pairs)
    sample = pairs.sample(most, random_state=parameters.seed)
    # An encoder that remembers the benchmark's texts would make the teacher look faster.
    sentence_encoder.cache_clear()
    student = costs.student_price(Labeler.load(labeler), sample, parameters.cost)
    teacher = costs.price_of_labels(judge_state, labels, parameters.cost)
    if teacher is None:
        timed = judge_state.get("judge") in ("embedded", "labeler")
        judge = restore_judge(None, judge_state, benchmark.scale) if timed else None
        teacher = costs.teacher_price(parameters.judge, judge, sample, labels, parameters.cost)
    listed = costs.listed_price(parameters.judge, judge_state, parameters.cost)
    teacher = costs.with_list_price(teacher, listed, sample, labels, parameters.cost)
    return costs.summarise(student, teacher, labels, training_facts, parameters, listed)


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
    grades, pairs = of_benchmark(grades, benchmark), of_benchmark(pairs, benchmark)
    return promotions.promote(registration, grades, pairs, benchmark, agreement, cost, parameters)
