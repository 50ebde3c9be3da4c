"""A part of an encoder's layers at a time, so that a text need not pass all of them."""

from typing import Any

from torch import Tensor

_FAMILY = frozenset(("bert", "roberta", "xlm-roberta", "camembert", "data2vec-text"))
"""Architectures whose layers take token states and a mask, and nothing of the model around them."""


def can_stop(network: Any) -> bool:
    """True where `first_states` and `further_states` can read with a base model."""
    return network.config.model_type in _FAMILY


def first_states(network: Any, input_ids: Tensor, attended: Tensor, layers: int) -> list[Tensor]:
    """States of the embeddings and of the first `layers` layers.

    Args:
        network: A base model without an output layer, see `can_stop`.
        input_ids: Of single texts, shape (texts, tokens).
        attended: 1 for tokens, 0 for padding, shape (texts, tokens).
        layers: At least 1.

    Returns:
        layers + 1 tensors of shape (texts, tokens, width).
    """
    start = network.embeddings(input_ids=input_ids)
    return [start, *further_states(network, start, attended, 0, layers)]


def further_states(
    network: Any, states: Tensor, attended: Tensor, done: int, layers: int
) -> list[Tensor]:
    """States of the layers after the first `done`, up to the layer `layers`, from those of it."""
    from transformers.masking_utils import create_bidirectional_mask

    mask = create_bidirectional_mask(
        config=network.config, inputs_embeds=states, attention_mask=attended
    )
    found = []
    for layer in network.encoder.layer[done:layers]:
        states = layer(states, mask)
        found.append(states)
    return found
