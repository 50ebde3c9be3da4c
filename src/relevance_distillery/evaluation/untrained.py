"""The base model before any training: what distillation has to beat.

Two similarities of its token states, query and passage read alone: the cosine of the
mean-pooled states (what sentence encoders are trained for) and late interaction, the mean over
query tokens of the best match among the passage's (Khattab and Zaharia, 2020). Late interaction
is the stronger of the two untrained and stands as the row `base`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from relevance_distillery.encoders.base_model import fitting_length, quiet, resolve_model
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.calibration import cut_points_like
from relevance_distillery.labeler.template import InputTemplate, load_tokenizer

Floats = NDArray[np.float64]

_BATCH = 32


class UntrainedEncoder:
    """Similarities of a base model that nobody fine-tuned."""

    def __init__(
        self, base_model: str, template: InputTemplate | None = None, precision: str = "fp32"
    ) -> None:
        """Load the model.

        Args:
            base_model: `bundled`, a folder or a hub id.
            template: How texts are built; the labeler's own makes the comparison fair.
            precision: `bf16` computes as a labeler does that was trained with it.

        Raises:
            UserError: There is no such model.
        """
        from transformers import AutoModel

        self._tokenizer = load_tokenizer(base_model)
        self._half = precision == "bf16"
        with quiet():
            self._model = AutoModel.from_pretrained(
                resolve_model(base_model), trust_remote_code=False, dtype=torch.float32
            ).eval()
        wanted = template or InputTemplate()
        length = fitting_length(wanted.max_length, self._model.config, self._tokenizer)
        self._template = wanted.model_copy(update={"max_length": length})

    def scores(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Similarities of pairs.

        Args:
            pairs: Columns query, text and, where there are any, the passage's other parts.

        Returns:
            Columns cosine, late_interaction, float64, the index of `pairs`.
        """
        queries, passages = self._template.render(pairs)
        values = np.zeros((len(pairs), 2))
        rows_of: dict[str, list[int]] = {}
        for row, passage in enumerate(passages):
            rows_of.setdefault(passage, []).append(row)
        # Each passage is encoded once, in batches of like length; its states are dropped after.
        distinct = sorted(rows_of, key=lambda text: (len(text), text))
        query_states = self._states(sorted(set(queries), key=len), True)
        for start in range(0, len(distinct), _BATCH):
            for passage, states in self._states(distinct[start : start + _BATCH], False).items():
                for row in rows_of[passage]:
                    values[row] = _similarities(query_states[queries[row]], states)
        return pd.DataFrame(values, columns=["cosine", "late_interaction"], index=pairs.index)

    @torch.inference_mode()
    def _states(self, texts: list[str], is_query: bool) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean-pooled state and the states of the words, both of length 1, by text."""
        found: dict[str, tuple[Tensor, Tensor]] = {}
        for start in range(0, len(texts), _BATCH):
            some = texts[start : start + _BATCH]
            rows = self._template.encode_alone(self._tokenizer, some, is_query)
            batch = self._tokenizer.pad(
                {"input_ids": [row["input_ids"] for row in rows]}, return_tensors="pt"
            )
            with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
                states = self._model(**batch).last_hidden_state.float()
            for place, (text, row) in enumerate(zip(some, rows, strict=True)):
                # Decoders may pad on the left.
                attended = states[place][batch["attention_mask"][place].bool()]
                special = torch.tensor(row["special_tokens_mask"], dtype=torch.bool)
                words = attended[~special] if (~special).any() else attended
                found[text] = (
                    normalize(attended.mean(0), dim=0),
                    normalize(words, dim=-1),
                )
        return found


def _similarities(query: tuple[Tensor, Tensor], passage: tuple[Tensor, Tensor]) -> Floats:
    cosine = float(query[0] @ passage[0])
    late = float((query[1] @ passage[1].T).max(-1).values.mean())
    return np.array([cosine, late], dtype=np.float64)


class ScoreGrades:
    """Turns a score into grades by cut points that were fitted on a teacher's labels.

    Each grade goes to as many pairs as the teacher gave it to, as with the labeler's own cut
    points, on pairs that are no part of the benchmark: the base gets the student's help.
    """

    def __init__(self, scores: Floats, grades: NDArray[np.int64], scale: GradeScale) -> None:
        """Fit.

        Args:
            scores: Shape (pairs,), higher is more relevant.
            grades: The teacher's grades of the same pairs.
            scale: The grades.
        """
        self._scale = scale
        positions = scale.positions(grades)
        values = scale.values[positions].astype(np.float64)
        spread = float(np.var(scores)) if len(scores) else 0.0
        slope = float(np.cov(scores, values, bias=True)[0, 1]) / spread if spread > 0 else 0.0
        # A score that runs against the teacher keeps its direction: the base is not flipped.
        self._slope = max(slope, 1e-6)
        self._start = (float(values.mean()) - self._slope * float(scores.mean())) if spread else 0.0
        self._cuts = cut_points_like(positions, self._start + self._slope * scores, scale)

    def __call__(self, scores: Floats) -> NDArray[np.int64]:
        """Grades of scores, shape (pairs,)."""
        expected = self._start + self._slope * np.asarray(scores, dtype=np.float64)
        return self._scale.values[np.searchsorted(self._cuts, expected, side="right")]
