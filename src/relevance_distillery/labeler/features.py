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
from torch.linalg import vector_norm

from relevance_distillery.encoders.batching import Tokens
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

COVERAGE = FEATURES.index("weighted_coverage")
_AT_EACH_LEVEL = 5
_LOW_QUARTER = 0.25
_SHORTEST = 1e-12


def compared_layers(layers: int, levels: int) -> list[int]:
    """The layers whose states are compared, 0 for the embeddings: the last of `layers` first.

    The others follow from below it down to the embeddings, evenly.
    """
    lower = torch.linspace(layers - 1, 0, levels - 1).round().long().tolist()
    return [layers, *lower]


def feature_count(levels: int) -> int:
    """How many features there are for similarities at so many depths."""
    return len(FEATURES) + _AT_EACH_LEVEL * (levels - 1)


def similarity_places(first: int, end: int) -> list[int]:
    """Places of the similarities at the levels from `first` to before `end`."""
    starts = [len(FEATURES) + _AT_EACH_LEVEL * (level - 1) if level else 0 for level in range(end)]
    return [start + place for start in starts[first:] for place in range(_AT_EACH_LEVEL)]


@dataclass(frozen=True)
class Encoded:
    """Texts encoded separately, padded.

    Attributes:
        states: Token states, a tensor a level, the last layer's first; each of shape (texts,
            tokens, width), in the precision of the encoder's.
        lengths: Of these, shape (texts, levels, tokens), float32.
        pooled: Mean of the token states, of length 1, shape (texts, levels, width), float32.
        ids: Token ids, shape (texts, tokens).
        words: 1 for tokens of the text itself, 0 for special ones and padding.
    """

    states: tuple[Tensor, ...]
    lengths: Tensor
    pooled: Tensor
    ids: Tensor
    words: Tensor

    @classmethod
    def of(
        cls, states: Sequence[Tensor], lengths: Tensor, pooled: Tensor, texts: Tokens
    ) -> Encoded:
        """From states and what `summarise` makes of them; `texts` has special_tokens_mask too."""
        words = texts["attention_mask"] * (1 - texts["special_tokens_mask"])
        return cls(tuple(states), lengths, pooled, texts["input_ids"], words)

    def levels(self, first: int, end: int | None = None) -> Encoded:
        """Some of the levels alone."""
        chosen = slice(first, end)
        lengths, pooled = self.lengths[:, chosen], self.pooled[:, chosen]
        return Encoded(self.states[chosen], lengths, pooled, self.ids, self.words)

    def copy(self) -> Encoded:
        """The same in memory of its own."""
        states = tuple(some.clone() for some in self.states)
        return Encoded(states, self.lengths.clone(), self.pooled.clone(), self.ids, self.words)

    def select(self, index: Tensor) -> Encoded:
        """One row for each entry of `index`, without what is padding in all of them."""
        if torch.equal(index, torch.arange(len(self.ids), device=index.device)):
            return self
        words = self.words[index]
        end = int(words.any(0).nonzero()[-1]) + 1 if words.any() else 1
        states = tuple(some[:, :end][index] for some in self.states)
        lengths = self.lengths[..., :end][index]
        return Encoded(states, lengths, self.pooled[index], self.ids[index, :end], words[:, :end])


def summarise(states: Sequence[Tensor], attended: Tensor) -> tuple[Tensor, Tensor]:
    """`Encoded.lengths` and `Encoded.pooled` from token states, without autocast."""
    with torch.autocast(attended.device.type, enabled=False):
        lengths = [vector_norm(some, dim=-1, dtype=torch.float32) for some in states]
        pooled = [mean_pooled(some, attended.unsqueeze(-1)) for some in states]
        # Where frozen layers padded, states are 0.
        return torch.stack(lengths, dim=1).clamp(min=_SHORTEST), torch.stack(pooled, dim=1)


def pair_features(queries: Encoded, passages: Encoded, token_weights: Tensor) -> Tensor:
    """Features of aligned queries and passages, with weights of tokens, shape (vocabulary,).

    Returns:
        Shape (pairs, feature_count(levels)), float32: FEATURES of the last layer, and then all
        but the coverage at each other level.
    """
    similarities = level_similarities(queries, passages, token_weights)
    coverage = weighted_coverage(queries, passages, token_weights)
    return torch.cat([similarities[:, 0], coverage, similarities[:, 1:].flatten(1)], dim=-1)


def level_similarities(queries: Encoded, passages: Encoded, token_weights: Tensor) -> Tensor:
    """FEATURES without the coverage, at each level, shape (pairs, levels, 5), float32."""
    cosine = (queries.pooled * passages.pooled).sum(-1)
    words = queries.words.bool().unsqueeze(1)
    unmatched = ~passages.words.bool().unsqueeze(1)
    products = zip(queries.states, passages.states, strict=True)
    pairwise = torch.stack([q @ p.mT for q, p in products], dim=1).float()
    # Products are scaled instead of the states, which are many times as large.
    cosines = pairwise / queries.lengths.unsqueeze(-1) / passages.lengths.unsqueeze(-2)
    best = cosines.masked_fill(unmatched.unsqueeze(1), -1.0).amax(-1)
    count = words.sum(-1).clamp(min=1)
    maxsim = best.masked_fill(~words, 0.0).sum(-1) / count
    # Padding sorts behind every real token, which has at most 1.
    ordered = best.masked_fill(~words, 2.0).sort(-1).values
    low = ((count - 1).float() * _LOW_QUARTER).floor().long()
    low = low.expand(-1, best.shape[1]).unsqueeze(-1)
    weights, total = _weighed(queries, token_weights)
    return torch.stack(
        [
            cosine,
            maxsim,
            ordered[..., 0].clamp(max=1.0),
            ordered.gather(-1, low).squeeze(-1).clamp(max=1.0),
            (best * weights.unsqueeze(1)).sum(-1) / total,
        ],
        dim=-1,
    )


def weighted_coverage(queries: Encoded, passages: Encoded, token_weights: Tensor) -> Tensor:
    """Weights of the query's tokens that the passage has, as a share, shape (pairs, 1)."""
    same = queries.ids.unsqueeze(2) == passages.ids.unsqueeze(1)
    covered = (same & passages.words.bool().unsqueeze(1)).any(-1)
    weights, total = _weighed(queries, token_weights)
    return (covered * weights).sum(-1, keepdim=True) / total


def _weighed(queries: Encoded, token_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the queries' tokens, shape (pairs, tokens), and their sums, (pairs, 1)."""
    weights = token_weights[queries.ids] * queries.words
    return weights, weights.sum(-1, keepdim=True).clamp(min=1e-6)
