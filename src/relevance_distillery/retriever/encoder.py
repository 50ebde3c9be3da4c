"""A two-tower retriever: one encoder of queries and passages, in sentence-transformers' layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from relevance_distillery.channels.dense import FIELDS
from relevance_distillery.encoders.base_model import COPY_AGAIN, readable, resolve_model
from relevance_distillery.encoders.layout import mean_pooling, read_layout_facts, write_layout
from relevance_distillery.encoders.sentence_encoder import SentenceEncoder
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.retriever.settings import TRAIN
from relevance_distillery.text.terms import passage_text

FACTS_FILE = "retriever.json"
_FORMAT = 1


class Retriever:
    """Vectors of queries and passages, whose inner products are cosines.

    Attributes:
        facts: What `retriever.json` says: base_model, max_length, fields, training and more.
        name: The base model and a digest of the weights.
        fingerprint: Changes with anything that changes a vector: an index belongs to one.
        source: Name or folder of the model that it reads.
        prompt: What it reads before each query.
    """

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
        facts = {"format": _FORMAT, "base_model": base_model, "max_length": max_length}
        return cls(base_model, max_length, facts | {"fields": list(FIELDS)})

    @classmethod
    def load(cls, folder: Path, precision: str = "auto") -> Self:
        """Read a retriever's folder; UserError where it holds none or is damaged.

        `precision` as of `SentenceEncoder`.
        """
        facts = read_facts(folder)
        return cls(str(folder), int(facts["max_length"]), facts, precision)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (queries, width), float32, each row of length 1."""
        return self._encoder.encode([self.prompt + text for text in texts])

    def encode_passages(self, passages: pd.DataFrame) -> np.ndarray:
        """Shape (passages, width), float32, each row of length 1; columns `FIELDS` are read."""
        return self._encoder.encode(passage_text(passages, FIELDS))


def read_facts(folder: Path) -> dict[str, Any]:
    """The content of `retriever.json`; UserError where the folder holds no retriever."""
    return read_layout_facts(folder / FACTS_FILE, "retriever", _FORMAT, TRAIN, "train")


def write_retriever(network: Any, tokenizer: Any, folder: Path, facts: dict[str, Any]) -> None:
    """Write a folder that `Retriever.load` and `SentenceTransformer(folder)` read.

    `facts` are base_model and max_length in tokens, and what else is worth keeping, such as
    training. Whoever needs the folder whole or not at all renames it afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files = {
        "sentence_bert_config.json": {"max_seq_length": facts["max_length"]},
        FACTS_FILE: {"format": _FORMAT, **facts, "fields": list(FIELDS)},
    }
    write_layout(folder, [*mean_pooling(network), ("2_Normalize", "Normalize", None)], files)


def check_pooling(base_model: str) -> None:
    """UserError for a sentence-transformers model whose vectors are no means of token states."""
    config = Path(resolve_model(base_model)) / "1_Pooling" / "config.json"
    if not config.is_file():
        return
    with readable(f"base model {base_model}", config.parent, COPY_AGAIN):
        facts = json.loads(config.read_text(encoding="utf-8"))
    if not (facts.get("pooling_mode_mean_tokens") or facts.get("pooling_mode") == "mean"):
        raise UserError(
            f"base model {base_model}: its vectors are not means of token states, which is all "
            "that train_retriever knows; choose a model with mean pooling"
        )
