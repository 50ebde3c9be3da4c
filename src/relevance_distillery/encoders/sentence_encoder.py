"""A sentence encoder: text to a vector whose inner products are cosine similarities."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from relevance_distillery.encoders.base_model import fitting_length, load_encoder
from relevance_distillery.encoders.batching import Row, by_length, pad
from relevance_distillery.encoders.cores import side_by_side
from relevance_distillery.encoders.devices import (
    choose_device,
    choose_precision,
    prepare_inference,
    settle_precision,
    to_device,
    within_memory,
)
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.io.packed_folder import PackedFolder

_CACHED_TEXTS = 100_000


def mean_pooled(states: Tensor, attended: Tensor) -> Tensor:
    """Mean of the token states of each text, scaled to length 1 (Reimers and Gurevych, 2019).

    States have shape (..., tokens, width); `attended` is 1 for tokens, 0 for padding, shape
    (..., tokens, 1). The means have shape (..., width), float32.
    """
    mask = attended.to(states.dtype)
    total = (states * mask).sum(-2, dtype=torch.float32)
    return normalize(total / mask.sum(-2, dtype=torch.float32).clamp(min=1.0), dim=-1)


class SentenceEncoder:
    """Mean-pooled, normalised token states.

    Vectors are cached, so that a text is encoded once however many pairs hold it. A vector can
    differ in its seventh digit, in bf16 in its third, with the texts it is batched with.

    Attributes:
        name: The model's name and twelve digits of the hash of its weights.
        max_length: Longer texts are cut after this many tokens.
        precision: bf16 or fp32.
    """

    def __init__(
        self,
        model: str,
        max_length: int = 256,
        batch_size: int = 32,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        """Load a model.

        Args:
            model: `bundled`, a hub id or a folder, as `resolve_model` takes it.
            max_length: Longer texts are cut after this many tokens.
            batch_size: Texts a forward pass; on CPUs small batches of equal length win.
            device: `auto` takes a GPU when there is one, else a torch device name.
            precision: `auto` takes bf16 where the device multiplies it in hardware, else fp32.

        Raises:
            UserError: There is no such model, or precision is not known.
        """
        network, self._tokenizer = load_encoder(model)
        self.max_length = fitting_length(max_length, network.config, self._tokenizer)
        self.name = f"{model if model == 'bundled' else Path(model).name}@{weights_hash(network)}"
        self._width = int(network.config.hidden_size)
        self._batch_size = batch_size
        self._device = choose_device(device)
        best = choose_precision(self._device)
        self.precision = settle_precision(self._device, precision, best)
        prepare_inference(network, self._device, self.precision, self.max_length)
        self._model = network.eval().to(self._device)
        self._cache: dict[str, np.ndarray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the files of its model, without the cache: a worker needs none of them."""
        with TemporaryDirectory() as folder:
            self._model.save_pretrained(folder)
            self._tokenizer.save_pretrained(folder)
            packed = PackedFolder.of(Path(folder))
        return _received, (packed, self.name, self.max_length, self._batch_size, self.precision)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, shape (texts, dimensions), float32, each row of length 1.

        Of repetitions each is encoded once.
        """
        if not texts:
            return np.zeros((0, self._width), dtype=np.float32)
        fresh = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if len(self._cache) + len(fresh) > _CACHED_TEXTS:
            self._cache.clear()
            fresh = list(dict.fromkeys(texts))
        if fresh:
            rows = tokenise(self._tokenizer, fresh, self.max_length)
            lengths = [len(row["input_ids"]) for row in rows]

            def forward(chosen: list[int]) -> tuple[list[int], np.ndarray]:
                return chosen, self._forward([rows[i] for i in chosen])

            def read(size: int) -> None:
                batches = by_length(lengths, size, longest_first=False)
                for chosen, vectors in side_by_side(forward, batches):
                    self._cache.update(zip([fresh[i] for i in chosen], vectors, strict=True))

            _, self._batch_size = within_memory(read, self._batch_size, self._device)
        return np.stack([self._cache[text] for text in texts])

    def _forward(self, rows: list[Row]) -> np.ndarray:
        # Not padded to a multiple: the last bits of a judge's thresholds depend on the width.
        batch = to_device(pad(rows, self._tokenizer.pad_token_id, multiple=1), self._device)
        states = self._model(**batch).last_hidden_state
        pooled = mean_pooled(states, batch["attention_mask"].unsqueeze(-1))
        return np.asarray(pooled.cpu().numpy(), dtype=np.float32)


def _received(
    packed: PackedFolder, name: str, max_length: int, batch_size: int, precision: str
) -> SentenceEncoder:
    with packed.unpacked() as folder:
        encoder = SentenceEncoder(str(folder), max_length, batch_size, precision=precision)
    encoder.name = name
    return encoder


@lru_cache(maxsize=2)
def sentence_encoder(model: str, max_length: int = 256) -> SentenceEncoder:
    """One encoder a model and length, kept with its cache."""
    return SentenceEncoder(model, max_length)


def weights_hash(network: torch.nn.Module) -> str:
    """Twelve hexadecimal digits of a network's weights and their names."""
    digest = hashlib.blake2b(digest_size=6)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
