"""Steps of compressing a retriever's query tower."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark, held_out
from relevance_distillery.collections.benchmark_pairs import searched_passages
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.retrieval import PRIMARY, REFERENCE, measure_rankings
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import digest_number
from relevance_distillery.learning.splits import exclude_benchmarks
from relevance_distillery.pipelines.compressing.parameters import CompressingParameters
from relevance_distillery.pipelines.synthesis.nodes import read_documents
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.query_encoders.unlabelled_queries import unlabelled_strings
from relevance_distillery.retriever.buckets import NEGATIVES, POSITIVES
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.searching import RetrieverShelf
from relevance_distillery.retriever.training_data import training_texts
from relevance_distillery.synthesizers.query_log import QueryLog
from relevance_distillery.text.words import normalised

logger = logging.getLogger(__name__)

_HELD_OUT = 5
"""Without a benchmark one query of so many is measured on."""


def gather(
    stored_passages: pd.DataFrame,
    stored_queries: pd.DataFrame,
    stored_labels: pd.DataFrame,
    raw_documents: DocumentSource,
    query_log: QueryLog,
    forgotten: ForgottenDocuments,
    benchmark: Benchmark,
    synthesis: SynthesisParameters,
    parameters: CompressingParameters,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame, Benchmark, pd.DataFrame, list[str]]:
    """Tables of the last run, or documents and queries read anew where there are none.

    Returns:
        Passages to index; passages to measure on, by the document ids of the grades; the benchmark,
        with the judge's grades of some queries where there is none; pairs to refine with
        (`training_texts`; none without labels); and strings to align on, without queries to
        measure by.

    Raises:
        UserError: There is nothing to measure by.
    """
    passages, queries, labels = stored_passages, stored_queries, stored_labels
    if passages.empty:
        documents, _, _ = read_documents(raw_documents, held_out(scale), forgotten, synthesis)
        passages = synthesis.split(documents)
        queries, labels = query_log.read()[0] if query_log.locations else queries, labels[:0]
    if len(labels):
        labels = labels[labels["passage_id"].isin(passages["passage_id"])]
        labels = labels[labels["query_id"].isin(queries["query_id"])]
        which = parameters.language, parameters.near_duplicate
        labels, _ = exclude_benchmarks(labels, queries, passages, benchmark.everything, *which)
    if benchmark.kind == "held_out":
        if labels.empty:
            raise UserError(
                "compress_retriever: nothing is graded to measure by; give benchmark=DIR, or run "
                "kedro run, whose judge then grades"
            )
        held = [digest_number(normalised(one)) % _HELD_OUT == 0 for one in queries["text"]]
        asked = queries[held].reset_index(drop=True)
        here = labels["query_id"].isin(asked["query_id"])
        grades, labels = labels[here].rename(columns={"passage_id": "document_id"}), labels[~here]
        benchmark = replace(benchmark, queries=asked, judgments=grades)
    targets = searched_passages(benchmark, passages, synthesis.split)
    also = [targets] * (parameters.benchmark_documents and benchmark.documents is not None)
    strings = unlabelled_strings(
        queries["text"] if len(queries) else (),
        pd.concat([passages, *also]),
        parameters.strings,
        held_out=benchmark.query_texts(),
        seed=parameters.ladder.seed,
    )
    pairs = pd.DataFrame()
    if len(labels):
        relevant = labels["grade"] >= scale.relevant_from
        bucket = relevant.map({True: POSITIVES[0], False: NEGATIVES[0]})
        pairs = training_texts(labels.assign(bucket=bucket), queries, passages, scale)
    logger.info("%d strings to align on, %d graded pairs to refine with", len(strings), len(pairs))
    return passages, targets, benchmark, pairs, strings


def open_reference(
    shelf: RetrieverShelf, passages: pd.DataFrame, parameters: CompressingParameters
) -> tuple[Any, PassageIndex]:
    """The reference (a `Retriever`) and the index that it made, see `query_encoders.reference`."""
    from relevance_distillery.query_encoders import reference

    folder = Path(parameters.workspace) / "index"
    asked = parameters.reference, parameters.query_prompt, parameters.max_length
    return reference.open_reference(*asked, shelf, passages, folder)


def train(
    reference: Any,
    index: PassageIndex,
    strings: list[str],
    pairs: pd.DataFrame,
    parameters: CompressingParameters,
) -> dict[str, str]:
    """Every rung as it is served.

    Returns:
        By rung its folder in the workspace: `reference`, those of `train_ladder`, and transformers
        once more with `_int8` behind the name.
    """
    from relevance_distillery.query_encoders.export import export_ladder
    from relevance_distillery.query_encoders.ladder import train_ladder
    from relevance_distillery.query_encoders.reference import write_reference
    from relevance_distillery.query_encoders.refinement import Graded

    workspace = Path(parameters.workspace)
    graded = Graded(pairs, index) if len(pairs) else None
    rungs = {REFERENCE: write_reference(reference, workspace / REFERENCE)}
    rungs |= train_ladder(reference, strings, parameters.ladder, workspace / "ladder", graded)
    if parameters.int8:
        rungs |= export_ladder(rungs, workspace / "int8")
    return {name: str(folder) for name, folder in rungs.items()}


def measure(
    ladder: dict[str, str],
    reference: Any,
    index: PassageIndex,
    targets: pd.DataFrame,
    benchmark: Benchmark,
    strings: list[str],
    stored: dict[str, Any],
    parameters: CompressingParameters,
) -> tuple[dict[str, Any], Path]:
    """What every rung keeps and saves, and the folder of the one that is chosen.

    Returns:
        The content of retrieval.json, systems that were measured on this benchmark before among
        it, and the chosen query encoder.

    Raises:
        UserError: No rung is as fast, or keeps as much, as is asked for.
    """
    from relevance_distillery.query_encoders import latency, measuring
    from relevance_distillery.query_encoders.reference import index_of
    from relevance_distillery.retriever.query_encoder import QueryEncoder

    if benchmark.documents is not None:
        index = index_of(reference, targets, Path(parameters.workspace) / "benchmark_index")
    encoders = {name: QueryEncoder.load(Path(folder)) for name, folder in ladder.items()}
    asked = benchmark.queries
    rankings = measuring.rank_rungs(encoders, index, targets, asked, parameters.depth)
    found = measure_rankings(
        rankings,
        benchmark.judgments,
        benchmark.scale,
        benchmark.facts,
        Options.of(parameters, seed=parameters.ladder.seed),
        reference=REFERENCE,
    )
    timed = [*asked["text"].astype(str), *strings][: parameters.timed]
    found["latency"] = latency.measure_latency(encoders, timed)
    kept = {name: row[PRIMARY]["estimate"] for name, row in found["recovered"].items()}
    limits = parameters.max_latency_ms, parameters.min_kept
    rung, reason = latency.choose_rung(kept, found["latency"], *limits)
    logger.info("served is %s, since %s", rung, reason)
    measuring.name_again(found, rung, "compressed")
    found["compression"] = {
        "reference": reference.name, "rung": rung, "reason": reason, "strings": len(strings),
        "rungs": {name: encoder.facts for name, encoder in encoders.items()},
    }  # fmt: skip
    if stored.get("benchmark", {}).get("digest") == benchmark.digest:
        found = measuring.merged(stored, found)
    return found, Path(ladder[rung])


def register(
    query_encoder: Path,
    index: PassageIndex,
    retrieval: dict[str, Any],
    parameters: CompressingParameters,
) -> dict[str, str]:
    """Register the chosen query encoder, alone and with the index; both become champions.

    Returns:
        {"name", "version", "run_id", "digest", "search"}.
    """
    from relevance_distillery.retriever import flavor

    about = retrieval["compression"]
    kept = retrieval["recovered"]["compressed"]["nDCG@10"]["estimate"]
    spent = retrieval["latency"]["compressed"]["median_ms"]
    tags = {
        "reference": about["reference"], "rung": about["rung"], "kept": str(kept),
        "latency_ms": str(spent), "benchmark": str(retrieval["benchmark"]["name"]),
    }  # fmt: skip
    metrics = {"compression.kept_ndcg_at_10": float(kept), "compression.latency_ms": float(spent)}
    name = parameters.registered_name
    found = flavor.log_and_register(query_encoder, index.folder, f"{name}-search", tags, {})
    tags["search"] = f"{found['name']} {found['version']}"
    registered = flavor.log_and_register(query_encoder, None, name, tags, metrics)
    return {**registered, "search": found["version"]}
