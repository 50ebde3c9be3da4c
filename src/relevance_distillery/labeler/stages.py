"""A labeler's encoder in two stages: up to the layer of the early exit, and from there.

Each ends in what is compared, so that a compiled copy computes it with the layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relevance_distillery.encoders.batching import Tokens
from relevance_distillery.encoders.layers import first_states, further_states
from relevance_distillery.labeler.features import Encoded, compared_layers, unit_states

Stage = Callable[[Tensor, Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Stages:
    """What reads texts: torch, or compiled copies of the same modules.

    Attributes:
        first_level: The uppermost level that the lower stage gives; the upper gives those above.
        lower_stage: Ids and mask to `Encoded.units`, `Encoded.pooled` and token states.
        upper_stage: These token states and the mask to units and pooled states; None where the
            lower stage gives all levels.
    """

    first_level: int
    lower_stage: Stage
    upper_stage: Stage | None

    def lower(self, texts: Tokens) -> tuple[Encoded, Tensor]:
        """The lower levels, and token states to go on from; `texts` has special_tokens_mask too."""
        *units, pooled, states = self.lower_stage(texts["input_ids"], texts["attention_mask"])
        return _encoded(units, pooled, texts), states

    def upper(self, states: Tensor, texts: Tokens) -> Encoded:
        """The levels above, from the token states of `lower`."""
        assert self.upper_stage is not None
        *units, pooled = self.upper_stage(states, texts["attention_mask"])
        return _encoded(units, pooled, texts)

    def encode(self, texts: Tokens) -> Encoded:
        """All levels of texts."""
        lower, states = self.lower(texts)
        if self.upper_stage is None:
            return lower
        upper = self.upper(states, texts)
        pooled = torch.cat([upper.pooled, lower.pooled], dim=1)
        return Encoded(upper.units + lower.units, pooled, lower.ids, lower.words)


def torch_stages(network: Any, levels: int, layer: int | None) -> Stages:
    """A base model that `can_stop`, split after `layer`; None leaves it whole.

    `network` is without an output layer, `levels` at how many depths texts are compared, and
    `layer` that of the early exit.
    """
    layers = int(network.config.num_hidden_layers)
    stop = layer or layers
    compared = compared_layers(layers, levels)
    first = sum(one > stop for one in compared)
    upper = _Upper(network, compared[:first], stop, layers) if first else None
    return Stages(first, _Lower(network, compared[first:], stop), upper)


class _Lower(nn.Module):
    def __init__(self, network: Any, compared: Sequence[int], layer: int) -> None:
        super().__init__()
        self.network, self.compared, self.layer = network, compared, layer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        states = first_states(self.network, input_ids, attention_mask, self.layer)
        units, pooled = unit_states([states[one] for one in self.compared], attention_mask)
        return *units, pooled, states[-1]


class _Upper(nn.Module):
    def __init__(self, network: Any, compared: Sequence[int], layer: int, layers: int) -> None:
        super().__init__()
        self.network, self.layer, self.layers = network, layer, layers
        self.places = [one - layer - 1 for one in compared]

    def forward(self, states: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        found = further_states(self.network, states, attention_mask, self.layer, self.layers)
        units, pooled = unit_states([found[place] for place in self.places], attention_mask)
        return *units, pooled


def _encoded(units: Sequence[Tensor], pooled: Tensor, texts: Tokens) -> Encoded:
    words = texts["attention_mask"] * (1 - texts["special_tokens_mask"])
    return Encoded(tuple(units), pooled, texts["input_ids"], words)
