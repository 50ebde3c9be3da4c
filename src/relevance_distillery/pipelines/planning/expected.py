"""The pairs that a run would grade: its own where they exist, else others like them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.candidates import choose_candidates
from relevance_distillery.channels.registry import ChannelSources, search_channels
from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.judges.prompted.llm import public_model
from relevance_distillery.pipelines.mining.parameters import MiningParameters
from relevance_distillery.pipelines.planning.parameters import PlanningParameters
from relevance_distillery.pipelines.synthesis.nodes import seed_passages
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.synthesizers.base import choose_seeds, digest, hashed
from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer

_SURVIVE = 0.9
"""Share of drafts that the filters leave; on the bundled corpus they leave 90 %."""
_FEW = 0.5
"""Stored queries that are fewer than this share of those expected are of another run."""


@dataclass(frozen=True)
class ExpectedPairs:
    """Pairs to plan with.

    Attributes:
        pairs: The pairs.
        weight: For how many pairs of the run each stands; 1 for the run's own.
    """

    pairs: Pairs
    weight: float = 1.0


def stored_pairs(
    queries: pd.DataFrame, candidates: pd.DataFrame, passages: pd.DataFrame
) -> Pairs | None:
    """Pairs of an earlier run whose query and passage are still there; None without any."""
    if queries.empty or candidates.empty:
        return None
    there = candidates["query_id"].isin(queries["query_id"]) & candidates["passage_id"].isin(
        passages["passage_id"]
    )
    return Pairs(candidates[there], queries, passages) if there.any() else None


def belong(
    queries: pd.DataFrame,
    candidates: pd.DataFrame,
    passages: pd.DataFrame,
    real: int,
    parameters: SynthesisParameters,
) -> bool:
    """Whether stored queries and candidates are those that a run would use now.

    They are where all their passages are still there, the synthesizer that is configured wrote
    them, and their number fits the limits.

    Args:
        queries: Stored queries; empty for none.
        candidates: Stored candidates; empty for none.
        passages: What the documents are split into now.
        real: Queries in the log now.
        parameters: `params:synthesis`.
    """
    if queries.empty or candidates.empty:
        return False
    if not candidates["query_id"].isin(queries["query_id"]).all():
        return False
    if not candidates["passage_id"].isin(passages["passage_id"]).all():
        return False
    written = queries[queries["style"] != "real"]
    author = {
        "extractive": "extractive",
        "llm": f"llm:{public_model(parameters.llm.model or '')}",
    }.get(parameters.synthesizer, "")
    if not (written["generator"] == author).all():
        return False
    synthetic, logged = expected_queries(passages, real, parameters)
    at_most = 0 if parameters.synthesizer == "log" else parameters.max_queries
    if parameters.limit is not None:
        at_most = min(at_most, parameters.limit)
    people = len(queries) - len(written)
    return _FEW * synthetic <= len(written) <= at_most and _FEW * logged <= people <= logged


def expected_queries(
    passages: pd.DataFrame, real: int, parameters: SynthesisParameters
) -> tuple[int, int]:
    """How many synthetic and real queries a run would keep, if filters drop as is expected.

    Args:
        passages: What the documents are split into.
        real: Queries in the log.
        parameters: `params:synthesis`.
    """
    logged = min(real, parameters.max_real_queries or real)
    synthetic = 0
    if parameters.synthesizer != "log":
        drafts = len(seed_passages(passages, parameters)) * parameters.queries_per_passage
        synthetic = min(parameters.max_queries, math.ceil(drafts * _SURVIVE))
    if parameters.limit is not None:
        logged = min(logged, parameters.limit)
        synthetic = min(synthetic, parameters.limit - logged)
    return synthetic, logged


def stand_in_pairs(
    passages: pd.DataFrame,
    real: pd.DataFrame,
    synthesis: SynthesisParameters,
    mining: MiningParameters,
    planning: PlanningParameters,
) -> ExpectedPairs | None:
    """Pairs like those of a run whose queries are not written yet.

    The extractive synthesizer writes queries for a sample, and the configured channels mine
    among it: how many pairs a query has and how long their passages are comes out as in the
    run, and queries of any author are short beside the rest of a request.

    Args:
        passages: What the documents are split into.
        real: People's queries.
        synthesis: `params:synthesis`.
        mining: `params:mining`.
        planning: How large the sample is.

    Returns:
        None where only recorded grades are looked up.
    """
    channels = [name for name in mining.channels if name != "recorded"]
    synthetic, logged = expected_queries(passages, len(real), synthesis)
    if not channels or not synthetic + logged:
        return None
    sample = _sample(passages, planning.sample_passages, synthesis.seed)
    share = min(1.0, planning.sample_queries / (synthetic + logged))
    written = _stand_ins(sample, math.ceil(synthetic * share), synthesis)
    queries = pd.concat([real.head(math.ceil(logged * share)), written], ignore_index=True)
    sources = ChannelSources(
        sample,
        BM25Channel.build(sample, mining.language, k1=mining.bm25.k1, b=mining.bm25.b),
        pd.DataFrame(columns=["query_id", "document_id", "grade"]),
        depth=mining.bm25.depth,
        random_passages=mining.random_passages,
        seed=mining.seed,
    )
    runs, _ = search_channels(queries, sources, channels)
    candidates, _ = choose_candidates(
        queries,
        sample,
        runs,
        {},
        depth=mining.bm25.depth,
        bands=mining.bm25.as_bands(),
        seed=mining.seed,
    )
    # Just above 1 even for a corpus of which all queries could be stood in for.
    weight = max((synthetic + logged) / len(queries), 1.0 + 1e-9)
    return ExpectedPairs(Pairs(candidates, queries, sample), weight)


def _sample(passages: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Whole documents with about so many passages together."""
    if len(passages) <= count:
        return passages.reset_index(drop=True)
    sizes = passages.groupby("document_id", sort=False).size()
    order = sorted(sizes.index, key=lambda name: hashed(seed, "plan", str(name)))
    total = sizes.loc[order].cumsum()
    kept = set(total.index[: max(1, int((total <= count).sum()))])
    return passages[passages["document_id"].isin(kept)].reset_index(drop=True)


def _stand_ins(passages: pd.DataFrame, count: int, parameters: SynthesisParameters) -> pd.DataFrame:
    """Queries for so many passages; where the text offers none, its first words."""
    writer = ExtractiveSynthesizer(parameters.language, parameters.styles, 0.0)
    seeds = choose_seeds(passages, count, parameters.seed)
    written = writer.write(passages, seeds, 1, parameters.seed)
    mute = seeds[~seeds["passage_id"].isin(written["passage_id"])]
    words = [" ".join(f"{row.title} {row.text}".split()[:4]) for row in mute.itertuples()]
    plain = pd.DataFrame(
        {
            "query_id": [f"q-{digest('plan', name)}" for name in mute["passage_id"]],
            "text": [text or "document" for text in words],
            "passage_id": mute["passage_id"].to_numpy(),
        }
    ).assign(frequency=1, style="keyword", generator="plan", prompt_hash="")
    return pd.concat([written, plain], ignore_index=True)
