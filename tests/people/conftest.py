"""A small corpus with labels, from which samples for people are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest


@dataclass(frozen=True)
class Stored:
    """What a run leaves: the tables that an export reads."""

    candidates: pd.DataFrame
    queries: pd.DataFrame
    passages: pd.DataFrame
    labels: pd.DataFrame


def make_stored(queries: int = 40, passages: int = 12, seed: int = 0) -> Stored:
    rng = np.random.default_rng(seed)
    query_ids = [f"q{number:03d}" for number in range(queries)]
    passage_ids = [f"guide/page {number}.md#0" for number in range(passages)]
    candidates = pd.DataFrame(
        [(query, passage) for query in query_ids for passage in passage_ids],
        columns=["query_id", "passage_id"],
    ).assign(channel="bm25", rank=1, score=1.0, is_seed=False)
    grades = rng.choice(4, len(candidates), p=[0.7, 0.2, 0.06, 0.04])
    chances = rng.dirichlet(np.ones(4), len(candidates))
    labels = candidates[["query_id", "passage_id"]].assign(
        grade=grades, judge="one", probabilities=list(chances)
    )
    return Stored(
        candidates=candidates,
        queries=pd.DataFrame(
            {
                "query_id": query_ids,
                "text": [f"where is page {number}" for number in range(queries)],
                "style": ["keyword" if number % 4 else "question" for number in range(queries)],
                "passage_id": "",
            }
        ),
        passages=pd.DataFrame(
            {
                "passage_id": passage_ids,
                "document_id": [name.removesuffix("#0") for name in passage_ids],
                "title": [f"Page {number}" for number in range(passages)],
                "heading": "",
                "text": [f"=SUM(A{number})\nline two, of {number}" for number in range(passages)],
                "path": [name.removesuffix("#0") for name in passage_ids],
                "author": "@ann",
                "modified": "2026-01-01",
            }
        ),
        labels=labels,
    )


@pytest.fixture
def stored() -> Stored:
    return make_stored()
