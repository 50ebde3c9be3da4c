"""Documents into passages, passages into queries."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.documents.cleaning import clean_documents, deduplicate
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.passages import split_documents
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.pipelines.synthesis.splitting import splitter_for
from relevance_distillery.synthesizers import filters
from relevance_distillery.synthesizers.base import choose_seeds
from relevance_distillery.synthesizers.query_log import QueryLog
from relevance_distillery.synthesizers.query_requests import QueryRequests
from relevance_distillery.synthesizers.registry import make_extractive, make_llm, make_requests
from relevance_distillery.text.language import Language

logger = logging.getLogger(__name__)


def read_documents(
    raw_documents: DocumentSource,
    benchmark: Benchmark,
    forgotten: ForgottenDocuments,
    parameters: SynthesisParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read, clean and deduplicate.

    Args:
        raw_documents: Where the documents are.
        benchmark: Documents that it judges by id are never dropped as copies.
        forgotten: Documents that were deleted on request stay out.
        parameters: `params:synthesis`.

    Returns:
        `documents`, `skipped_documents` (columns path, where, reason) and counts.

    Raises:
        UserError: Nothing readable, or ids are empty or given twice.
    """
    reading = raw_documents.read(
        **parameters.reading.model_dump(), limit=parameters.limit, seed=parameters.seed
    )
    cleaning = parameters.cleaning
    unwanted = reading.documents["document_id"].isin(forgotten.ids())
    remaining = reading.documents[~unwanted].reset_index(drop=True)
    documents, cleaned = clean_documents(remaining, cleaning.boilerplate_share)
    blank = (documents["title"] == "") & (documents["text"] == "")
    copies = pd.DataFrame(columns=reading.skipped.columns)
    if cleaning.deduplicate:
        judged = benchmark.judged_documents()
        documents, copies = deduplicate(
            documents[~blank].reset_index(drop=True),
            near=cleaning.near_duplicate,
            keep=frozenset(judged),
        )
    elif blank.any():
        documents = documents[~blank].reset_index(drop=True)
    hollow = pd.DataFrame({"path": remaining.loc[blank, "document_id"], "where": "text"}).assign(
        reason="nothing left after cleaning"
    )
    deleted = pd.DataFrame(
        {"path": reading.documents.loc[unwanted, "document_id"], "where": "file"}
    ).assign(reason="forgotten")
    skipped = pd.concat([reading.skipped, deleted, hollow, copies], ignore_index=True).astype(str)
    reasons = skipped["reason"].value_counts().sort_index()
    report = {
        "read": len(reading.documents),
        "kept": len(documents),
        "skipped": {str(reason): int(count) for reason, count in reasons.items()},
        "cleaned": cleaned,
    }
    if documents.empty:
        raise UserError("no document is left after cleaning; see `synthesis.cleaning`")
    logger.info("%d documents kept, %d skipped or dropped", len(documents), len(skipped))
    return documents, skipped, report


def split_into_passages(
    documents: pd.DataFrame,
    previous_passages: pd.DataFrame,
    previous_origins: pd.DataFrame,
    parameters: SynthesisParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Split documents; those that did not change keep the passages of the last run.

    Args:
        documents: The `documents` table.
        previous_passages: Passages of the last run, or no rows.
        previous_origins: What they were made from, or no rows.
        parameters: `params:synthesis`.

    Returns:
        `passages`, `passage_origins` and counts.
    """
    passages, origins, counts = split_documents(
        documents, splitter_for(parameters.passages), previous_passages, previous_origins
    )
    logger.info("%d passages, %d documents unchanged", counts["passages"], counts["kept"])
    return passages, origins, counts


def draft_queries(
    passages: pd.DataFrame,
    query_log: QueryLog,
    prompt: Prompt,
    ledger: Ledger,
    parameters: SynthesisParameters,
) -> tuple[pd.DataFrame, dict[str, int], dict[str, Any]]:
    """Write queries for passages spread over all documents, and put people's own in front.

    Args:
        passages: The `passages` table.
        query_log: People's queries, or an empty log.
        prompt: What an LLM is asked, for `synthesizer=llm`.
        ledger: Where an LLM's answers are kept.
        parameters: `params:synthesis`.

    Returns:
        A `queries` table before filtering, counts of the log's rows, and what the synthesizer
        has to tell: `synthesizer`, and for an LLM what was asked, failed and paid.

    Raises:
        UserError: The synthesizer is `log` and there is no log, the log is unusable, or an LLM
            cannot be asked or wrote nothing at all.
    """
    real, counts = query_log.read()
    told: dict[str, Any] = {"synthesizer": parameters.synthesizer}
    if parameters.synthesizer == "log":
        if real.empty:
            raise UserError('synthesizer=log needs a query log: pass --params="queries=FILE"')
        return real, counts, told
    per_passage, seed = parameters.queries_per_passage, parameters.seed
    if parameters.synthesizer == "llm":
        requests = query_requests(prompt, parameters)
        withheld = requests.withheld(passages)
        seeds = seed_passages(passages[~withheld], parameters)
        writer = make_llm(
            requests, parameters.llm, ledger, parameters.prices, parameters.typo_share
        )
        written = writer.write(passages, seeds, per_passage, seed)
        told |= {"withheld_passages": int(withheld.sum()), "llm": writer.report}
    else:
        extractive = make_extractive(parameters.language, parameters.styles, parameters.typo_share)
        seeds = seed_passages(passages, parameters)
        written = extractive.write(passages, seeds, per_passage, seed)
    return pd.concat([real, written], ignore_index=True), counts, told


def seed_passages(passages: pd.DataFrame, parameters: SynthesisParameters) -> pd.DataFrame:
    """The passages that queries are written for: as many as the filters are likely to need."""
    wanted = min(parameters.max_queries, parameters.limit or parameters.max_queries)
    drafts = wanted * parameters.oversampling
    return choose_seeds(
        passages, math.ceil(drafts / parameters.queries_per_passage), parameters.seed
    )


def query_requests(prompt: Prompt, parameters: SynthesisParameters) -> QueryRequests:
    """What an LLM is asked for passages.

    Raises:
        UserError: There is no model, or prompt, styles, language or redaction are wrong.
    """
    return make_requests(prompt, parameters.llm, parameters.language, parameters.styles)


def filter_queries(
    query_drafts: pd.DataFrame,
    passages: pd.DataFrame,
    benchmark: Benchmark,
    documents_report: dict[str, Any],
    passages_report: dict[str, int],
    query_log_report: dict[str, int],
    drafting_report: dict[str, Any],
    parameters: SynthesisParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Drop queries that would teach nothing or too much, and count what each filter dropped.

    Args:
        query_drafts: Real queries, then synthetic ones.
        passages: The `passages` table.
        benchmark: Queries equal or nearly equal to its queries are dropped.
        documents_report: Counts of `read_documents`.
        passages_report: Counts of `split_into_passages`.
        query_log_report: Counts of `draft_queries`.
        drafting_report: What the synthesizer told.
        parameters: `params:synthesis`.

    Returns:
        `queries` and the `synthesis_report`.

    Raises:
        UserError: No query is left.
    """
    language = Language(parameters.language)
    settings = parameters.filters
    sieve = filters.Sieve(query_drafts)
    sieve.drop(
        "benchmark_overlap",
        lambda table: filters.overlapping(
            list(table["text"]),
            benchmark.query_texts(),
            language,
            settings.benchmark_overlap,
        ),
        synthetic_only=False,
    )
    longest = settings.max_copied_words
    if longest is not None:
        sieve.drop("copy", lambda table: _copies(table, passages, longest))
    sieve.drop("duplicate", lambda table: filters.duplicates(table, language))
    sieve.drop(
        "too_many_documents",
        lambda table: filters.too_common(
            table,
            passages,
            language,
            settings.max_document_share,
            settings.max_documents_at_least,
        ),
    )
    if settings.round_trip_k is not None:
        k = settings.round_trip_k
        sieve.drop("round_trip", lambda table: filters.lost(table, passages, language, k))
    sieve.drop("over_limit", lambda table: ~_within(table, parameters), synthetic_only=False)
    queries = sieve.queries
    report = {
        "documents": documents_report,
        "passages": passages_report,
        "query_log": query_log_report,
        **drafting_report,
        "queries": {
            "drafted": _by_style(query_drafts),
            "dropped": sieve.dropped,
            "kept": _by_style(queries),
            "total": len(queries),
        },
    }
    if queries.empty:
        raise UserError(
            f"none of {len(query_drafts)} queries passed the filters; "
            "loosen `synthesis.filters` or add documents"
        )
    logger.info("%d queries kept of %d drafted", len(queries), len(query_drafts))
    return queries, report


def _copies(table: pd.DataFrame, passages: pd.DataFrame, longest: int) -> np.ndarray:
    """Copies among the queries of an LLM: the extractive synthesizer copies by design."""
    by_model = table["generator"].str.startswith("llm:").to_numpy(dtype=bool, copy=True)
    by_model[by_model] = filters.copied(table[by_model], passages, longest)
    return by_model


def _within(queries: pd.DataFrame, parameters: SynthesisParameters) -> np.ndarray:
    """True for what fits the limits: real queries by frequency, synthetic ones in order."""
    real = queries["style"] == "real"
    place = real.groupby(real).cumcount()
    most = parameters.max_real_queries
    fits = (~real & (place < parameters.max_queries)) | (real & (most is None or place < most))
    if parameters.limit is not None:
        fits &= fits.cumsum() <= parameters.limit
    return fits.to_numpy()


def _by_style(queries: pd.DataFrame) -> dict[str, int]:
    counts = queries["style"].value_counts().sort_index()
    return {str(style): int(count) for style, count in counts.items()}
