"""Steps of the reporting pipelines that are not functions of `reporting` themselves."""

import logging
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.benchmark_pairs import EXPECTED, select_pairs
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.evaluation.agreement.graded_pairs import grading_judges
from relevance_distillery.evaluation.disagreements import pick
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import KINDS, parse_judge
from relevance_distillery.judges.registry import JudgeSources, is_prepared, prepare_judge
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.reporting.parameters import ReportingParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.reporting.benchmark_agreement import of_benchmark

logger = logging.getLogger(__name__)


def select_benchmark_pairs(
    benchmark: Benchmark,
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    documents_report: dict[str, Any],
    synthesis: SynthesisParameters,
    parameters: ReportingParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Which passages must be graded to grade the benchmark's documents.

    Returns:
        benchmark_pairs and benchmark_facts, see `collections.benchmark_pairs.select_pairs`;
        the pairs have a column benchmark, the facts a list `others`.
    """
    # That of the run that read the documents: this one may be `report` alone.
    limit = documents_report.get("limit")
    tables, facts = [], []
    for one in benchmark.everything:
        pairs, own = select_pairs(one, passages, queries, labels, splits, synthesis.split, limit)
        tables.append(pairs.assign(benchmark=one.name))
        facts.append(own)
        for reason in own["skipped"]:
            level = logging.INFO if EXPECTED in reason else logging.WARNING
            logger.log(level, "benchmark %s: %s", one.name, reason)
    return pd.concat(tables, ignore_index=True), facts[0] | {"limit": limit, "others": facts[1:]}


def choose_teacher(
    judge_state: dict[str, Any],
    recorded: RecordedGrades,
    prompt: Prompt,
    benchmark: Benchmark,
    labeling: LabelingParameters,
    parameters: ReportingParameters,
    scale: GradeScale,
) -> dict[str, Any]:
    """`judge_state`, unless the report asks for another teacher by its kind, then prepared.

    More prompts than one are another teacher too, unless that one asked as many.
    """
    if parameters.judge.partition(":")[0] not in KINDS:
        return judge_state  # a recorded judge goes by the name of its file
    asked = parse_judge(parameters.judge)
    same = labeling.llm.prompts in (1, len(judge_state.get("prompts", ())))
    if (is_prepared(asked, judge_state) and same) or KINDS[asked.kind].from_corpus:
        return judge_state
    sources = JudgeSources(
        scale, labeling, recorded=recorded, prompt=prompt, benchmark_queries=benchmark.query_texts()
    )
    return prepare_judge(str(asked), sources).to_state()


def pick_disagreements(
    grades: pd.DataFrame, pairs: pd.DataFrame, benchmark: Benchmark, parameters: ReportingParameters
) -> list[dict[str, Any]]:
    """The student's worst disagreements with people, see `evaluation.disagreements.pick`."""
    return pick_examples(grades, pairs, benchmark, parameters, ["student"])


def pick_examples(
    grades: pd.DataFrame,
    texts: pd.DataFrame,
    benchmark: Benchmark,
    parameters: ReportingParameters,
    judges: list[str] | None = None,
) -> list[dict[str, Any]]:
    """The same of some judges, of all when None."""
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
