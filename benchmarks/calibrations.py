"""From held-out scores to grades: rules that were compared, on the same trainings.

Isotonic regression a grade (Zadrozny & Elkan, 2002) and cut points that maximise quadratic kappa
were the labeler's own once; they stand here as the peers of what took their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from graded_sets import GradedSet
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.calibration import (
    cut_points_like,
    fit_link_to_probabilities,
    midpoints,
    quadratic_kappa,
)
from relevance_distillery.labeler.folds import train_folds
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.network import resolve_settings
from relevance_distillery.labeler.settings import TrainingSettings

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_VALUES = DEFAULT_SCALE.values.astype(np.float64)
_SWEEPS, _CANDIDATES = 4, 99


@dataclass(frozen=True)
class Scored:
    """Pairs with a judge's grades and an uncalibrated labeler's word on them.

    Attributes:
        raw: The head's probabilities, shape (pairs, grades).
        scores: Shape (pairs,).
        positions: The judge's grades as positions.
        queries: Query of each.
    """

    raw: Floats
    scores: Floats
    positions: Places
    queries: NDArray[np.str_]

    def __getitem__(self, rows: NDArray[np.bool_]) -> Scored:
        """Some of the pairs."""
        return Scored(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def by(cls, labeler: Labeler, texts: pd.DataFrame) -> Scored:
        """What a labeler says of pairs; columns query_id, query, teacher and the passage's."""
        raw, scores = labeler.raw(texts)
        positions = texts["teacher"].to_numpy(dtype=np.int64)
        return cls(raw, scores, positions, texts["query_id"].to_numpy(dtype=np.str_))


def keep_scores(
    learn: GradedSet, others: dict[str, pd.DataFrame], settings: TrainingSettings, target: Path
) -> None:
    """Train without calibrating, and write what the labeler says of held-out and other pairs.

    Args:
        learn: What teaches; the trainings' held-out pairs are `held_out` in the file.
        others: Pairs that do not teach, by name; see `Scored.by`.
        settings: Of the labeler.
        target: An .npz; a folder of that name without the ending is the workspace.
    """
    settings = resolve_settings(settings)
    data = learn.data()
    assert settings.max_evaluation_pairs is not None
    early = data.early.sample(settings.max_evaluation_pairs, settings.seed)
    rows = data.passages.to_dict("records")
    folder, _, held = train_folds(
        data.learn,
        early,
        data.calibrate,
        rows,  # type: ignore[arg-type]
        settings,
        DEFAULT_SCALE,
        target.with_suffix(""),
    )
    labeler = Labeler.load(folder)
    queries = held.pairs.queries.astype(np.str_)
    found = {"held_out": Scored(held.raw, held.scores, held.pairs.positions, queries)}
    found |= {name: Scored.by(labeler, pairs) for name, pairs in others.items()}
    np.savez(
        target,
        allow_pickle=False,
        **{
            f"{name}.{field}": value
            for name, one in found.items()
            for field, value in vars(one).items()
        },
    )


def read_scores(path: Path) -> dict[str, Scored]:
    """What `keep_scores` wrote, by name."""
    with np.load(path, allow_pickle=False) as stored:
        names = dict.fromkeys(name.rpartition(".")[0] for name in stored)
        return {
            name: Scored(*(stored[f"{name}.{field}"] for field in Scored.__dataclass_fields__))
            for name in names
        }


def rules(held_out: Scored) -> Iterator[tuple[str, Callable[[Scored], Floats], Floats]]:
    """Name of each rule, its probabilities, its cut points on the expected grade."""
    targets = np.eye(DEFAULT_SCALE.size)[held_out.positions]
    link = fit_link_to_probabilities(held_out.scores, targets, np.ones(len(targets)))
    isotonic = _isotonic(held_out)

    def linked(pairs: Scored) -> Floats:
        return link.probabilities(pairs.scores)

    for name, probabilities in (("link", linked), ("isotonic", isotonic)):
        expected = probabilities(held_out) @ _VALUES
        yield (
            f"{name}, the judge's shares",
            probabilities,
            cut_points_like(held_out.positions, expected, DEFAULT_SCALE),
        )
        yield f"{name}, best quadratic κ", probabilities, _best(expected, held_out.positions)
        yield f"{name}, halfway between grades", probabilities, midpoints(DEFAULT_SCALE)
    yield (
        "isotonic, best quadratic κ, cross-fitted",
        isotonic,
        _best(_cross_fitted(held_out), held_out.positions),
    )


def _isotonic(pairs: Scored) -> Callable[[Scored], Floats]:
    """One monotone map a grade, renormalised."""
    targets = np.eye(DEFAULT_SCALE.size)[pairs.positions]
    columns = [
        IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
            pairs.raw[:, grade], targets[:, grade]
        )
        for grade in range(DEFAULT_SCALE.size)
    ]

    def probabilities(asked: Scored) -> Floats:
        found = np.column_stack([one.predict(asked.raw[:, k]) for k, one in enumerate(columns)])
        return np.asarray(found / np.maximum(found.sum(1, keepdims=True), 1e-9))

    return probabilities


def _cross_fitted(pairs: Scored) -> Floats:
    """Expected grades by maps of the other half of the queries."""
    names = np.unique(pairs.queries)
    half = np.isin(pairs.queries, names[::2])
    expected = np.zeros(len(pairs.scores))
    for use in (half, ~half):
        expected[use] = _isotonic(pairs[~use])(pairs[use]) @ _VALUES
    return expected


def _best(expected: Floats, positions: Places) -> Floats:
    """Cut points with the best quadratic kappa on these pairs, by coordinate ascent."""
    cuts = midpoints(DEFAULT_SCALE)
    candidates = np.unique(np.quantile(expected, np.linspace(0.005, 0.995, _CANDIDATES)))

    def kappa(trial: Floats) -> float:
        graded = np.searchsorted(trial, expected, "right").astype(np.int64)
        return quadratic_kappa(positions, graded, DEFAULT_SCALE.size)

    best = kappa(cuts)
    for _ in range(_SWEEPS):
        before = best
        for k in range(len(cuts)):
            for candidate in candidates:
                trial = cuts.copy()
                trial[k] = candidate
                if (np.diff(trial) >= 0).all() and kappa(trial) > best + 1e-6:
                    best, cuts = kappa(trial), trial
        if best <= before:
            break
    return cuts
