"""The encoder of both towers while it is trained: which layers move, and what is kept of others."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from relevance_distillery.encoders.batching import Row, pad, read_by_length
from relevance_distillery.encoders.devices import autocast
from relevance_distillery.encoders.layers import FrozenLayers, can_stop, further_states
from relevance_distillery.encoders.sentence_encoder import mean_pooled

_CHUNK = 32


class Towers:
    """One encoder for queries and passages, of which the upper layers learn.

    Attributes:
        network: The base model, float32.
    """

    def __init__(
        self, network: Any, tokenizer: Any, tuned_layers: int | None, device: str, precision: str
    ) -> None:
        """Freeze what is not tuned; None tunes everything."""
        self.network, self._pad, self._device = network.to(device), tokenizer.pad_token_id, device
        self._precision = precision
        layers = int(network.config.num_hidden_layers)
        self._frozen: FrozenLayers | None = None
        if tuned_layers is not None and tuned_layers < layers and can_stop(network):
            lower = layers - tuned_layers
            self._frozen = FrozenLayers(network, lower, [lower], precision, 3 * 2**30)
            for part in (network.embeddings, *network.encoder.layer[:lower]):
                part.requires_grad_(False)
        self.parameters = [p for p in network.parameters() if p.requires_grad]

    def embed(self, rows: Sequence[Row]) -> Tensor:
        """Vectors of length 1, shape (rows, width), with their gradients."""
        return read_by_length(rows, _CHUNK, self._forward, longest_first=False, told=False)

    def _forward(self, rows: list[Row]) -> Tensor:
        batch = {name: value.to(self._device) for name, value in pad(rows, self._pad).items()}
        ids, attended = batch["input_ids"], batch["attention_mask"]
        with autocast(self._device, self._precision):
            if self._frozen is None:
                states = self.network(**batch).last_hidden_state
            else:
                lower = self._frozen.layers
                start = self._frozen.states(ids, attended)[lower].float()
                layers = int(self.network.config.num_hidden_layers)
                states = further_states(self.network, start, attended, lower, layers)[-1]
        return mean_pooled(states.float(), attended.unsqueeze(-1))
