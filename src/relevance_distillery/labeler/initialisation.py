"""The head before tuning: fitted to the features of the untrained encoder (linear probing).

Encoding a pair is cheap beside learning from it, and all folds begin at the same encoder. So tokens
are counted and features computed once for all folds, and the head is fitted on more pairs than the
encoder is tuned on.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relevance_distillery.encoders.layers import FrozenLayers
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.learning.labelled_pairs import LabelledPairs, class_weights

_FIRST_SCORES = 500  # pairs that an untrained classifier scores, to place its cut points


class HeadInitialiser:
    """Initialises the heads of all folds."""

    def __init__(self, pairs: LabelledPairs, collection: list[dict[str, Any]]) -> None:
        """Take the pairs of all folds, and rows of the passages table for the weights of tokens."""
        self._pairs, self._collection = pairs, collection
        self._token_weights: Tensor | None = None
        self._features: Tensor | None = None
        self._frozen: FrozenLayers | None = None

    def share_frozen_layers(self, grader: Labeler) -> None:
        """Let a fresh network, on its device, read layers without gradients as all folds do."""
        model = grader.model
        if not model.can_share_layers:
            return
        layers = model.base.encoder.layer
        tuned = [any(weight.requires_grad for weight in layer.parameters()) for layer in layers]
        frozen = tuned.index(True) if True in tuned else 0
        if frozen and self._frozen is None:
            self._frozen = model.lower_layers(frozen, grader.precision)
        model.frozen = self._frozen

    def initialise(
        self, grader: Labeler, queries: Iterable[str], settings: TrainingSettings
    ) -> None:
        """Give a fresh network its token weights, standardised features, head and cut points.

        `queries` are the ids of those that the fold learns from.
        """
        rows = np.flatnonzero(np.isin(self._pairs.queries.astype(str), sorted(queries)))
        sample = self._pairs.take(rows)
        model, head = grader.model, grader.model.head
        features = None
        if model.encodes_separately:
            if self._token_weights is None:
                template = grader.facts.template
                texts = [template.passage_text(row) for row in self._collection]
                self._token_weights = token_weights(grader, texts)
            head.token_weights.copy_(self._token_weights)
            if self._features is None:
                # A copy: what inference mode made cannot be differentiated through.
                self._features = grader.features(self._pairs.pairs).clone()
            features = self._features[torch.tensor(rows, device=self._features.device)]
            head.standardise(features)
        if model.encodes_jointly:
            few = sample.sample(_FIRST_SCORES, settings.seed)
            scores, shares = torch.tensor(grader.raw(few.pairs)[1]), few.targets.mean(axis=0)
        else:
            scores, shares = head(None, features).detach(), sample.targets.mean(axis=0)
        head.place_cuts(scores, shares.tolist())
        if features is not None and settings.head_start == "fitted":
            weights = class_weights(sample.positions, grader.scale.size, settings.class_balance)
            numbers = np.unique(sample.queries.astype(str), return_inverse=True)[1]
            head.fit_features(
                features,
                torch.tensor(sample.targets).to(features),
                torch.tensor(sample.targets @ weights).to(features),
                torch.tensor(numbers, device=features.device),
                settings.head_ridge,
                settings.ranking_weight,
            )


def token_weights(labeler: Labeler, texts: Sequence[str]) -> Tensor:
    """How rare each token is in a collection's passages, as `inverse_document_frequency`."""
    template = labeler.facts.template
    tokens = (
        row["input_ids"]
        for start in range(0, len(texts), 1000)
        for row in template.encode_separately(labeler.tokenizer, texts[start : start + 1000], False)
    )
    return inverse_document_frequency(tokens, labeler.model.head.token_weights.numel())


def inverse_document_frequency(token_ids: Iterable[Sequence[int]], vocabulary: int) -> Tensor:
    """How rare each token is in a collection: ln(1 + N / (1 + documents with it)).

    From the token ids of every passage; shape (vocabulary,), float32, scaled so that a token
    never seen weighs 1.
    """
    seen: Counter[int] = Counter()
    size = 0
    for ids in token_ids:
        seen.update(set(ids))
        size += 1
    frequency = torch.zeros(vocabulary)
    if seen:
        frequency[torch.tensor(list(seen))] = torch.tensor([float(n) for n in seen.values()])
    return torch.log1p(size / (1.0 + frequency)) / math.log1p(max(size, 1))
