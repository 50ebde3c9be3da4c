"""Contrastive refinement of the query encoder alone: documents keep the vectors of the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from relevance_distillery.encoders.batching import Row
from relevance_distillery.errors import UserError
from relevance_distillery.query_encoders.settings import RefinementSettings
from relevance_distillery.query_encoders.static import StaticStudent
from relevance_distillery.query_encoders.students import Student
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.recipes import hold_back
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.retriever.training import Examples, Stage, run_stage, validate

_FEWEST = 10
_ROW = "row_of_the_index"


@dataclass(frozen=True)
class Graded:
    """What people or a labeler graded.

    Attributes:
        pairs: As of `training_texts`: query_id, passage_id, query, bucket, gain, relevant.
        index: The reference's; pairs whose passage is not in it teach nothing.
    """

    pairs: pd.DataFrame
    index: PassageIndex


class _FrozenPassages:
    """Towers as `run_stage` takes them: queries learn, passages are what the index holds."""

    def __init__(self, student: Student, vectors: np.ndarray) -> None:
        self.network, self._vectors = student, vectors
        self.parameters = list(student.parameters())

    def embed(self, rows: Sequence[Row]) -> Tensor:
        """Vectors of length 1, shape (rows, width)."""
        if rows and _ROW not in rows[0]:
            return normalize(self.network(rows))
        chosen = np.array(self._vectors[[row[_ROW][0] for row in rows]], np.float32)
        return torch.from_numpy(chosen).to(self.parameters[0].device)


def refine(
    student: Student, graded: Graded, settings: RefinementSettings, seed: int
) -> dict[str, Any]:
    """Train a query encoder in place; the best weights on held-back queries are left.

    Those before refinement are among them, where there are queries to hold back.

    Returns:
        What `run_stage` tells, and before, the validation nDCG@10 of the student as it came.

    Raises:
        UserError: Fewer than ten queries have a relevant passage in the index.
    """
    place = graded.index.passage_ids.get_indexer(pd.Index(graded.pairs["passage_id"].astype(str)))
    pairs = graded.pairs.assign(passage=place)[place >= 0]
    asked = pairs.loc[pairs["relevant"], "query_id"].nunique()
    if asked < _FEWEST:
        raise UserError(
            f"compress_retriever: {asked} graded queries have a relevant passage in the index, at "
            f"least {_FEWEST} are needed to refine; grade more, or take the refined rungs out of "
            "compressing.ladder.rungs"
        )
    static = isinstance(student, StaticStudent)
    how = RetrieverSettings(
        epochs=settings.epochs,
        max_steps=settings.max_steps,
        learning_rate=settings.static_learning_rate if static else settings.learning_rate,
        validation_share=settings.validation_share,
        seed=seed,
    )
    held = hold_back(pairs, how)
    kept = pairs["query_id"].isin(held)
    towers: Any = _FrozenPassages(student, graded.index.vectors)
    learn, validation = (
        Examples.of(some, student.rows, read_passages=lambda rows: [{_ROW: [row]} for row in rows])
        for some in (pairs[~kept], pairs[kept])
    )
    before = validate(towers, validation)
    facts = run_stage(towers, Stage(settings.loss), learn, validation, before, how)
    return {**facts, "before": before, "held_back": len(held)}
