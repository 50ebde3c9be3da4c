"""Plan the paid stages of a run; nothing is sent and nothing that is stored is changed."""

import logging
from dataclasses import replace
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import parse_judge
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.mining.parameters import MiningParameters
from relevance_distillery.pipelines.planning.parameters import PlanningParameters
from relevance_distillery.pipelines.synthesis.nodes import (
    llm_synthesizer,
    read_documents,
    seed_passages,
    split_into_passages,
)
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.planning.plan_report import closing_lines, corpus_digest, summarise
from relevance_distillery.synthesizers.query_log import QueryLog

# Kedro finds the models of parameters by the annotations of nodes, so these name nothing that is
# imported late: plans are `Any`.
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

    The benchmark's documents are never dropped as copies, forgotten ones stay out; passages and
    origins of the last run have no rows where there was none.
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
) -> list[Any]:
    """Plan synthesis, if an LLM writes queries; UserError for no model, or a cap without price."""
    if synthesis.synthesizer != "llm":
        return []
    from relevance_distillery.planning.estimates import plan_synthesizer

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
) -> list[Any]:
    """Plan labeling, one entry for each prompt of a judge that is paid; empty where none is.

    Stored queries and candidates have no rows and the report of the last fitted cascade is empty
    where there are none; no few-shot example may ask a query of the benchmark.

    Raises:
        UserError: No model, or a cap without a price.
    """
    from relevance_distillery.judges.registry import JudgeSources, prepare_judge
    from relevance_distillery.planning.estimates import plan_judge
    from relevance_distillery.planning.expected_pairs import paid_judges, stored_pairs

    names = paid_judges(labeling, cascade_report)
    if not names:
        return []
    real, _ = query_log.read()
    known = stored_pairs(queries, candidates, passages)
    expected = expected_pairs(passages, real, queries, candidates, synthesis, mining, planning)
    if expected is None:
        return []
    pairs, weight = expected
    sources = JudgeSources(
        scale, labeling, recorded=recorded, prompt=prompt, benchmark_queries=benchmark.query_texts()
    )
    plans = []
    for name, share in names.items():
        judge: Any = prepare_judge(name, sources)
        for number, one in enumerate(getattr(judge, "judges", (judge,))):
            plan = plan_judge(
                one,
                pairs,
                weight,
                ledger,
                known=known,
                count_at_most=planning.count_at_most,
                latency_seconds=planning.latency_seconds,
                retry_failures=labeling.retry_failures,
                max_attempts=labeling.max_attempts,
                share=share,
                corpus=(passages["document_id"].nunique(), len(passages)),
            )
            # The labels have the hash of all prompts together.
            again = {"prompt_hash": judge.prompt_hash, "further_prompt": number > 0}
            plans.append(replace(plan, **again))
    return plans


def expected_pairs(
    passages: pd.DataFrame,
    real: pd.DataFrame,
    queries: pd.DataFrame,
    candidates: pd.DataFrame,
    synthesis: SynthesisParameters,
    mining: MiningParameters,
    planning: PlanningParameters,
) -> tuple[Pairs, float] | None:
    """The stored pairs where a run would use them, else stand-ins.

    Returns:
        Pairs, and how many pairs of the run each represents (1 for the run's own); None where
        only recorded grades are looked up, or no query is to be expected.
    """
    from relevance_distillery.judges.prompted.llm import public_model
    from relevance_distillery.planning.expected_pairs import (
        ExpectedQueries,
        are_current,
        stand_in_pairs,
        stored_pairs,
    )
    from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer

    drafts = 0
    if synthesis.synthesizer != "log":
        drafts = len(seed_passages(passages, synthesis)) * synthesis.queries_per_passage
    expected = ExpectedQueries.of(
        drafts, len(real), synthesis.max_queries, synthesis.max_real_queries, synthesis.limit
    )
    known = stored_pairs(queries, candidates, passages)
    llm = f"llm:{public_model(synthesis.llm.model or '')}"
    generator = {"extractive": "extractive", "llm": llm}.get(synthesis.synthesizer, "")
    if known is not None and are_current(queries, candidates, passages, expected, generator):
        return known, 1.0
    channels = [name for name in mining.channels if name != "recorded"]
    if not channels:
        return None

    def mine(queries: pd.DataFrame, sample: pd.DataFrame) -> pd.DataFrame:
        from relevance_distillery.channels.bm25 import BM25Channel
        from relevance_distillery.channels.candidates import choose_candidates
        from relevance_distillery.channels.registry import ChannelSources, search_channels

        sources = ChannelSources(
            sample,
            BM25Channel.build(sample, mining.language, k1=mining.bm25.k1, b=mining.bm25.b),
            pd.DataFrame(columns=["query_id", "document_id", "grade"]),
            depth=mining.bm25.depth,
            random_passages=mining.random_passages,
            seed=mining.seed,
            dense=mining.dense,
        )
        runs, _ = search_channels(queries, sources, channels)
        candidates, _ = choose_candidates(
            queries,
            sample,
            runs,
            {},
            depth=mining.bm25.depth,
            bands=mining.bm25.bands,
            seed=mining.seed,
        )
        return candidates

    return stand_in_pairs(
        passages,
        real,
        expected,
        ExtractiveSynthesizer(synthesis.language, synthesis.styles, 0.0),
        mine,
        sample_passages=planning.sample_passages,
        sample_queries=planning.sample_queries,
        seed=synthesis.seed,
    )


def report_plan(
    passages: pd.DataFrame,
    planned_synthesis: list[Any],
    planned_labeling: list[Any],
    synthesis: SynthesisParameters,
    labeling: LabelingParameters,
) -> dict[str, Any]:
    """The plan as a file, and as the last lines of the run."""
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
