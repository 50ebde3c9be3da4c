"""What query and passage have in common, computed from one encoder's token states.

Late interaction (Khattab & Zaharia, ColBERT, 2020) compares every query token with its best
match in the passage; the cosine of mean-pooled states is what the sentence encoder was trained
for. Both come from query and passage read alone, so a batch encodes each text once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

FEATURES = (
    "cosine",
    "maxsim",
    "maxsim_lowest",
    "maxsim_low_quarter",
    "weighted_maxsim",
    "weighted_coverage",
)
SIMILARITY = ("cosine", "maxsim")
"""The features whose sum is the untrained encoder's similarity, where training starts."""

_LOW_QUARTER = 0.25


@dataclass(frozen=True)
class Encoded:
    """Texts read alone by the encoder, padded.

    Attributes:
        states: Token states, shape (texts, tokens, width), float32.
        ids: Token ids, shape (texts, tokens).
        attended: 1 for tokens, 0 for padding, shape (texts, tokens).
        words: 1 for tokens of the text itself, 0 for special ones and padding.
    """

    states: Tensor
    ids: Tensor
    attended: Tensor
    words: Tensor

    def select(self, index: Tensor) -> Encoded:
        """One row for each entry of `index`."""
        return Encoded(self.states[index], self.ids[index], self.attended[index], self.words[index])


def pair_features(queries: Encoded, passages: Encoded, token_weights: Tensor) -> Tensor:
    """Features of aligned queries and passages.

    Args:
        queries: One row a pair.
        passages: One row a pair.
        token_weights: How telling a token is, shape (vocabulary,).

    Returns:
        Shape (pairs, len(FEATURES)), in the order of FEATURES, float32.
    """
    cosine = (_pooled(queries) * _pooled(passages)).sum(-1)
    words = queries.words.bool()
    pairwise = normalize(queries.states, dim=-1) @ normalize(passages.states, dim=-1).mT
    pairwise = pairwise.masked_fill(~passages.words.bool().unsqueeze(1), -1.0)
    best = pairwise.max(-1).values
    count = words.sum(-1).clamp(min=1)
    maxsim = best.masked_fill(~words, 0.0).sum(-1) / count
    # Padding sorts behind every real token, which has at most 1.
    ordered = best.masked_fill(~words, 2.0).sort(-1).values
    low = ((count - 1).float() * _LOW_QUARTER).floor().long().unsqueeze(-1)
    weights = token_weights[queries.ids] * words
    total = weights.sum(-1).clamp(min=1e-6)
    same = queries.ids.unsqueeze(2) == passages.ids.unsqueeze(1)
    covered = (same & passages.words.bool().unsqueeze(1)).any(-1)
    columns = {
        "cosine": cosine,
        "maxsim": maxsim,
        "maxsim_lowest": ordered[:, 0].clamp(max=1.0),
        "maxsim_low_quarter": ordered.gather(1, low).squeeze(1).clamp(max=1.0),
        "weighted_maxsim": (best * weights).sum(-1) / total,
        "weighted_coverage": (covered * weights).sum(-1) / total,
    }
    return torch.stack([columns[name] for name in FEATURES], dim=-1)


def inverse_document_frequency(token_ids: Iterable[Sequence[int]], vocabulary: int) -> Tensor:
    """How telling each token is in a collection: ln(1 + N / (1 + documents with it)).

    Args:
        token_ids: Token ids of every passage.
        vocabulary: Number of different tokens.

    Returns:
        Shape (vocabulary,), float32, scaled so that a token never seen weighs 1.
    """
    seen: Counter[int] = Counter()
    size = 0
    for ids in token_ids:
        seen.update(set(ids))
        size += 1
    frequency = torch.zeros(vocabulary)
    if seen:
        frequency[torch.tensor(sorted(seen))] = torch.tensor(
            [float(seen[token]) for token in sorted(seen)]
        )
    return torch.log1p(size / (1.0 + frequency)) / math.log1p(max(size, 1))


def _pooled(texts: Encoded) -> Tensor:
    mask = texts.attended.unsqueeze(-1).float()
    return normalize((texts.states * mask).sum(1) / mask.sum(1).clamp(min=1.0), dim=-1)
