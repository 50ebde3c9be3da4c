"""Clear pairs leave early: the lower layers' similarities tell that they are irrelevant.

Most pairs that are mined get the lowest grade, and most of these look irrelevant after a layer or
two (early exit, as in DeeBERT; Xin et al., 2020). A ridge regression predicts the score of all
layers from what the texts have in common up to one layer; a pair that it puts below a threshold
keeps the predicted score. Layer and threshold are chosen on pairs that were graded in full.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relevance_distillery.encoders.batching import Tokens
from relevance_distillery.labeler.features import (
    COVERAGE,
    Encoded,
    compared_layers,
    feature_count,
    level_similarities,
    similarity_places,
    weighted_coverage,
)
from relevance_distillery.labeler.stages import Stages
from relevance_distillery.strict import StrictModel

_FOLDS = 5
_RIDGE = 1.0
_LEAST_SAVED = 0.05  # of the layers' time; less does not pay for comparing twice


class EarlyExit(StrictModel):
    """When a pair leaves, and with which score."""

    layer: int
    """After which it may leave; 1 is the first."""
    weights: tuple[float, ...]
    """Of the features that are known there, in their order."""
    bias: float
    """Added to the weighted features, for the score."""
    below: float
    """A pair with a lower score leaves."""

    def scores(self, features: Tensor) -> Tensor:
        """Predicted scores, shape (pairs,), from the features known at the layer."""
        return features @ features.new_tensor(self.weights) + self.bias


def fit_early_exit(
    features: NDArray[np.float64],
    scores: NDArray[np.float64],
    queries: Sequence[str],
    layers: int,
    levels: int,
    is_lowest: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    most_wrong: float,
) -> tuple[EarlyExit | None, dict[str, float]]:
    """Choose layer and threshold, cross-fitted over queries.

    Args:
        features: Of pairs read through all layers, shape (pairs, feature_count(levels)).
        scores: Their scores, shape (pairs,).
        queries: Their queries.
        layers: How many the encoder has.
        levels: At how many depths the texts were compared.
        is_lowest: Whether scores of shape (pairs,) get the lowest grade.
        most_wrong: Share of the leaving pairs that may have a higher grade in full.

    Returns:
        The exit, None where too few pairs would leave; and what it does: `share` of the pairs
        that leave, and of these the share `wrong`.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    best: tuple[float, EarlyExit | None, dict[str, float]] = (_LEAST_SAVED, None, {})
    folds = min(_FOLDS, len(set(queries)))
    if folds < 2:
        return None, {}
    higher = ~is_lowest(scores)
    for layer in range(1, layers):
        seen = features[:, known_places(layers, levels, layer)]
        model = make_pipeline(StandardScaler(), Ridge(_RIDGE))
        predicted = cross_val_predict(model, seen, scores, groups=queries, cv=GroupKFold(folds))
        order = np.argsort(predicted, kind="stable")
        wrong = np.cumsum(higher[order]) / np.arange(1, len(order) + 1)
        allowed = (wrong <= most_wrong) & is_lowest(predicted[order])
        leaving = int(np.flatnonzero(allowed)[-1]) + 1 if allowed.any() else 0
        saved = leaving / len(order) * (1 - layer / layers)
        if saved <= best[0] or leaving == len(order):
            continue
        model.fit(seen, scores)
        scaler, ridge = model[0], model[1]
        weights = ridge.coef_ / scaler.scale_
        exit_ = EarlyExit(
            layer=layer,
            weights=tuple(weights.tolist()),
            bias=float(ridge.intercept_ - weights @ scaler.mean_),
            below=float(predicted[order[leaving - 1 : leaving + 1]].mean()),
        )
        share = leaving / len(order)
        best = (saved, exit_, {"share": share, "wrong": float(wrong[leaving - 1])})
    return best[1], best[2]


def known_places(layers: int, levels: int, layer: int) -> list[int]:
    """Places of the features that are known after a layer: coverage, then similarities."""
    first = sum(compared > layer for compared in compared_layers(layers, levels))
    return [COVERAGE, *similarity_places(first, levels)]


def compare_with_exit(
    stages: Stages,
    exit_: EarlyExit,
    token_weights: Tensor,
    queries: Encoded,
    texts: Tokens,
    query_of: Tensor,
    passage_of: Tensor,
    block: int,
) -> tuple[Tensor, Tensor]:
    """Pair features of a batch of passages, which are read on only for pairs that stay.

    Args:
        stages: The encoder, split after the exit's layer.
        exit_: When a pair leaves.
        token_weights: Of the head.
        queries: With all levels.
        texts: Tokens of the passages, with special_tokens_mask.
        query_of: Row of `queries` of each pair, shape (pairs,).
        passage_of: Row of `texts` of each pair, shape (pairs,).
        block: How many pairs are compared at once.

    Returns:
        Features, shape (pairs, features), incomplete for pairs that left; and the scores of these,
        NaN for the others, shape (pairs,).
    """
    levels, first = len(queries.states), stages.first_level

    def compare(function: Any, passages: Encoded, end: int, rows: Tensor, of: Tensor) -> Tensor:
        asked = queries.levels(end - len(passages.states), end)
        parts = [
            function(asked.select(some), passages.select(these), token_weights).flatten(1)
            for some, these in zip(rows.split(block), of.split(block), strict=True)
        ]
        return torch.cat(parts)

    passages, states = stages.lower(texts)
    with torch.autocast(query_of.device.type, enabled=False):
        known = compare(_known_features, passages, levels, query_of, passage_of)
        scores = exit_.scores(known)
    features = known.new_zeros(len(scores), feature_count(levels))
    features[:, [COVERAGE, *similarity_places(first, levels)]] = known
    stays = scores >= exit_.below
    if stays.any():
        rows, place = passage_of[stays].unique(return_inverse=True)
        texts = {name: values[rows] for name, values in texts.items()}
        passages = stages.upper(states[rows], texts)
        with torch.autocast(query_of.device.type, enabled=False):
            further = compare(level_similarities, passages, first, query_of[stays], place)
        features[stays.nonzero(), torch.tensor(similarity_places(0, first))] = further
    return features, scores.masked_fill(stays, torch.nan)


def _known_features(queries: Encoded, passages: Encoded, token_weights: Tensor) -> Tensor:
    """Those at `known_places`, of aligned queries and passages with the levels below the exit."""
    coverage = weighted_coverage(queries, passages, token_weights)
    similarities = level_similarities(queries, passages, token_weights)
    return torch.cat([coverage, similarities.flatten(1)], dim=-1)
