"""A small query encoder of a larger retriever's index, in sentence-transformers' layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relevance_distillery.encoders.base_model import COPY_AGAIN, quiet, readable
from relevance_distillery.encoders.layout import (
    Module,
    mean_pooling,
    read_layout_facts,
    write_layout,
)
from relevance_distillery.errors import UserError, import_extra
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.io.files import replacing
from relevance_distillery.retriever.index import PassageIndex

FACTS_FILE = "query_encoder.json"
COMPRESS = "kedro run --pipeline=compress_retriever"
INT8_FILE = "int8.onnx"
_FORMAT = 1
_BATCH = 32
_WEIGHTS = "model.safetensors"
_PROJECTION = "2_Dense"

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors of any length, shape (texts, width), float32."""


class QueryEncoder:
    """Vectors of queries for an index that the reference made; their products are cosines.

    Attributes:
        facts: What `query_encoder.json` says: kind, reference, max_length, width, rung, training.
        kind: `transformer`, or `static`, a table of token vectors, which needs no torch.
        name: The rung and a digest of its files.
        fingerprint: Of the reference: the index has to have the same.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], embed: Embed) -> None:
        """Wrap what reads a folder; use `load`."""
        self.facts, self.kind, self._embed = facts, str(facts["kind"]), embed
        self.name = f"{facts['rung']}@{folder_digest(folder)[:12]}"
        self.fingerprint = str(facts["reference"]["fingerprint"])

    @classmethod
    def load(cls, folder: Path) -> QueryEncoder:
        """Read a query encoder's folder; UserError where it holds none or is damaged."""
        facts = read_facts(folder)
        with readable(f"query encoder {folder.name}", folder, COPY_AGAIN):
            read = _static if facts["kind"] == "static" else _transformer
            read = _int8 if facts.get("int8") else read
            return cls(folder, facts, read(folder, facts))

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (queries, width), float32, each row of length 1; zeros for a text of no token."""
        if not texts:
            return np.zeros((0, int(self.facts["width"])), dtype=np.float32)
        # Only the reference itself has one: its students are aligned to read none.
        prompt = self.facts.get("prompt", "")
        vectors = self._embed([prompt + text for text in texts])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

    def require(self, index: PassageIndex) -> None:
        """UserError where another model made the index: products would mean nothing."""
        if index.fingerprint != self.fingerprint:
            raise UserError(
                f"the query encoder {self.name} is for the index of "
                f"{self.facts['reference']['name']}, and another model made this one; name the "
                f"model that made it: {COMPRESS} --params=reference=MODEL"
            )


def read_facts(folder: Path) -> dict[str, Any]:
    """The content of `query_encoder.json`; UserError where the folder holds no query encoder."""
    path = folder / FACTS_FILE
    return read_layout_facts(path, "query encoder", _FORMAT, COMPRESS, "compress")


def write_query_encoder(
    folder: Path,
    tokenizer: Any,
    network: Any,
    facts: dict[str, Any],
    projection: np.ndarray | None = None,
) -> None:
    """Write a transformer whose vectors are means of token states, whole or not at all.

    Args:
        folder: Replaced where it is there; `SentenceTransformer(folder)` reads it too.
        tokenizer: Of transformers.
        network: A transformers model, on the CPU.
        facts: reference (name, fingerprint), max_length in tokens, rung, training and more.
        projection: Shape (width of the index, width of the network): what means are multiplied by.

    Raises:
        UserError: The vectors' width is not that of `facts["width"]`, the index's.
        OSError: The folder cannot be written.
    """
    hidden = int(network.config.hidden_size)
    width = hidden if projection is None else len(projection)
    modules = mean_pooling(network)
    if projection is not None:
        dense = {
            "in_features": hidden, "out_features": width, "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        }  # fmt: skip
        modules.append((_PROJECTION, "Dense", dense))
    modules.append((f"{len(modules)}_Normalize", "Normalize", None))
    with replacing(folder) as partial:
        partial.mkdir()
        with quiet():
            network.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        about = {"max_seq_length": int(facts["max_length"])}
        _write(partial, facts, "transformer", width, modules, {"sentence_bert_config.json": about})
        if projection is not None:
            _save(partial / _PROJECTION, {"linear.weight": projection})


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
    fast = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    fast.no_padding()
    fast.enable_truncation(int(facts["max_length"]))
    with replacing(folder) as partial:
        partial.mkdir()
        fast.save(str(partial / "tokenizer.json"))
        _save(partial, {"embedding.weight": table})
        modules = [("", "StaticEmbedding", None), ("1_Normalize", "Normalize", None)]
        _write(partial, facts, "static", table.shape[1], modules)


def read_projection(folder: Path) -> np.ndarray | None:
    """What `write_query_encoder` was given, None where that was none."""
    from safetensors.numpy import load_file

    file = folder / _PROJECTION / _WEIGHTS
    return load_file(file)["linear.weight"] if file.is_file() else None


def _write(
    folder: Path,
    facts: dict[str, Any],
    kind: str,
    width: int,
    modules: Sequence[Module],
    files: dict[str, Any] | None = None,
) -> None:
    if facts.get("width", width) != width:
        raise UserError(
            f"vectors of {width} numbers cannot search an index of {facts['width']}: give the "
            "query encoder a projection to that width"
        )
    known = {"format": _FORMAT, "kind": kind, **facts, "width": width}
    write_layout(folder, modules, {**(files or {}), FACTS_FILE: known})


def _save(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(one, dtype=np.float32) for name, one in arrays.items()}
    save_file(whole, folder / _WEIGHTS, metadata={"format": "pt"})


def _static(folder: Path, facts: dict[str, Any]) -> Embed:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    table = load_file(folder / _WEIGHTS)["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = np.empty((len(texts), table.shape[1]), dtype=np.float32)
        for row, one in enumerate(tokenizer.encode_batch_fast(texts, add_special_tokens=False)):
            # The mean's direction is the sum's.
            table[one.ids].sum(axis=0, out=found[row])
        return found

    return embed


def _transformer(folder: Path, facts: dict[str, Any]) -> Embed:
    import torch

    from relevance_distillery.encoders.base_model import fitting_length, load_encoder
    from relevance_distillery.encoders.batching import Row, pad, read_by_length
    from relevance_distillery.encoders.sentence_encoder import mean_pooled
    from relevance_distillery.encoders.tokenising import tokenise

    network, tokenizer = load_encoder(str(folder))
    network.eval()
    limit = fitting_length(int(facts["max_length"]), network.config, tokenizer)

    @torch.inference_mode()
    def means(rows: list[Row]) -> torch.Tensor:
        batch = pad(rows, tokenizer.pad_token_id, multiple=1)
        states = network(**batch).last_hidden_state
        return mean_pooled(states, batch["attention_mask"].unsqueeze(-1))

    def embed(texts: Sequence[str]) -> np.ndarray:
        return read_by_length(tokenise(tokenizer, texts, limit), _BATCH, means, False).numpy()

    return _projected(embed, folder)


def _int8(folder: Path, facts: dict[str, Any]) -> Embed:
    import torch
    from tokenizers import Tokenizer

    from relevance_distillery.encoders.batching import Row, pad, read_by_length

    runtime = import_extra("onnxruntime")
    options = runtime.SessionOptions()
    # A short query gains nothing from more, and a server answers several at once.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    where = {"providers": ["CPUExecutionProvider"]}
    network = runtime.InferenceSession(str(folder / INT8_FILE), options, **where)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(int(facts["max_length"]))
    padding = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("pad_token_id")

    def means(rows: list[Row]) -> torch.Tensor:
        batch = pad(rows, padding or 0, multiple=1)
        given = {name: value.numpy() for name, value in batch.items()}
        return torch.from_numpy(network.run(None, given)[0])

    def embed(texts: Sequence[str]) -> np.ndarray:
        rows = [
            {"input_ids": one.ids, "attention_mask": one.attention_mask}
            for one in tokenizer.encode_batch_fast(texts)
        ]
        return read_by_length(rows, _BATCH, means, False, told=False).numpy()

    return _projected(embed, folder)


def _projected(embed: Embed, folder: Path) -> Embed:
    projection = read_projection(folder)
    return embed if projection is None else lambda texts: embed(texts) @ projection.T
