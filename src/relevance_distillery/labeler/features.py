"""What query and passage have in common, computed from one encoder's token states.

Late interaction (Khattab & Zaharia, ColBERT, 2020) compares every query token with its best
match in the passage; the cosine of mean-pooled states is what the sentence encoder was trained
for. Both need query and passage encoded separately, so a batch encodes each text once. They are
taken at several depths of the encoder, since lower layers still tell wordings apart that the last
one has made alike (Zhang et al., BERTScore, 2020, compare layers for the same reason).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from relevance_distillery.encoders.sentence_encoder import mean_pooled

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

_AT_EACH_LEVEL = 5
_LOW_QUARTER = 0.25


def feature_count(levels: int) -> int:
    """How many features there are for similarities at so many depths."""
    return len(FEATURES) + _AT_EACH_LEVEL * (levels - 1)


@dataclass(frozen=True)
class Encoded:
    """Texts encoded separately, padded.

    Attributes:
        units: Token states of length 1, a tensor a level, the last layer's first; each of shape
            (texts, tokens, width), in the precision of the encoder's.
        pooled: Mean of the token states, of length 1, shape (texts, levels, width), float32.
        ids: Token ids, shape (texts, tokens).
        words: 1 for tokens of the text itself, 0 for special ones and padding.
    """

    units: tuple[Tensor, ...]
    pooled: Tensor
    ids: Tensor
    words: Tensor

    @classmethod
    def of(cls, layers: Sequence[Tensor], ids: Tensor, attended: Tensor, words: Tensor) -> Encoded:
        """From token states as the encoder gives them, a tensor a level as in `units`.

        `attended` is 1 for tokens, 0 for padding, shape (texts, tokens).
        """
        pooled = [mean_pooled(states, attended.unsqueeze(-1)) for states in layers]
        units = tuple(normalize(states, dim=-1) for states in layers)
        return cls(units, torch.stack(pooled, dim=1), ids, words)

    def select(self, index: Tensor) -> Encoded:
        """One row for each entry of `index`."""
        if torch.equal(index, torch.arange(len(self.ids), device=index.device)):
            return self
        units = tuple(states[index] for states in self.units)
        return Encoded(units, self.pooled[index], self.ids[index], self.words[index])


def pair_features(queries: Encoded, passages: Encoded, token_weights: Tensor) -> Tensor:
    """Features of aligned queries and passages, with weights of tokens, shape (vocabulary,).

    Returns:
        Shape (pairs, feature_count(levels)), float32: FEATURES of the last layer, and then all
        but the coverage at each other level.
    """
    cosine = (queries.pooled * passages.pooled).sum(-1)
    words = queries.words.bool().unsqueeze(1)
    unmatched = ~passages.words.bool().unsqueeze(1)
    pairwise = [q @ p.mT for q, p in zip(queries.units, passages.units, strict=True)]
    best = torch.stack([some.masked_fill(unmatched, -1.0).amax(-1) for some in pairwise], 1).float()
    count = words.sum(-1).clamp(min=1)
    maxsim = best.masked_fill(~words, 0.0).sum(-1) / count
    # Padding sorts behind every real token, which has at most 1.
    ordered = best.masked_fill(~words, 2.0).sort(-1).values
    low = ((count - 1).float() * _LOW_QUARTER).floor().long()
    low = low.expand(-1, best.shape[1]).unsqueeze(-1)
    weights = token_weights[queries.ids] * queries.words
    total = weights.sum(-1, keepdim=True).clamp(min=1e-6)
    same = queries.ids.unsqueeze(2) == passages.ids.unsqueeze(1)
    covered = (same & ~unmatched).any(-1)
    coverage = (covered * weights).sum(-1, keepdim=True) / total
    levels = torch.stack(
        [
            cosine,
            maxsim,
            ordered[..., 0].clamp(max=1.0),
            ordered.gather(-1, low).squeeze(-1).clamp(max=1.0),
            (best * weights.unsqueeze(1)).sum(-1) / total,
        ],
        dim=-1,
    )
    return torch.cat([levels[:, 0], coverage, levels[:, 1:].flatten(1)], dim=-1)
