"""Documents into passages, passages into queries."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.id_matching import as_named
from relevance_distillery.documents.cleaning import clean_documents, deduplicate
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.passages import split_documents
from relevance_distillery.documents.source import DocumentSource, named_reasons
from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.synthesizers import filters
from relevance_distillery.synthesizers.base import choose_seeds
from relevance_distillery.synthesizers.query_log import QueryLog
from relevance_distillery.text.language import Language

if TYPE_CHECKING:
    from relevance_distillery.synthesizers.llm import LLMSynthesizer

logger = logging.getLogger(__name__)


def read_documents(
    raw_documents: DocumentSource,
    benchmark: Benchmark,
    forgotten: ForgottenDocuments,
    parameters: SynthesisParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read, clean and deduplicate.

    Documents that the benchmark judges by id are never dropped as copies; documents that were
    deleted on request stay out.

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
        named = as_named(documents, judged)["document_id"].isin(judged)
        documents, copies = deduplicate(
            documents[~blank].reset_index(drop=True),
            near=cleaning.near_duplicate,
            keep=set(documents.loc[named, "document_id"]),
        )
    elif blank.any():
        documents = documents[~blank].reset_index(drop=True)
    emptied = pd.DataFrame({"path": remaining.loc[blank, "document_id"]})
    emptied = emptied.assign(where="text", reason="nothing left after cleaning")
    deleted = pd.DataFrame({"path": reading.documents.loc[unwanted, "document_id"]})
    deleted = deleted.assign(where="file", reason="forgotten")
    skipped = pd.concat([reading.skipped, deleted, emptied, copies], ignore_index=True).astype(str)
    reasons = skipped["reason"].value_counts().sort_index()
    report = {
        "limit": parameters.limit,
        "read": len(reading.documents),
        "kept": len(documents),
        "skipped": {str(reason): int(count) for reason, count in reasons.items()},
        "cleaned": cleaned,
    }
    if documents.empty:
        left_out = "; ".join(named_reasons(skipped))
        raise UserError(
            f"no document is left after cleaning ({left_out}); see `synthesis.cleaning`"
        )
    logger.info("%d documents kept, %d skipped or dropped", len(documents), len(skipped))
    for line in named_reasons(skipped):
        logger.warning("skipped: %s", line)
    return documents, skipped, report


def split_into_passages(
    documents: pd.DataFrame,
    previous_passages: pd.DataFrame,
    previous_origins: pd.DataFrame,
    parameters: SynthesisParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Split documents; those that did not change keep the passages of the last run.

    Returns:
        `passages`, `passage_origins` and counts.
    """
    passages, origins, counts = split_documents(
        documents, parameters.passages.splitter(), previous_passages, previous_origins
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
    """Write queries for passages spread over all documents, and put real queries in front.

    Prompt and ledger are for `synthesizer=llm`.

    Returns:
        A `queries` table before filtering, counts of the log's rows, and the synthesizer's
        report: `synthesizer`, and for an LLM what was asked, failed and paid.

    Raises:
        UserError: The synthesizer is `log` and there is no log, the log is unusable, or an LLM
            cannot be asked or wrote nothing at all.
    """
    real, counts = query_log.read()
    report: dict[str, Any] = {"synthesizer": parameters.synthesizer}
    if parameters.synthesizer == "log":
        if real.empty:
            raise UserError('synthesizer=log needs a query log: pass --params="queries=FILE"')
        return real, counts, report
    per_passage, seed = parameters.queries_per_passage, parameters.seed
    if parameters.synthesizer == "llm":
        llm = llm_synthesizer(prompt, ledger, parameters)
        withheld = llm.requests.withheld(passages)
        seeds = seed_passages(passages[~withheld], parameters)
        written = llm.write(seeds, per_passage, seed)
        report |= {"withheld_passages": int(withheld.sum()), "llm": llm.report}
    else:
        from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer

        extractive = ExtractiveSynthesizer(
            parameters.language, parameters.styles, parameters.typo_share
        )
        seeds = seed_passages(passages, parameters)
        written = extractive.write(passages, seeds, per_passage, seed)
    return pd.concat([real, written], ignore_index=True), counts, report


def seed_passages(passages: pd.DataFrame, parameters: SynthesisParameters) -> pd.DataFrame:
    """The passages that queries are written for: as many as the filters are likely to need."""
    wanted = min(parameters.max_queries, parameters.limit or parameters.max_queries)
    drafts = wanted * parameters.oversampling
    return choose_seeds(
        passages, math.ceil(drafts / parameters.queries_per_passage), parameters.seed
    )


def llm_synthesizer(
    prompt: Prompt, ledger: Ledger, parameters: SynthesisParameters
) -> LLMSynthesizer:
    """The synthesizer that asks a language model, for writing queries and for planning alike.

    Raises:
        UserError: There is no model, prompt, styles, language or redaction are wrong, or there
            is a cap on the costs and the model has no price.
    """
    from relevance_distillery.llm.prices import price_or_warning
    from relevance_distillery.synthesizers.llm import LLMSynthesizer
    from relevance_distillery.synthesizers.llm_requests import QueryRequests

    settings = parameters.llm
    requests = QueryRequests(
        prompt, settings, language=parameters.language, styles=parameters.styles
    )
    price = price_or_warning(requests.model, parameters.prices, settings.max_cost_usd)
    return LLMSynthesizer(requests, ledger, typo_share=parameters.typo_share, price=price)


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
    """Drop queries that teach nothing or leak the benchmark, and count what each filter drops.

    Returns:
        `queries`, real ones first, and the `synthesis_report` with the reports of the nodes before.

    Raises:
        UserError: No query is left.
    """
    language = Language(parameters.language)
    settings = parameters.filters
    kept = filters.QueryFilter(query_drafts)
    kept.drop(
        "benchmark_overlap",
        lambda table: filters.overlapping(
            list(table["text"]), benchmark.query_texts(), language, settings.benchmark_overlap
        ),
        synthetic_only=False,
    )
    longest = settings.max_copied_words
    if longest is not None:
        kept.drop("copy", lambda table: _copies(table, passages, longest))
    kept.drop("duplicate", lambda table: filters.duplicates(table, language))
    kept.drop(
        "too_many_documents",
        lambda table: filters.too_common(
            table, passages, language, settings.max_document_share, settings.max_documents_at_least
        ),
    )
    if settings.round_trip_k is not None:
        k = settings.round_trip_k
        kept.drop("round_trip", lambda table: filters.not_retrieved(table, passages, language, k))
    kept.drop("over_limit", lambda table: ~_within(table, parameters), synthetic_only=False)
    queries = kept.queries
    report = {
        "documents": documents_report,
        "passages": passages_report,
        "query_log": query_log_report,
        **drafting_report,
        "queries": {
            "drafted": filters.count_styles(query_drafts),
            "dropped": kept.dropped,
            "kept": filters.count_styles(queries),
            "total": len(queries),
        },
    }
    if query_drafts.empty:
        raise UserError(
            f"no query could be written from {len(passages)} passages: they hold too few words; "
            "add documents, or people's own queries (queries=FILE)"
        )
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
