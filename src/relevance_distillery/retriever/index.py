"""Vectors of all passages on disk, and exact search among them by inner products."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from relevance_distillery.channels.dense import exact_top
from relevance_distillery.errors import UserError
from relevance_distillery.executors.execution import Executor
from relevance_distillery.io.files import replacing, write_text
from relevance_distillery.io.progress import Progress
from relevance_distillery.retriever.settings import INDEX

if TYPE_CHECKING:
    from relevance_distillery.retriever.encoder import Retriever
    from relevance_distillery.retriever.query_encoder import QueryEncoder

_VECTORS = "vectors.npy"
_BLOCK = 4096


class PassageIndex:
    """The vectors of passages, memory-mapped.

    Attributes:
        passage_ids: The passages, in the order of the table that they came from.
        document_ids: The document of each.
        fingerprint: Of the retriever that made the vectors.
        vectors: Shape (passages, width), float32, read-only.
        folder: Where it is.
    """

    def __init__(self, vectors: np.ndarray, facts: dict[str, Any], folder: Path) -> None:
        """Wrap what a folder holds; use `build` or `load`."""
        self.folder = folder
        self.vectors, self._retriever = vectors, str(facts["retriever"])
        self.passage_ids = pd.Index(facts["passage_ids"]).astype("str")
        self.document_ids = pd.Index(facts["document_ids"]).astype("str")
        self.fingerprint = str(facts["fingerprint"])

    @classmethod
    def build(
        cls,
        retriever: Retriever,
        passages: pd.DataFrame,
        folder: Path,
        executor: Executor = map,
    ) -> PassageIndex:
        """Encode passages into a folder, which appears whole or not at all, and open it.

        Vectors go to disk a block at a time: memory does not grow with the number of passages,
        whose columns passage_id, document_id, title, heading, text are read. UserError for none.
        """
        if passages.empty:
            raise UserError("no passages to index; run kedro run --pipeline=synthesize")
        shape = (len(passages), retriever.encode_queries([]).shape[1])
        with (
            replacing(folder) as begun,
            Progress(len(passages), "indexing", "passage") as done,
        ):
            begun.mkdir()
            vectors = np.lib.format.open_memmap(begun / _VECTORS, "w+", np.float32, shape)
            starts = range(0, len(passages), _BLOCK)
            blocks = ((start, passages.iloc[start : start + _BLOCK]) for start in starts)
            for start, found in executor(partial(_encoded, retriever), blocks):
                vectors[start : start + len(found)] = found
                done.advance(len(found))
            vectors.flush()
            facts = {
                "retriever": retriever.name,
                "fingerprint": retriever.fingerprint,
                "passage_ids": passages["passage_id"].astype(str).tolist(),
                "document_ids": passages["document_id"].astype(str).tolist(),
            }
            text = json.dumps(INDEX.stamped(facts), ensure_ascii=False)
            write_text(begun / INDEX.file, text)
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> PassageIndex:
        """Open a folder; UserError where it holds no index, or a damaged one."""
        facts = INDEX.read(folder)
        with INDEX.readable(folder):
            vectors = np.load(folder / _VECTORS, mmap_mode="r")
            if {len(facts["passage_ids"]), len(facts["document_ids"])} != {len(vectors)}:
                raise ValueError("it is not whole")
            return cls(vectors, facts, folder)

    def __len__(self) -> int:
        return len(self.vectors)

    def require(self, encoder: Retriever | QueryEncoder) -> None:
        """UserError where the encoder is for the index of another model: products mean nothing."""
        if encoder.fingerprint != self.fingerprint:
            raise UserError(
                f"the index was made by the retriever {self._retriever}, and {encoder.name} is "
                "for that of another model; name a registered version, which has its own, or run "
                + encoder.kind.command
            )

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and products of the `k` nearest passages of every query, see `exact_top`."""
        return exact_top(self.vectors, vectors, k)


def _encoded(retriever: Retriever, block: tuple[int, pd.DataFrame]) -> tuple[int, np.ndarray]:
    start, passages = block
    return start, retriever.encode_passages(passages)
