"""Query encoders while they learn: token rows to vectors, with their gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relevance_distillery.encoders.base_model import fitting_length, load_encoder
from relevance_distillery.encoders.batching import Row, pad, read_by_length
from relevance_distillery.encoders.devices import (
    autocast,
    choose_device,
    choose_precision,
    to_device,
)
from relevance_distillery.encoders.layout import read_projection
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.retriever.query_encoder import write_query_encoder

_BATCH = 128


class Student(nn.Module):
    """What is aligned, cut and refined.

    Attributes:
        tokenizer: Of transformers.
        max_length: Longer queries are cut after this many tokens.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        """Name the tokenizer and the longest query."""
        super().__init__()
        self.tokenizer, self.max_length = tokenizer, max_length
        # Only while it learns: what is served has length 1.
        self.scale = nn.Parameter(torch.ones(()))

    def rows(self, texts: Sequence[str]) -> list[Row]:
        """The tokens of texts."""
        return tokenise(self.tokenizer, texts, self.max_length)

    @abstractmethod
    def forward(self, rows: Sequence[Row]) -> Tensor:
        """Vectors as they are before they are scaled to length 1, shape (rows, width), float32."""

    @abstractmethod
    def write(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write it as a query encoder, see `write_query_encoder`."""

    @torch.no_grad()
    def vectors(self, rows: Sequence[Row]) -> Tensor:
        """As `forward`, without gradients, on the CPU, for any number of rows."""
        return read_by_length(rows, _BATCH, lambda some: self(some).cpu())


class TransformerStudent(Student):
    """Means of token states, times a projection where the index has another width.

    Attributes:
        network: A transformers model without an output layer, float32.
        projection: Shape (width of the index, width of the network), or None.
    """

    def __init__(
        self, network: Any, tokenizer: Any, max_length: int, projection: np.ndarray | None = None
    ) -> None:
        """Put a network where it is to learn; dropout stays off: a regression needs none."""
        super().__init__(tokenizer, fitting_length(max_length, network.config, tokenizer))
        self.network = network.eval()
        given = None if projection is None else torch.from_numpy(np.array(projection, np.float32))
        self.projection = None if given is None else nn.Parameter(given)
        self._device = choose_device()
        self._precision = choose_precision(self._device)
        self.to(self._device)

    @classmethod
    def load(cls, folder: Path, max_length: int) -> TransformerStudent:
        """Read what `write` wrote."""
        return cls(*load_encoder(str(folder)), max_length, read_projection(folder))

    def states(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """1 for tokens, 0 for padding, shape (rows, tokens); states (rows, tokens, width)."""
        batch = to_device(pad(rows, self.tokenizer.pad_token_id, multiple=1), self._device)
        with autocast(self._device, self._precision):
            states = self.network(**batch).last_hidden_state.float()
        return batch["attention_mask"], states

    def forward(self, rows: Sequence[Row]) -> Tensor:
        """See `Student`."""
        attended, states = self.states(rows)
        mask = attended.unsqueeze(-1).float()
        means = (states * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        return self.scale * (means if self.projection is None else means @ self.projection.T)

    def write(self, folder: Path, facts: dict[str, Any]) -> None:
        """See `Student`."""
        self.to("cpu")
        projection = None if self.projection is None else self.projection.detach().cpu().numpy()
        facts = {**facts, "max_length": self.max_length}
        write_query_encoder(folder, self.tokenizer, self.network, facts, projection)
        self.to(self._device)
