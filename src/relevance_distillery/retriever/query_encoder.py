"""A small query encoder of a larger retriever's index, in sentence-transformers' layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relevance_distillery.encoders.layout import (
    read_array,
    read_projection,
    save_arrays,
    write_layout,
    write_transformer,
)
from relevance_distillery.errors import UserError, import_extra
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.io.files import replacing
from relevance_distillery.retriever.settings import QUERY_ENCODER

if TYPE_CHECKING:
    from torch import Tensor

    from relevance_distillery.encoders.batching import Row

INT8_FILE = "int8.onnx"
TOKENIZER_FILE = "tokenizer.json"
_BATCH = 32
_TABLE = "embedding.weight"

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors of any length, shape (texts, width), float32."""


class QueryEncoder:
    """Vectors of queries for an index that the reference made; their products are cosines.

    Attributes:
        kind: Of its folder.
        facts: What `query_encoder.json` says: kind (`transformer`, or `static`, a table of token
            vectors, which needs no torch), reference, max_length, width, rung, training.
        name: The rung and a digest of its files.
        fingerprint: Of the reference: the index has to have the same.
    """

    kind = QUERY_ENCODER

    def __init__(self, folder: Path, facts: dict[str, Any], embed: Embed) -> None:
        """Wrap what reads a folder; use `load`."""
        self.facts, self._embed = facts, embed
        self.name = f"{facts['rung']}@{folder_digest(folder)[:12]}"
        self.fingerprint = str(facts["reference"]["fingerprint"])

    @classmethod
    def load(cls, folder: Path) -> QueryEncoder:
        """Read a query encoder's folder; UserError where it holds none or is damaged."""
        facts = QUERY_ENCODER.read(folder)
        with QUERY_ENCODER.readable(folder):
            read = _static if facts["kind"] == "static" else _transformer
            read = _int8 if facts.get("int8") else read
            return cls(folder, facts, read(folder, int(facts["max_length"])))

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (queries, width), float32, each row of length 1; zeros for a text of no token."""
        if not texts:
            return np.zeros((0, int(self.facts["width"])), dtype=np.float32)
        # Only the reference itself has one: its students are aligned to read none.
        prompt = self.facts.get("prompt", "")
        vectors = self._embed([prompt + text for text in texts])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def write_query_encoder(
    folder: Path,
    tokenizer: Any,
    network: Any,
    facts: dict[str, Any],
    projection: np.ndarray | None = None,
) -> None:
    """Write a transformer as a query encoder, see `write_transformer`.

    Facts are reference (name, fingerprint), max_length in tokens, rung, training and more.

    Raises:
        UserError: The vectors' width is not that of `facts["width"]`, the index's.
        OSError: The folder cannot be written.
    """
    width = network.config.hidden_size if projection is None else len(projection)
    known = _complete(facts, "transformer", int(width))
    write_transformer(folder, network, tokenizer, QUERY_ENCODER.file, known, projection)


def write_static_encoder(
    folder: Path, tokenizer: Any, table: np.ndarray, facts: dict[str, Any]
) -> None:
    """Write a table of token vectors as a query encoder, whole or not at all.

    A query's vector is the mean of its tokens' rows, special tokens left out.

    Args:
        folder: Replaced where it is there; `SentenceTransformer(folder)` reads it too.
        tokenizer: A fast one of transformers.
        table: Shape (tokens of the vocabulary, width), weights of tokens multiplied in.
        facts: As of `write_query_encoder`.

    Raises:
        UserError: The tokenizer is not a fast one or has other tokens than the table, or the
            table's width is not that of `facts["width"]`.
        OSError: The folder cannot be written.
    """
    from tokenizers import Tokenizer

    if not getattr(tokenizer, "is_fast", False) or len(tokenizer) > len(table):
        raise UserError(
            f"a static query encoder of {len(table)} token vectors needs a fast tokenizer of no "
            f"more tokens, not {type(tokenizer).__name__} of {len(tokenizer)}"
        )
    known = _complete(facts, "static", table.shape[1])
    fast = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    fast.no_padding()
    fast.enable_truncation(int(facts["max_length"]))
    with replacing(folder) as partial:
        partial.mkdir()
        fast.save(str(partial / TOKENIZER_FILE))
        save_arrays(partial, {_TABLE: table})
        modules = [("", "StaticEmbedding", None), ("1_Normalize", "Normalize", None)]
        write_layout(partial, modules, {QUERY_ENCODER.file: known})


def read_table(folder: Path) -> np.ndarray:
    """What `write_static_encoder` was given."""
    return read_array(folder, _TABLE)


def _complete(facts: dict[str, Any], kind: str, width: int) -> dict[str, Any]:
    if facts.get("width", width) != width:
        raise UserError(
            f"vectors of {width} numbers cannot search an index of {facts['width']}: give the "
            "query encoder a projection to that width"
        )
    return QUERY_ENCODER.stamped({"kind": kind, **facts, "width": width})


def _static(folder: Path, _: int) -> Embed:
    from tokenizers import Tokenizer

    table = read_table(folder)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = np.empty((len(texts), table.shape[1]), dtype=np.float32)
        for row, one in enumerate(tokenizer.encode_batch_fast(texts, add_special_tokens=False)):
            # The mean's direction is the sum's.
            table[one.ids].sum(axis=0, out=found[row])
        return found

    return embed


def _transformer(folder: Path, max_length: int) -> Embed:
    import torch

    from relevance_distillery.encoders.base_model import fitting_length, load_encoder
    from relevance_distillery.encoders.batching import pad
    from relevance_distillery.encoders.sentence_encoder import mean_pooled
    from relevance_distillery.encoders.tokenising import tokenise

    network, tokenizer = load_encoder(str(folder))
    network.eval()
    limit = fitting_length(max_length, network.config, tokenizer)

    @torch.inference_mode()
    def means(rows: list[Row]) -> Tensor:
        batch = pad(rows, tokenizer.pad_token_id, multiple=1)
        states = network(**batch).last_hidden_state
        return mean_pooled(states, batch["attention_mask"].unsqueeze(-1))

    return _embedding(folder, lambda texts: tokenise(tokenizer, texts, limit), means)


def _int8(folder: Path, max_length: int) -> Embed:
    import torch
    from tokenizers import Tokenizer

    from relevance_distillery.encoders.batching import pad

    runtime = import_extra("onnxruntime")
    options = runtime.SessionOptions()
    # A short query gains nothing from more, and a server answers several at once.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    where = {"providers": ["CPUExecutionProvider"]}
    network = runtime.InferenceSession(str(folder / INT8_FILE), options, **where)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    padding = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("pad_token_id")

    def means(rows: list[Row]) -> Tensor:
        batch = pad(rows, padding or 0, multiple=1)
        given = {name: value.numpy() for name, value in batch.items()}
        return torch.from_numpy(network.run(None, given)[0])

    def tokens(texts: Sequence[str]) -> list[Row]:
        return [
            {"input_ids": one.ids, "attention_mask": one.attention_mask}
            for one in tokenizer.encode_batch_fast(texts)
        ]

    return _embedding(folder, tokens, means)


def _embedding(
    folder: Path, tokens: Callable[[Sequence[str]], list[Row]], means: Callable[[list[Row]], Tensor]
) -> Embed:
    from relevance_distillery.encoders.batching import read_by_length

    projection = read_projection(folder)

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = read_by_length(tokens(texts), _BATCH, means, False, told=False).numpy()
        return found if projection is None else found @ projection.T

    return embed
