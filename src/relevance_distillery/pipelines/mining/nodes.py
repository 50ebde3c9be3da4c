"""Steps of the mining pipeline."""

import logging
from typing import Any

import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.candidates import choose_candidates as choose
from relevance_distillery.channels.expansion import learn_dictionary
from relevance_distillery.channels.registry import ChannelSources, search_channels
from relevance_distillery.collections.id_matching import with_known_ids
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.collections.system_runs import SystemRuns, match_ids
from relevance_distillery.errors import UserError
from relevance_distillery.executors.execution import LOCAL, ExecutionParameters
from relevance_distillery.pipelines.mining.parameters import ChannelParameters, MiningParameters

logger = logging.getLogger(__name__)

_FOREIGN = 0.5
"""More queries than this share were not written from other versions of these passages."""


def build_bm25_index(passages: pd.DataFrame, parameters: MiningParameters) -> BM25Channel:
    """Index the passages for lexical search."""
    bm25 = parameters.bm25
    return BM25Channel.build(passages, parameters.language, k1=bm25.k1, b=bm25.b)


def learn_expansions(
    passages: pd.DataFrame, index: BM25Channel, parameters: ChannelParameters
) -> str:
    """A synonym file learned from the passages, where the expansion channel is to learn one."""
    if "expansion" not in parameters.channels or not parameters.expansion.learn:
        return "# Nothing was learned: channels lacks expansion, or learn is false.\n"
    return learn_dictionary(passages, index, parameters.dense.encoder())


def run_channels(
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    index: BM25Channel,
    recorded: RecordedGrades,
    engines: SystemRuns,
    learned: str,
    parameters: MiningParameters,
    execution: ExecutionParameters = LOCAL,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask every channel for its ranking of the passages.

    Returns:
        Runs (schema `Runs`) and counts of the channels.
    """
    seeds = queries.loc[queries["passage_id"].fillna("") != "", "passage_id"]
    if (~seeds.astype(object).isin(passages["passage_id"])).mean() > _FOREIGN:
        raise UserError(
            "queries and passages are of different documents: run `kedro run "
            "--pipeline=synthesize` to its end first"
        )
    sources = ChannelSources(
        passages,
        index,
        with_known_ids(recorded.grades, query_id=queries, document_id=passages)[0],
        depth=max(parameters.depth, parameters.bm25.depth),
        random_passages=parameters.random_passages,
        seed=parameters.seed,
        dense=parameters.dense,
        dictionary=parameters.expansion.dictionary(learned, parameters.language),
        runs=match_ids(engines, query_id=queries, document_id=passages)[0].ranked,
        executor=execution.make(),
    )
    return search_channels(queries, sources, parameters.channels)


def choose_candidates(
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    runs: pd.DataFrame,
    counts: dict[str, Any],
    parameters: MiningParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Choose the passages that are graded for each query.

    Returns:
        Candidates (schema `Candidates`) and the mining report.
    """
    candidates, report = choose(
        queries,
        passages,
        runs,
        counts,
        depth=parameters.bm25.depth,
        bands=parameters.bm25.bands,
        seed=parameters.seed,
    )
    logger.info(
        "mined %d pairs for %d queries (%s)",
        report["pairs"],
        report["queries"],
        ", ".join(f"{count} by {name}" for name, count in report["candidates"].items()),
    )
    for key in ("seeds_unknown", "recorded_unknown_documents", "recorded_unknown_queries"):
        if report.get(key):
            logger.warning("mining left out %d: %s", report[key], key.replace("_", " "))
    return candidates, report
