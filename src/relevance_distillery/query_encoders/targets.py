"""The reference's vectors of strings: what students are to reproduce, computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relevance_distillery.encoders.batching import Row
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.io.files import replacing
from relevance_distillery.io.progress import Progress
from relevance_distillery.query_encoders.settings import AlignmentSettings
from relevance_distillery.query_encoders.students import Student
from relevance_distillery.retriever.encoder import Retriever

_CHUNK = 2000
_HELD_BACK = 0.1


def reference_vectors(reference: Retriever, strings: Sequence[str], folder: Path) -> np.ndarray:
    """Vectors of strings, shape (strings, width); what the folder keeps is not computed again.

    They are kept in parts of two thousand, named by their strings and the reference's fingerprint:
    a longer list that begins alike takes them over, and a killed run goes on behind the last part.
    """
    parts = [list(strings[start : start + _CHUNK]) for start in range(0, len(strings), _CHUNK)]
    found = [reference.encode_queries([])]
    with Progress(len(strings), "encoding with the reference", "string") as progress:
        for part in parts:
            read = reference.fingerprint + reference.prompt
            file = folder / f"{json_digest([read, part], 8)}.npy"
            if not file.is_file():
                with replacing(file) as partial, partial.open("wb") as stream:
                    np.save(stream, reference.encode_queries(part))
            found.append(np.load(file))
            progress.advance(len(part))
    return np.concatenate(found)


@dataclass(frozen=True)
class Targets:
    """Strings with their reference's vectors, and some held back.

    Attributes:
        strings, vectors: To learn from; shape (strings, width), float32.
        held_strings, held_vectors: To choose by.
    """

    strings: list[str]
    vectors: Tensor
    held_strings: list[str]
    held_vectors: Tensor

    @classmethod
    def of(
        cls, strings: Sequence[str], vectors: np.ndarray, settings: AlignmentSettings
    ) -> Targets:
        """Hold back the first; UserError where fewer than a batch are left."""
        few = min(settings.held_back, int(len(strings) * _HELD_BACK))
        if len(strings) - few < settings.batch_size or few < 2:
            raise UserError(
                f"compress_retriever: {len(strings)} strings to align on, a tenth of which is held "
                f"back, make no batch of {settings.batch_size}; give more documents or queries, or "
                "lower batch_size in compressing.ladder"
            )
        every = torch.from_numpy(vectors)
        return cls(list(strings[few:]), every[few:], list(strings[:few]), every[:few])

    def agreement(self, student: Student, rows: Sequence[Row] | None = None) -> float:
        """How much alike a student and the reference rank, -1 to 1.

        For each held-back string the correlation of its similarities with the reference's vectors
        of all others; the mean. It is what a ranking sees: directions that no text takes do not
        count. `rows` are the strings' tokens, where they are at hand.
        """
        made = student.vectors(student.rows(self.held_strings) if rows is None else rows)
        others = ~torch.eye(len(made), dtype=torch.bool)
        ours, theirs = (
            (one @ self.held_vectors.T)[others].view(len(made), -1)
            for one in (made, self.held_vectors)
        )
        ours, theirs = (one - one.mean(1, keepdim=True) for one in (ours, theirs))
        return float(torch.cosine_similarity(ours, theirs).mean())
