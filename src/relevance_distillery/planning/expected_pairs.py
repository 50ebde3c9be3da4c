"""What a run would send to be graded: its own pairs where they exist, else others like them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.judges.base import inner_judge, parse_judge
from relevance_distillery.judges.composites.cascade import read_fitted
from relevance_distillery.judges.settings import JudgeSettings, judge_names
from relevance_distillery.synthesizers.base import choose_seeds, digest, hashed
from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer

_SURVIVE = 0.9
"""Share of drafts that the filters leave; on the bundled corpus they leave 90 %."""
_FEW = 0.5
"""Stored queries that are fewer than this share of those expected are of another run."""


@dataclass(frozen=True)
class ExpectedQueries:
    """How many queries a run would keep.

    `synthetic` are written ones and `logged` people's, if filters drop as is expected;
    `most_synthetic` are written ones if filters drop none.
    """

    synthetic: int
    logged: int
    most_synthetic: int

    @classmethod
    def of(
        cls,
        drafts: int,
        real: int,
        max_queries: int,
        max_real_queries: int | None,
        limit: int | None,
    ) -> Self:
        """From drafts to write and queries in the log, with the limits of synthesis."""
        logged = min(real, max_real_queries or real)
        most = max_queries if drafts else 0
        synthetic = min(most, math.ceil(drafts * _SURVIVE))
        if limit is not None:
            logged, most = min(logged, limit), min(most, limit)
            synthetic = min(synthetic, limit - logged)
        return cls(synthetic, logged, most)

    def fits(self, written: int, logged: int) -> bool:
        """Whether stored queries may be those of such a run, by their numbers."""
        return (
            _FEW * self.synthetic <= written <= self.most_synthetic
            and _FEW * self.logged <= logged <= self.logged
        )


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


def are_current(
    queries: pd.DataFrame,
    candidates: pd.DataFrame,
    passages: pd.DataFrame,
    expected: ExpectedQueries,
    generator: str,
) -> bool:
    """Whether stored queries and candidates are those that a run would use now.

    They are where all their passages are still there, the synthesizer that is configured wrote
    them (its generator, empty where none are written), and their number fits the limits.
    """
    written = queries[queries["style"] != "real"]
    return bool(
        candidates["query_id"].isin(queries["query_id"]).all()
        and candidates["passage_id"].isin(passages["passage_id"]).all()
        and (written["generator"] == generator).all()
        and expected.fits(len(written), len(queries) - len(written))
    )


def stand_in_pairs(
    passages: pd.DataFrame,
    real: pd.DataFrame,
    expected: ExpectedQueries,
    writer: ExtractiveSynthesizer,
    mine: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame],
    *,
    sample_passages: int,
    sample_queries: int,
    seed: int,
) -> tuple[Pairs, float] | None:
    """Pairs like those of a run whose queries are not written yet.

    The extractive synthesizer writes queries for a sample, and the configured channels mine
    among it (`mine`, from queries and passages to candidates): how many pairs a query has and how
    long their passages are comes out as in the run, and queries of any author are short beside
    the rest of a request.

    Returns:
        Pairs, and how many pairs of the run each represents, above 1; None where there are no
        queries to expect.
    """
    total = expected.synthetic + expected.logged
    if not total:
        return None
    sample = _whole_documents(passages, sample_passages, seed)
    share = min(1.0, sample_queries / total)
    written = _stand_in_queries(sample, math.ceil(expected.synthetic * share), writer, seed)
    queries = pd.concat([real.head(math.ceil(expected.logged * share)), written], ignore_index=True)
    # Just above 1 even for a corpus that stand-ins were written for as a whole.
    weight = max(total / len(queries), 1.0 + 1e-9)
    return Pairs(mine(queries, sample), queries, sample), weight


def _whole_documents(passages: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Passages of documents that have about so many together."""
    if len(passages) <= count:
        return passages.reset_index(drop=True)
    sizes = passages.groupby("document_id", sort=False).size()
    order = sorted(sizes.index, key=lambda name: hashed(seed, "plan", str(name)))
    total = sizes.loc[order].cumsum()
    kept = set(total.index[: max(1, int((total <= count).sum()))])
    return passages[passages["document_id"].isin(kept)].reset_index(drop=True)


def _stand_in_queries(
    passages: pd.DataFrame, count: int, writer: ExtractiveSynthesizer, seed: int
) -> pd.DataFrame:
    """Queries for so many passages; where the text offers none, its first words."""
    seeds = choose_seeds(passages, count, seed)
    written = writer.write(passages, seeds, 1, seed)
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


def paid_judges(
    settings: JudgeSettings, cascade_report: Mapping[str, Any]
) -> dict[str, float | None]:
    """Judges behind an API that a run may ask.

    Returns:
        Name to the share of pairs that the judge saw of the set that the last fitted cascade was
        measured on (`cascade_report`, empty for none); None where every pair reaches it, or
        where nothing was measured.

    Raises:
        UserError: A cascade or consensus without judges, or with unknown ones.
    """
    name = parse_judge(settings.judge)
    stages, shares = [str(name)], []
    if name.kind == "cascade":
        stages = [stage.identity.judge for stage in read_fitted(settings.cascade.fitted).stages]
        measured = (cascade_report.get("systems") or {}).get("cascade") or {}
        shares = list((measured.get("calls") or {}).values())
    elif name.kind == "consensus":
        stages = list(judge_names(settings.consensus.judges, "judge=consensus"))
    if len(shares) != len(stages):
        shares = [None] * len(stages)
    if name.kind in ("cascade", "consensus"):
        stages = [str(inner_judge(stage, name.kind)) for stage in stages]
    return {
        stage: share
        for stage, share in zip(stages, shares, strict=True)
        if parse_judge(stage).kind == "llm"
    }
