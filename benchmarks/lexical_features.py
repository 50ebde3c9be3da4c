"""Rankers that no one fine-tuned: similarities of the encoder, BM25, boosted trees over them."""

from __future__ import annotations

import bm25s
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GroupKFold, cross_val_predict

from relevance_distillery.evaluation.graders import UntrainedEncoder
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.initialisation import token_weights
from relevance_distillery.labeler.network import fresh_network, resolve_settings
from relevance_distillery.labeler.settings import TrainingSettings

Floats = NDArray[np.float64]


def baseline_scores(
    known: pd.DataFrame, asked: pd.DataFrame, teacher: pd.Series
) -> dict[str, tuple[Floats, Floats]]:
    """Scores of the pairs with the teacher's grades and of those that are asked for.

    Args:
        known: Columns query, text, title: pairs that teach.
        asked: The same columns: pairs to score.
        teacher: Grades of `known`.

    Returns:
        By name of the ranker its scores of `known` and of `asked`. Those of `known` by boosted
        trees are of trees that did not learn the query, as the labeler's own calibration has it.
    """
    half = len(known)
    both = pd.concat([known, asked], ignore_index=True)
    similar = UntrainedEncoder("bundled", precision="bf16").scores(both)
    lexical = _bm25(both)
    columns = np.column_stack(
        [
            _features(both, known),
            lexical,
            both["text"].str.split().str.len().to_numpy(),
            both["query"].str.split().str.len().to_numpy(),
        ]
    )
    trees = HistGradientBoostingRegressor(
        max_depth=4, learning_rate=0.05, max_iter=200, min_samples_leaf=40, random_state=0
    )
    held_out = cross_val_predict(
        trees, columns[:half], teacher, groups=known["query"], cv=GroupKFold(3)
    )
    trees.fit(columns[:half], teacher)
    scores = {
        "late interaction": similar["late_interaction"].to_numpy(),
        "cosine": similar["cosine"].to_numpy(),
        "BM25": lexical,
        "boosted trees": np.concatenate([held_out, trees.predict(columns[half:])]),
    }
    return {name: (values[:half], values[half:]) for name, values in scores.items()}


def _features(pairs: pd.DataFrame, known: pd.DataFrame) -> Floats:
    """The labeler's own features of the untrained encoder."""
    settings = resolve_settings(TrainingSettings(precision="bf16"))
    model, tokenizer, facts = fresh_network(settings, DEFAULT_SCALE)
    texts = known["text"].drop_duplicates().tolist()
    labeler = Labeler(model, tokenizer, facts, precision="bf16")
    model.head.token_weights.copy_(token_weights(labeler, texts))
    parts = [
        labeler.features(pairs.iloc[start : start + 2048]).numpy()
        for start in range(0, len(pairs), 2048)
    ]
    return np.concatenate(parts).astype(np.float64)


def _bm25(pairs: pd.DataFrame) -> Floats:
    """BM25 of each pair in the collection of all passages of `pairs`."""
    texts = (pairs["title"].fillna("") + "\n" + pairs["text"]).str.strip()
    place = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(place), show_progress=False), show_progress=False)
    scores = np.zeros(len(pairs))
    for query, rows in pairs.groupby("query").groups.items():
        tokens = bm25s.tokenize([str(query)], return_ids=False, show_progress=False)[0]
        known = index.get_scores(tokens) if tokens else np.zeros(len(place))
        scores[rows] = known[[place[text] for text in texts.loc[rows]]]
    return scores
