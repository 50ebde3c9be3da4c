"""Recalibration without grades: to the shares of the grades that a user expects.

The cuts of the link move alone (prior shift; Saerens et al., 2002); nothing checks the expectation.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.calibration import (
    Array,
    cut_points_of,
    fit_link_to_probabilities,
    match_shares,
)
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.recalibration import Recalibrated, Rules
from relevance_distillery.learning.labelled_pairs import grade_counts


def score_sample(
    labeler: Labeler, tables: Iterable[pd.DataFrame], rows: int, most: int, seed: int
) -> tuple[Array, Array]:
    """Scores and own probabilities of pairs in a file, shapes (pairs,) and (pairs, grades).

    Of its `rows`, which `tables` holds in parts, at most `most` are drawn; rows without a query,
    or with neither title nor text, are left out.
    """
    drawn = None
    if rows > most:
        drawn = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    scores, probabilities = [np.zeros(0)], [np.zeros((0, labeler.scale.size))]
    first = 0
    for texts in tables:
        readable = texts["text"].str.strip() != ""
        if "title" in texts.columns:
            readable |= texts["title"].str.strip() != ""
        readable &= texts["query"].str.strip() != ""
        if drawn is not None:
            readable &= np.isin(np.arange(len(texts)) + first, drawn)
        first += len(texts)
        raw, scored = labeler.raw(texts[readable])
        scores.append(scored)
        probabilities.append(labeler.facts.calibrated(raw, scored))
    return np.concatenate(scores), np.concatenate(probabilities)


def recalibrate_to_shares(
    scores: Array, probabilities: Array, shares: Array, rules: Rules
) -> Recalibrated:
    """Move the cuts until the mean probability of each grade is what a user expects.

    Scores and own probabilities are from `score_sample`, shares from `parse_shares`.

    Raises:
        UserError: There are no pairs.
    """
    if not len(scores):
        raise UserError("pairs: none of the rows has a query and a text, so no share can be met")
    weights = np.ones(len(scores))
    link = match_shares(scores, fit_link_to_probabilities(scores, probabilities, weights), shares)
    cut_points = tuple(cut_points_of(link, scores, weights, rules.scale).tolist())
    one = np.ones(len(scores), dtype=np.int64)
    expected = np.round(probabilities @ rules.scale.values.astype(np.float64), 6)
    before = np.searchsorted(rules.cut_points, expected, side="right")
    after = Rules(rules.scale, cut_points).grade(link, scores, one)
    facts = {
        "method": "prior",
        "pairs": len(scores),
        "prior": [float(share) for share in shares],
        "mean_probabilities": {
            "before": np.round(probabilities.mean(axis=0), 6).tolist(),
            "after": np.round(link.probabilities(scores).mean(axis=0), 6).tolist(),
        },
        "grades": {
            "before": grade_counts(before, rules.scale),
            "after": grade_counts(after, rules.scale),
        },
        "changed": round(float((before != after).mean()), 6),
    }
    return Recalibrated(link, cut_points, True, facts)


def parse_shares(given: str | float | Sequence[float], scale: GradeScale) -> Array:
    """Expected shares of the grades, lowest first, shape (grades,), given with `;` or as a list.

    Raises:
        UserError: Not one share for each grade, not numbers from 0 to 1, or another sum than 1.
    """
    parts = given.split(";") if isinstance(given, str) else np.atleast_1d(given).tolist()
    shown = ";".join(str(part).strip() for part in parts)
    try:
        shares = np.array([float(part) for part in parts if str(part).strip()])
    except ValueError as error:
        raise UserError(f"prior={shown}: give numbers, such as 0.6;0.2;0.15;0.05") from error
    if len(shares) != scale.size:
        raise UserError(
            f"prior={shown}: has {len(shares)} shares, and the labeler {scale.size} grades "
            f"({', '.join(str(value) for value in scale.values)}); give one for each, lowest first"
        )
    if not ((shares >= 0) & (shares <= 1)).all() or abs(shares.sum() - 1) > 0.005:
        raise UserError(
            f"prior={shown}: shares lie between 0 and 1 and sum to 1; these sum to {shares.sum():g}"
        )
    return np.asarray(shares / shares.sum())
