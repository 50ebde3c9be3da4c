"""A labeler's encoder in two stages: up to the layer of the early exit, and from there.

Each ends in what is compared, so that a compiled copy computes it with the layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relevance_distillery.encoders.batching import Tokens
from relevance_distillery.encoders.layers import further_states
from relevance_distillery.labeler.features import Encoded, compared_layers, summarise

Stage = Callable[[Tensor, Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Stages:
    """What reads texts: torch, or compiled copies of the same modules.

    Attributes:
        first_level: The uppermost level that the lower stage gives; the upper gives those above.
        lower_stage: Ids and mask to states, lengths and pooled of `Encoded`, and the token states
            to go on from.
        upper_stage: These token states and the mask to states, lengths and pooled; None where the
            lower stage gives all levels.
    """

    first_level: int
    lower_stage: Stage
    upper_stage: Stage | None

    def lower(self, texts: Tokens) -> tuple[Encoded, Tensor]:
        """The lower levels, and token states to go on from; `texts` has special_tokens_mask too."""
        *levels, lengths, pooled, last = self.lower_stage(
            texts["input_ids"], texts["attention_mask"]
        )
        return Encoded.of(levels, lengths, pooled, texts), last

    def upper(self, states: Tensor, texts: Tokens) -> Encoded:
        """The levels above, from the token states of `lower`."""
        assert self.upper_stage is not None
        *levels, lengths, pooled = self.upper_stage(states, texts["attention_mask"])
        return Encoded.of(levels, lengths, pooled, texts)

    def encode(self, texts: Tokens) -> Encoded:
        """All levels of texts."""
        lower, states = self.lower(texts)
        if self.upper_stage is None:
            return lower
        upper = self.upper(states, texts)
        lengths = torch.cat([upper.lengths, lower.lengths], dim=1)
        pooled = torch.cat([upper.pooled, lower.pooled], dim=1)
        return Encoded(upper.states + lower.states, lengths, pooled, lower.ids, lower.words)


def torch_stages(network: Any, levels: int, layer: int | None) -> Stages:
    """A base model that `can_stop`, split after `layer`; None leaves it whole.

    `network` is without an output layer, `levels` at how many depths texts are compared, and
    `layer` that of the early exit.
    """
    layers = int(network.config.num_hidden_layers)
    stop = layer or layers
    compared = compared_layers(layers, levels)
    first = sum(one > stop for one in compared)
    upper = _Layers(network, compared[:first], stop, layers) if first else None
    return Stages(first, _Layers(network, compared[first:], 0, stop), upper)


class _Layers(nn.Module):
    """The layers after `done` up to `layers`; from tokens, and with their states, where it is 0."""

    def __init__(self, network: Any, compared: Sequence[int], done: int, layers: int) -> None:
        super().__init__()
        self.network, self.compared, self.done, self.layers = network, compared, done, layers

    def forward(self, given: Tensor, attended: Tensor) -> tuple[Tensor, ...]:
        start = given if self.done else self.network.embeddings(input_ids=given)
        further = further_states(self.network, start, attended, self.done, self.layers)
        states = [start, *further]
        levels = [states[one - self.done] for one in self.compared]
        found = (*levels, *summarise(levels, attended))
        return found if self.done else (*found, states[-1])
