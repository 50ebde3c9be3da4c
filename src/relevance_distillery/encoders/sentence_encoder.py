"""A sentence encoder: text to a vector whose inner products are cosine similarities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from relevance_distillery.encoders.base_model import fitting_length, resolve_model

_MEMORY = 100_000


class SentenceEncoder:
    """Mean-pooled, normalised token states (Reimers and Gurevych, 2019).

    Vectors are remembered, so that a text is encoded once however many pairs hold it.
    Arithmetic is fp32: it is the teacher's, and the same on every machine that has no
    bf16. A vector can differ in its seventh digit with the texts it is batched with.

    Attributes:
        name: The model's name and twelve digits of the hash of its weights.
        max_length: Longer texts are cut after this many tokens.
    """

    def __init__(self, model: str, max_length: int = 256, batch_size: int = 32) -> None:
        """Load a model.

        Args:
            model: `bundled`, a hub id or a folder, as `labeler.base.resolve_model` takes it.
            max_length: Longer texts are cut after this many tokens.
            batch_size: Texts a forward pass; on CPUs small batches of equal length win.

        Raises:
            UserError: There is no such model.
        """
        # Imported here, since every command imports this module and few of them encode.
        import torch
        from transformers import AutoModel, AutoTokenizer

        source = resolve_model(model)
        self._tokenizer = AutoTokenizer.from_pretrained(source)
        self._model = AutoModel.from_pretrained(source, dtype=torch.float32).eval()
        self._batch_size = batch_size
        self.max_length = fitting_length(max_length, self._model.config, self._tokenizer)
        self.name = f"{model if model == 'bundled' else Path(model).name}@{self._weights_hash()}"
        self._memory: dict[str, np.ndarray] = {}

    def _weights_hash(self) -> str:
        import torch

        digest = hashlib.blake2b(digest_size=6)
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts.

        Args:
            texts: Any number of texts, repetitions welcome.

        Returns:
            Shape (texts, dimensions), float32, each row of length 1.
        """
        if not texts:
            return np.zeros((0, self._model.config.hidden_size), dtype=np.float32)
        fresh = [text for text in dict.fromkeys(texts) if text not in self._memory]
        if len(self._memory) + len(fresh) > _MEMORY:
            self._memory.clear()
            fresh = list(dict.fromkeys(texts))
        if fresh:
            self._remember(fresh)
        return np.stack([self._memory[text] for text in texts])

    def _remember(self, fresh: list[str]) -> None:
        tokens = self._tokenizer(fresh, truncation=True, max_length=self.max_length)["input_ids"]
        # Batches of equal length waste nothing on padding; the sort is stable, so that the
        # same texts always meet in the same batches.
        order = sorted(range(len(fresh)), key=lambda row: len(tokens[row]))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            vectors = self._forward([tokens[row] for row in rows])
            for row, vector in zip(rows, vectors, strict=True):
                self._memory[fresh[row]] = vector

    def _forward(self, tokens: list[list[int]]) -> np.ndarray:
        import torch

        batch = self._tokenizer.pad({"input_ids": tokens}, return_tensors="pt")
        with torch.inference_mode():
            states = self._model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
            unit = torch.nn.functional.normalize(pooled, dim=1)
        return np.asarray(unit.numpy(), dtype=np.float32)


@lru_cache(maxsize=2)
def sentence_encoder(model: str, max_length: int = 256) -> SentenceEncoder:
    """One encoder a model and length, kept with what it remembers."""
    return SentenceEncoder(model, max_length)
