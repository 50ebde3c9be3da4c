"""Steps of training a retriever."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.registry import ChannelSources, search_channels
from relevance_distillery.collections.benchmark import Benchmark, held_out
from relevance_distillery.collections.benchmark_pairs import searched_passages
from relevance_distillery.collections.id_matching import with_known_ids
from relevance_distillery.collections.recorded_grades import RecordedGrades, grades_on
from relevance_distillery.collections.system_runs import SystemRuns, match_ids
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.retrieval import measure_rankings
from relevance_distillery.executors.execution import LOCAL, ExecutionParameters, in_order
from relevance_distillery.grading import GradeScale
from relevance_distillery.learning.splits import exclude_benchmarks
from relevance_distillery.pipelines.mining.nodes import learn_expansions
from relevance_distillery.pipelines.retrieving.parameters import RetrievingParameters
from relevance_distillery.pipelines.synthesis.nodes import read_documents
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.retriever.training_data import (
    ASSUMED,
    NOBODY,
    fill_buckets,
    query_bands,
    training_texts,
)
from relevance_distillery.scoring.graders import GraderShelf
from relevance_distillery.synthesizers.query_log import QueryLog

logger = logging.getLogger(__name__)

_GRADED = 4096
"""Pairs that a labeler grades at once."""


def gather(
    stored_passages: pd.DataFrame,
    stored_queries: pd.DataFrame,
    stored_labels: pd.DataFrame,
    raw_documents: DocumentSource,
    query_log: QueryLog,
    recorded: RecordedGrades,
    forgotten: ForgottenDocuments,
    benchmark: Benchmark,
    synthesis: SynthesisParameters,
    parameters: RetrievingParameters,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Passages, queries and grades, without anything of the benchmark.

    The stored tables of the last run are taken unless `parameters.grades` is `recorded`: then
    documents, queries and grades are those of `train_set`.

    Returns:
        retriever_passages, retriever_queries, retriever_grades (query_id, passage_id, grade,
        graded_by), and what was kept out.

    Raises:
        UserError: There are no grades, or none is left.
    """
    if parameters.grades == "stored":
        passages, queries, labels = stored_passages, stored_queries, stored_labels
        if passages.empty or queries.empty or labels.empty:
            raise UserError(
                "train_retriever: there are no labels yet; run `kedro run` first, or give "
                '--env=recorded --params="train_set=DIR,judge=human,benchmark=DIR"'
            )
        known, by = labels, "judge"
        none = "no label is of a stored query and passage; run `kedro run` again"
    else:
        documents, _, _ = read_documents(raw_documents, held_out(scale), forgotten, synthesis)
        passages = synthesis.split(documents)
        queries, _ = query_log.read()
        graded = grades_on(recorded, scale)
        known = with_known_ids(graded, query_id=queries, document_id=passages)[0]
        known = known.rename(columns={"document_id": "passage_id"})
        by = "people" if recorded.by_people else "judge"
        none = (
            "no grade is of a query and document of train_set; give a folder in BEIR's layout, and "
            "judge=human or judge=NAME"
        )
    here = known["passage_id"].isin(passages["passage_id"])
    here &= known["query_id"].isin(queries["query_id"])
    if not here.any():
        raise UserError(f"train_retriever: {none}")
    if not here.all():
        logger.warning("%d grades of unknown queries or passages are left out", (~here).sum())
    grades = known.loc[here, ["query_id", "passage_id", "grade"]].assign(graded_by=by)
    kept, facts = exclude_benchmarks(
        grades,
        queries,
        passages,
        benchmark.everything,
        parameters.language,
        parameters.near_duplicate,
    )
    asked = queries[queries["query_id"].isin(kept["query_id"])].reset_index(drop=True)
    if kept.empty:
        raise UserError(
            "train_retriever: every graded query is one of the benchmark's or nearly so, and none "
            "is left to learn from; give other training queries"
        )
    fewest = parameters.training.fewest_queries
    if benchmark.kind == "held_out" and len(asked) < fewest:
        raise UserError(
            f"train_retriever: no benchmark, and {len(asked)} queries are too few to put some of "
            f"them aside; give benchmark=DIR, or mine and label at least {fewest} queries"
        )
    logger.info(
        "%d graded pairs of %d queries to learn from, %d kept out for the benchmark",
        len(kept), len(asked), len(grades) - len(kept),
    )  # fmt: skip
    return passages, asked, kept, facts


def mine(
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    grades: pd.DataFrame,
    engines: SystemRuns,
    graders: GraderShelf,
    parameters: RetrievingParameters,
    scale: GradeScale,
    execution: ExecutionParameters = LOCAL,
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Search every channel, runs of `engines` among them, choose and grade pairs, fill the buckets.

    Returns:
        retriever_pairs, what each bucket holds and what the channels have in common.
    """
    bm25 = BM25Channel.build(passages, parameters.language)
    learned = learn_expansions(passages, bm25, parameters)
    sources = ChannelSources(
        passages,
        bm25,
        grades.rename(columns={"passage_id": "document_id"}),
        depth=parameters.buckets.shrunk(len(passages))[0],
        random_passages=0,
        seed=parameters.seed,
        dense=parameters.dense,
        dictionary=parameters.expansion.dictionary(learned, parameters.language),
        runs=match_ids(engines, query_id=queries, document_id=passages)[0].ranked,
        executor=execution.make(),
    )
    runs, channels = search_channels(queries, sources, parameters.channels)

    def ask(pairs: pd.DataFrame) -> pd.Series:
        labeler, source = graders.find_labeler(parameters.grader)
        channels["labeler"] = source
        logger.info("%d pairs without a grade: labeler %s", len(pairs), source["name"])
        # A passage that several queries share is then read once.
        neighbours = pairs.sort_values("text", kind="stable")
        blocks = (neighbours[at : at + _GRADED] for at in range(0, max(len(pairs), 1), _GRADED))
        return pd.concat(in_order(execution.make(), labeler.grade, blocks))["grade"][pairs.index]

    pairs, buckets = fill_buckets(
        grades,
        runs,
        parameters.channels,
        queries,
        passages,
        scale,
        parameters.buckets,
        parameters.language,
        parameters.seed,
        ask if parameters.grade_unjudged else None,
    )
    return pairs, buckets, channels


def train(
    pairs: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    grades: pd.DataFrame,
    parameters: RetrievingParameters,
    scale: GradeScale,
) -> tuple[Path, dict[str, Any]]:
    """Train every recipe; the best on held-back queries is the retriever.

    Returns:
        The retriever's folder, and facts: `best`, `folders` by recipe, `recipes`, `held_back`.
    """
    from relevance_distillery.retriever.recipes import train_recipes

    texts = training_texts(pairs, queries, passages, scale)
    relevant = grades.loc[grades["grade"] >= scale.relevant_from, ["query_id", "passage_id"]]
    trained = train_recipes(texts, parameters.training, Path(parameters.workspace), relevant)
    logger.info("the best on held-back queries: %s", trained.best)
    facts = {
        "best": trained.best,
        "folders": {name: str(folder) for name, folder in trained.folders.items()},
        "recipes": trained.facts,
        "held_back": trained.held_back,
    }
    return trained.folders[trained.best], facts


def measure(
    training: dict[str, Any],
    benchmark: Benchmark,
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    pairs: pd.DataFrame,
    buckets: dict[str, Any],
    channels: dict[str, Any],
    exclusions: dict[str, Any],
    synthesis: SynthesisParameters,
    parameters: RetrievingParameters,
) -> dict[str, Any]:
    """The content of retrieval.json: every system on the benchmarks, and where it comes from.

    Without a benchmark the held-back queries' grades take its place, marked as not people's.
    """
    if benchmark.kind == "held_out":
        held, graded = training["held_back"], ~pairs["graded_by"].isin((ASSUMED, NOBODY))
        grades = pairs[graded & pairs["query_id"].isin(held)]
        benchmark = replace(
            benchmark,
            queries=queries[queries["query_id"].isin(held)],
            judgments=grades.rename(columns={"passage_id": "document_id"}),
        )
    found, *others = [
        _measured(one, training, searched_passages(one, passages, synthesis.split), parameters)
        for one in benchmark.everything
    ]
    best = training["best"]
    reason = "it ranks the held-back queries best"
    if not training["held_back"]:
        reason = "it is the first recipe, and too few queries are there to hold any back"
    elif best == "untrained":
        reason = "no recipe ranks the held-back queries better than the untrained encoder"
    for one in (found, *others):
        estimate = one["systems"]["retriever"]["nDCG@10"]["estimate"]
        logger.info(
            "nDCG@10 of the retriever (%s) on %s %s", best, one["benchmark"]["name"], estimate
        )
    return found | {
        **({"other_benchmarks": others} if others else {}),
        "buckets": buckets,
        "channels": channels,
        "training": training["recipes"],
        "registered": {"system": best, "reason": reason},
        "exclusions": exclusions,
    }


def _measured(
    benchmark: Benchmark,
    training: dict[str, Any],
    passages: pd.DataFrame,
    parameters: RetrievingParameters,
) -> dict[str, Any]:
    from relevance_distillery.retriever.rankings import rank_systems

    folders = {name: Path(folder) for name, folder in training["folders"].items()}
    asked, best, language = benchmark.queries, training["best"], parameters.language
    rankings = rank_systems(folders, asked, passages, language, parameters.depth, registered=best)
    rankings["retriever"] = rankings[best]
    return measure_rankings(
        rankings,
        benchmark.judgments,
        benchmark.scale,
        benchmark.facts,
        Options.of(parameters),
        query_bands(asked, passages, language),
    )


def index(
    retriever: Path,
    passages: pd.DataFrame,
    parameters: RetrievingParameters,
    execution: ExecutionParameters = LOCAL,
) -> Path:
    """The folder of the passages' vectors by the retriever, in the workspace."""
    from relevance_distillery.retriever.encoder import Retriever
    from relevance_distillery.retriever.index import PassageIndex

    folder = Path(parameters.workspace) / "index"
    PassageIndex.build(Retriever.load(retriever), passages, folder, execution.make())
    return folder


def register(
    retriever: Path,
    index: Path,
    retrieval: dict[str, Any],
    parameters: RetrievingParameters,
) -> dict[str, str]:
    """Register retriever and index as one model, which becomes the champion.

    Returns:
        {"name", "version", "run_id", "digest"}.
    """
    from relevance_distillery.retriever import flavor

    row = retrieval["systems"]["retriever"]["nDCG@10"]["estimate"]
    labeler = retrieval["channels"].get("labeler", {})
    tags = {
        "recipe": retrieval["registered"]["system"],
        "benchmark": str(retrieval["benchmark"]["name"]),
        "labeler": f"{labeler['name']} {labeler['digest']}" if labeler else "none",
    }
    metrics = {} if row is None else {"retrieval.ndcg_at_10": float(row)}
    return flavor.log_and_register(retriever, index, parameters.registered_name, tags, metrics)
