"""A two-tower retriever: one encoder of queries and passages, in sentence-transformers' layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from relevance_distillery.channels.dense import FIELDS
from relevance_distillery.encoders.base_model import read_config
from relevance_distillery.encoders.layout import write_transformer
from relevance_distillery.encoders.sentence_encoder import SentenceEncoder
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.retriever.query_encoder import QueryEncoder
from relevance_distillery.retriever.settings import RETRIEVER
from relevance_distillery.text.terms import passage_text


class Retriever:
    """Vectors of queries and passages, whose inner products are cosines.

    Attributes:
        facts: What `retriever.json` says: base_model, max_length, fields, training and more.
        name: The base model and a digest of the weights.
        fingerprint: Changes with anything that changes a vector: an index belongs to one.
        source: Name or folder of the model that it reads.
        kind: Of its folder.
        prompt: What it reads before each query.
    """

    kind = RETRIEVER
    prompt = ""

    def __init__(
        self, source: str, max_length: int, facts: dict[str, Any], precision: str = "auto"
    ) -> None:
        """Read a model; see `load` and `untrained`."""
        self.source = source
        self._encoder = SentenceEncoder(source, max_length, precision=precision)
        self.facts = facts
        self.name = self._encoder.name
        read = [self.name.partition("@")[2], self._encoder.max_length, list(FIELDS)]
        self.fingerprint = json_digest(read, 8)

    @classmethod
    def untrained(cls, base_model: str, max_length: int = 192) -> Self:
        """A base model as it is; UserError where there is none, or it pools otherwise."""
        check_pooling(base_model)
        return cls(base_model, max_length, {"base_model": base_model, "max_length": max_length})

    @classmethod
    def load(cls, folder: Path, precision: str = "auto") -> Self:
        """Read a retriever's folder; UserError where it holds none or is damaged.

        `precision` as of `SentenceEncoder`.
        """
        facts = RETRIEVER.read(folder)
        return cls(str(folder), int(facts["max_length"]), facts, precision)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (queries, width), float32, each row of length 1."""
        return self._encoder.encode([self.prompt + text for text in texts])

    def encode_passages(self, passages: pd.DataFrame) -> np.ndarray:
        """Shape (passages, width), float32, each row of length 1; columns `FIELDS` are read."""
        return self._encoder.encode(passage_text(passages, FIELDS))


def open_encoder(folder: Path) -> Retriever | QueryEncoder:
    """What reads queries: the retriever, or the query encoder of one, that a folder holds."""
    return (Retriever if RETRIEVER.is_at(folder) else QueryEncoder).load(folder)


def write_retriever(network: Any, tokenizer: Any, folder: Path, facts: dict[str, Any]) -> None:
    """Write a folder that `Retriever.load` and `SentenceTransformer(folder)` read, or nothing.

    `facts` are base_model and max_length in tokens, and what else is worth keeping.
    """
    known = RETRIEVER.stamped({**facts, "fields": list(FIELDS)})
    write_transformer(folder, network, tokenizer, RETRIEVER.file, known)


def check_pooling(base_model: str) -> None:
    """UserError for a sentence-transformers model whose vectors are no means of token states."""
    facts = read_config(base_model, "1_Pooling/config.json")
    if facts and not (facts.get("pooling_mode_mean_tokens") or facts.get("pooling_mode") == "mean"):
        raise UserError(
            f"base model {base_model}: its vectors are not means of token states, which is all "
            "that train_retriever knows; choose a model with mean pooling"
        )
