"""Plan the paid stages of a run; nothing is sent and nothing that is stored is changed."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.kinds import parse_judge
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.llm import LLMJudge
from relevance_distillery.judges.registry import prepare_judge
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.mining.parameters import MiningParameters
from relevance_distillery.pipelines.planning.expected import (
    ExpectedPairs,
    belong,
    stand_in_pairs,
    stored_pairs,
)
from relevance_distillery.pipelines.planning.judges import paid_judges
from relevance_distillery.pipelines.planning.parameters import PlanningParameters
from relevance_distillery.pipelines.synthesis.nodes import (
    llm_synthesizer,
    read_documents,
    seed_passages,
    split_into_passages,
)
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.planning.comparison import corpus_digest
from relevance_distillery.planning.labeling import plan_judge
from relevance_distillery.planning.stage import StagePlan
from relevance_distillery.planning.summary import closing_lines, summarise
from relevance_distillery.planning.synthesis import plan_synthesizer
from relevance_distillery.synthesizers.query_log import QueryLog

logger = logging.getLogger(__name__)


def gather_passages(
    raw_documents: DocumentSource,
    benchmark: Benchmark,
    forgotten: ForgottenDocuments,
    previous_passages: pd.DataFrame,
    previous_origins: pd.DataFrame,
    parameters: SynthesisParameters,
) -> pd.DataFrame:
    """The passages that synthesis would make of the documents now.

    Args:
        raw_documents: Where the documents are.
        benchmark: Documents that it judges by id are never dropped as copies.
        forgotten: Documents that stay out.
        previous_passages: Passages of the last run, or no rows.
        previous_origins: What they were made from, or no rows.
        parameters: `params:synthesis`.
    """
    documents, _, _ = read_documents(raw_documents, benchmark, forgotten, parameters)
    passages, _, _ = split_into_passages(documents, previous_passages, previous_origins, parameters)
    return passages


def plan_queries(
    passages: pd.DataFrame,
    prompt: Prompt,
    ledger: Ledger,
    synthesis: SynthesisParameters,
    planning: PlanningParameters,
) -> list[StagePlan]:
    """Plan synthesis; empty where no LLM writes queries.

    Args:
        passages: The passages now.
        prompt: The query prompt.
        ledger: Whose answers need no call.
        synthesis: `params:synthesis`.
        planning: `params:planning`.

    Raises:
        UserError: No model, or a cap without a price.
    """
    if synthesis.synthesizer != "llm":
        return []
    writer = llm_synthesizer(prompt, ledger, synthesis)
    withheld = writer.requests.withheld(passages)
    plan = plan_synthesizer(
        writer,
        seed_passages(passages[~withheld], synthesis),
        synthesis.queries_per_passage,
        synthesis.seed,
        ledger,
        withheld=int(withheld.sum()),
        latency_seconds=planning.latency_seconds,
    )
    return [plan]


def plan_labels(
    passages: pd.DataFrame,
    query_log: QueryLog,
    queries: pd.DataFrame,
    candidates: pd.DataFrame,
    prompt: Prompt,
    recorded: RecordedGrades,
    benchmark: Benchmark,
    cascade_report: dict[str, Any],
    ledger: Ledger,
    synthesis: SynthesisParameters,
    mining: MiningParameters,
    labeling: LabelingParameters,
    planning: PlanningParameters,
    scale: GradeScale,
) -> list[StagePlan]:
    """Plan labeling, one entry for each judge that is paid; empty where none is.

    Args:
        passages: The passages now.
        query_log: People's queries, or an empty log.
        queries: Stored queries, or no rows.
        candidates: Stored candidates, or no rows.
        prompt: The grading prompt.
        recorded: Grades of the recorded judge, or none.
        benchmark: Whose queries no few-shot example may ask.
        cascade_report: Of the last fitted cascade, or empty.
        ledger: Whose answers need no call.
        synthesis: `params:synthesis`.
        mining: `params:mining`.
        labeling: `params:labeling`.
        planning: `params:planning`.
        scale: The grades to give.

    Raises:
        UserError: No model, or a cap without a price.
    """
    names = paid_judges(labeling, cascade_report)
    if not names:
        return []
    real, _ = query_log.read()
    known = stored_pairs(queries, candidates, passages)
    expected: ExpectedPairs | None
    if known is not None and belong(queries, candidates, passages, len(real), synthesis):
        expected = ExpectedPairs(known)
    else:
        expected = stand_in_pairs(passages, real, synthesis, mining, planning)
    if expected is None:
        return []
    sources = JudgeSources(
        scale,
        labeling,
        recorded=recorded,
        prompt=prompt,
        benchmark_queries=benchmark.query_texts(),
    )
    plans = []
    for name, share in names.items():
        judge = prepare_judge(name, sources)
        assert isinstance(judge, LLMJudge)
        plans.append(
            plan_judge(
                judge,
                expected.pairs,
                expected.weight,
                ledger,
                known=known,
                count_at_most=planning.count_at_most,
                latency_seconds=planning.latency_seconds,
                retry_failures=labeling.retry_failures,
                max_attempts=labeling.max_attempts,
                share=share,
                corpus=(passages["document_id"].nunique(), len(passages)),
            )
        )
    return plans


def report_plan(
    passages: pd.DataFrame,
    planned_synthesis: list[StagePlan],
    planned_labeling: list[StagePlan],
    synthesis: SynthesisParameters,
    labeling: LabelingParameters,
) -> dict[str, Any]:
    """The plan as a file, and as the last lines of the run.

    Args:
        passages: The passages now.
        planned_synthesis: From `plan_queries`.
        planned_labeling: From `plan_labels`.
        synthesis: `params:synthesis`.
        labeling: `params:labeling`.
    """
    notes = []
    if not planned_synthesis:
        notes.append(f"synthesizer={synthesis.synthesizer} works here: free, nothing is sent")
    if not planned_labeling:
        kind = parse_judge(labeling.judge).kind
        notes.append(f"judge={kind} works here: free but for its time, nothing is sent")
    corpus = {
        "documents": int(passages["document_id"].nunique()),
        "passages": len(passages),
        "digest": corpus_digest(passages),
    }
    plan = summarise(
        [*planned_synthesis, *planned_labeling], notes, corpus, labeling.llm.max_cost_usd
    )
    for line in closing_lines(plan):
        logger.info(line)
    return plan
