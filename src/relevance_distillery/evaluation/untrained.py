"""The base model before any training: what distillation has to beat.

Two similarities of its token states, query and passage encoded separately: the cosine of the
mean-pooled states (what sentence encoders are trained for) and late interaction, the mean over
query tokens of the best match among the passage's (Khattab and Zaharia, 2020). Late interaction
is the stronger of the two untrained and is the row `base`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.encoders.base_model import fitting_length, load_encoder, public_name
from relevance_distillery.encoders.devices import choose_device
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.labeler.artifact import LabelerFacts
from relevance_distillery.labeler.calibration import cut_points_like
from relevance_distillery.labeler.features import FEATURES
from relevance_distillery.labeler.inference import SHARD_ROWS, Labeler
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.template import InputTemplate

Floats = NDArray[np.float64]

_SIMILARITIES = {"cosine": "cosine", "late_interaction": "maxsim"}


class UntrainedEncoder:
    """Similarities of a base model before fine-tuning: a labeler's features without its head."""

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
        network, tokenizer = load_encoder(base_model)
        wanted = template or InputTemplate()
        length = fitting_length(wanted.max_length, network.config, tokenizer)
        facts = LabelerFacts(
            base_model=public_name(base_model),
            architecture="late_interaction",
            scale=DEFAULT_SCALE,
            template=wanted.model_copy(update={"max_length": length}),
            cut_points=(),
        )
        self._labeler = Labeler(
            PairModel(network, "late_interaction", DEFAULT_SCALE.size),
            tokenizer,
            facts,
            device=choose_device(),
            precision=precision,
        )

    def scores(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Similarities of pairs.

        Args:
            pairs: Columns query, text and, where there are any, the passage's other parts.

        Returns:
            Columns cosine, late_interaction, float64, the index of `pairs`.
        """
        places = [FEATURES.index(name) for name in _SIMILARITIES.values()]
        shards = [
            self._labeler.features(pairs.iloc[start : start + SHARD_ROWS]).double().cpu().numpy()
            for start in range(0, len(pairs), SHARD_ROWS)
        ]
        values = np.concatenate(shards)[:, places] if shards else np.zeros((0, len(places)))
        return pd.DataFrame(values, columns=[*_SIMILARITIES], index=pairs.index)


class ScoreGrades:
    """Turns a score into grades by cut points that were fitted on a teacher's labels.

    Each grade goes to as many pairs as the teacher gave it to, as with the labeler's own cut
    points, on pairs that are no part of the benchmark: the base gets the student's help.
    """

    def __init__(self, scores: Floats, grades: NDArray[np.int64], scale: GradeScale) -> None:
        """Fit to scores and the teacher's grades of the same pairs, each of shape (pairs,)."""
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
