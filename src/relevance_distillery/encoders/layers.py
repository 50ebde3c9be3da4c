"""A part of an encoder's layers at a time, so that a text need not pass all of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

_FAMILY = frozenset(("bert", "roberta", "xlm-roberta", "camembert", "data2vec-text"))
"""Architectures whose layers take token states and a mask, and nothing of the model around them."""


_latest: list[FrozenLayers] = []


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


def frozen_layers(network: Any, layers: int, kept: Sequence[int], precision: str) -> FrozenLayers:
    """What this process last read such layers with, or new; arguments as of `FrozenLayers`.

    Training and the evaluation after it read the same texts.
    """
    if not _latest or not _latest[0].reads(network, layers, kept, precision):
        _latest[:] = [FrozenLayers(network, layers, kept, precision)]
    return _latest[0]


def layers_alike(first: Any, second: Any) -> int:
    """How many of their lower layers two base models have in common, weight by weight.

    0 where their embeddings differ. Both `can_stop`; types of weights may differ.
    """
    alike = 0
    for ours, theirs in zip(_parts(first), _parts(second), strict=False):
        mine, other = ours.state_dict(), theirs.state_dict()
        if mine.keys() != other.keys():
            break
        if not all(_equal(mine[name], other[name]) for name in mine):
            break
        alike += 1
    return max(alike - 1, 0)


def _parts(network: Any) -> list[Any]:
    return [network.embeddings, *network.encoder.layer]


def _equal(first: Tensor, second: Tensor) -> bool:
    # As in the smaller of both types: what reads in bf16 was made from weights in fp32.
    kind = min(first.dtype, second.dtype, key=lambda dtype: dtype.itemsize)
    return first.device == second.device and torch.equal(first.to(kind), second.to(kind))


class FrozenLayers:
    """The lower layers, which training leaves as they are: each text passes them once.

    States are kept, on the device, until they fill `most_bytes`; what comes later is read anew.
    """

    def __init__(
        self,
        network: Any,
        layers: int,
        kept: Sequence[int],
        precision: str,
        most_bytes: int = 2**29,
    ) -> None:
        """Copy the lower layers of a base model that `can_stop`.

        `kept` are the layers whose states are wanted, `layers` the last of them, 0 the embeddings.
        """
        self.layers, self.precision, self._kept = layers, precision, list(kept)
        self._left = most_bytes
        lower = copy.deepcopy((network.embeddings, network.encoder.layer[:layers]))
        if precision == "bf16":
            lower = tuple(part.to(torch.bfloat16) for part in lower)
        encoder = SimpleNamespace(layer=lower[1].eval())
        self._network = SimpleNamespace(
            config=network.config, embeddings=lower[0].eval(), encoder=encoder
        )
        self._states: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def states(self, input_ids: Tensor, attended: Tensor) -> dict[int, Tensor]:
        """Token states by layer, shape (texts, tokens, width) each; arguments as `first_states`."""
        lengths = attended.sum(-1).tolist()
        keys = [tuple(row[:size]) for row, size in zip(input_ids.tolist(), lengths, strict=True)]
        fresh = [row for row, key in enumerate(keys) if key not in self._states]
        given: dict[int, Tensor] = {}
        if fresh:
            read = first_states(self._network, input_ids[fresh], attended[fresh], self.layers)
            stacked = torch.stack([read[layer] for layer in self._kept], dim=1)
            for row, states in zip(fresh, stacked, strict=True):
                given[row] = states[:, : lengths[row]]
                self._keep(keys[row], given[row])
        rows = [given[row] if row in given else self._states[key] for row, key in enumerate(keys)]
        shape = len(rows), len(self._kept), input_ids.shape[1], rows[0].shape[-1]
        padded = rows[0].new_zeros(shape)
        for row, states in enumerate(rows):
            padded[row, :, : states.shape[1]] = states
        return dict(zip(self._kept, padded.unbind(1), strict=True))

    def reads(self, network: Any, layers: int, kept: Sequence[int], precision: str) -> bool:
        """True where it gives these states of this base model, in the same precision."""
        wanted = (self.layers, self._kept, self.precision) == (layers, list(kept), precision)
        return wanted and layers_alike(self._network, network) == layers

    def _keep(self, key: tuple[int, ...], states: Tensor) -> None:
        if states.nbytes <= self._left:
            self._left -= states.nbytes
            self._states[key] = states.clone()
