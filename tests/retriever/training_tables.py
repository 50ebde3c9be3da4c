"""Pairs in buckets from the tables of `tiny_models`, for training tiny retrievers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tiny_models
from relevance_distillery.retriever.settings import RetrieverSettings


def training_pairs(queries: int = 40, each: int = 6) -> pd.DataFrame:
    """As of `training_texts`: the more words of a query a passage has, the better its grade."""
    labels, asked, passages = tiny_models.tables(queries, each)
    text = dict(zip(passages["passage_id"], passages["text"], strict=True))
    wording = dict(zip(asked["query_id"], asked["text"], strict=True))
    grade = labels["grade"].to_numpy()
    drawn = np.where(np.arange(len(labels)) % 2, "random", "token_similar")
    bucket = np.select(
        [grade == 3, grade == 2, grade == 1], ["easy_positive", "hard_positive", "hard_negative"],
        drawn,
    )  # fmt: skip
    return labels[["query_id", "passage_id"]].assign(
        query=labels["query_id"].map(wording),
        passage=labels["passage_id"].map(text),
        bucket=bucket.astype(object),
        gain=(2.0**grade - 1) / 7,
        relevant=grade >= 2,
        rank_bm25=np.where(grade > 0, 1, 0),
    )


def training_settings(base_model: Path, **changes: Any) -> RetrieverSettings:
    values: dict[str, Any] = {
        "base_model": str(base_model),
        "recipes": ("curriculum",),
        "tuned_layers": 1,
        "max_length": 32,
        "epochs": 2,
        "batch_queries": 12,
        "batch_passages": 8,
        "learning_rate": 5e-3,
        "precision": "fp32",
        "seed": 1,
    }
    return RetrieverSettings(**{**values, **changes})
