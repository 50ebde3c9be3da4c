"""Recalibration: a labeler's probabilities and cut points, fitted to a new collection.

A labeler trained on one collection ranks pairs of another one well before it grades them well:
what moves is where grades begin. With grades of people, the link from score to grade is fitted
again (see `calibration`), with the labeler's own as prior, so that ten grades move it a little
and a thousand decide alone; cut points follow from the link, not from the grades. Whether it helps
is measured by cross-fitting over queries. Without grades, the shares of grades that a user expects
move the cuts alone (prior shift; Saerens et al., 2002).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.calibration import (
    Array,
    Link,
    cut_points_of,
    fit_link,
    fit_link_to_probabilities,
    match_shares,
    quadratic_kappa,
)
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.learning.document_grades import KEY, best_of_passages
from relevance_distillery.learning.labelled_pairs import grade_counts
from relevance_distillery.learning.splits import deal_groups

FEWEST_QUERIES = 3
MOST_FOLDS = 10
_SMALLEST_CHANCE = 1e-3  # log-loss counts no probability as less, so that one outlier cannot decide


@dataclass(frozen=True)
class Graded:
    """Documents that people graded, as the labeler sees them.

    Attributes:
        scores: The best passage's score, shape (documents,).
        passages: How many passages each has; those with one calibrate.
        positions: People's grades as positions on the scale.
        queries: Query of each.
        weights: How many pairs each stands for.
        probabilities: The labeler's own, shape (documents, grades).
        given: Its own grades as positions.
    """

    scores: Array
    passages: NDArray[np.int64]
    positions: NDArray[np.int64]
    queries: NDArray[np.object_]
    weights: Array
    probabilities: Array
    given: NDArray[np.int64]

    def __getitem__(self, rows: NDArray[Any]) -> Self:
        """Some of the documents."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def counted(self) -> Array:
        """Weights that sum to the effective number of pairs (Kish, 1965)."""
        return self.weights * self.weights.sum() / (self.weights**2).sum()


@dataclass(frozen=True)
class Rules:
    """What turns scores into grades beside the link.

    `cut_points` are on the expected grade, shape (grades - 1,); `length_slope` is what
    ln(passages) takes off a document's expected grade.
    """

    scale: GradeScale
    cut_points: tuple[float, ...]
    length_slope: float = 0.0

    def grade(self, link: Link, scores: Array, passages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Grades of documents as positions; the best score has the best expected grade."""
        expected = link.probabilities(scores) @ self.scale.values.astype(np.float64)
        corrected = np.round(expected - self.length_slope * np.log(passages), 6)
        return np.searchsorted(self.cut_points, corrected, side="right").astype(np.int64)


@dataclass(frozen=True)
class Recalibrated:
    """A new link with its cut points.

    `helps`: cross-fitted, it has the lower log-loss; true where nothing could be compared.
    `facts`: what it was made from and what it changes, plain JSON.
    """

    link: Link
    cut_points: tuple[float, ...]
    helps: bool
    facts: dict[str, Any]


def rules_of(labeler: Labeler) -> Rules:
    """What turns a labeler's scores into grades beside its link."""
    facts = labeler.facts
    return Rules(facts.scale, facts.cut_points, facts.length_slope)


def as_graded(labeler: Labeler, pairs: pd.DataFrame) -> Graded:
    """Documents that people graded, as the labeler sees them; `pairs` has all their passages."""
    # Neighbours share their passage, which is then read once.
    pairs = pairs.sort_values("passage_id", kind="stable", ignore_index=True)
    raw, scores = labeler.raw(pairs)
    graded = labeler.decide(raw, scores, pairs.index)
    graded[KEY] = pairs[KEY]
    given = labeler.document_grades(graded).set_index(KEY)["grade"]
    graded = graded.assign(
        score=scores, row=range(len(pairs)), human=pairs["human"], weight=pairs.get("weight", 1.0)
    )
    best = best_of_passages(graded, ["score"], ["row", "human", "weight", "probabilities"])
    best = best.sort_values("row")
    probabilities = np.array(best["probabilities"].tolist(), dtype=np.float64)
    scale = labeler.scale
    return Graded(
        scores=best["score"].to_numpy(dtype=np.float64),
        passages=best["passages"].to_numpy(dtype=np.int64),
        positions=scale.positions(best["human"].to_numpy(dtype=np.int64)),
        queries=best["query_id"].to_numpy(dtype=object),
        weights=best["weight"].to_numpy(dtype=np.float64),
        probabilities=probabilities.reshape(len(best), scale.size),
        given=scale.positions(given.loc[pd.MultiIndex.from_frame(best[KEY])].to_numpy()),
    )


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


def recalibrate(graded: Graded, rules: Rules, prior_pairs: float, seed: int) -> Recalibrated:
    """Fit link and cut points to people's grades, and ask whether that helps.

    Documents of one passage calibrate; all of them are measured, with the same correction for
    length as before. The labeler as it is weighs as much as `prior_pairs` grades.

    Raises:
        UserError: Nothing to calibrate on, fewer than three queries, or one grade alone.
    """
    own = graded[graded.passages == 1]
    _check(own, len(graded.scores), rules.scale)
    start = fit_link_to_probabilities(own.scores, own.probabilities, own.counted)
    link, cut_points = _fitted(own, own, start, rules, prior_pairs)
    fold = _folds(graded.queries, own.queries, seed)
    of_own = fold[graded.passages == 1]
    chances, given = own.probabilities.copy(), graded.given.copy()
    for part in range(int(fold.max()) + 1):
        there, of_there = fold == part, of_own == part
        partly, cuts = _fitted(own[~of_there], own, start, rules, prior_pairs)
        chances[of_there] = partly.probabilities(own.scores[of_there])
        asked = graded[there]
        changed = Rules(rules.scale, cuts, rules.length_slope)
        given[there] = changed.grade(partly, asked.scores, asked.passages)
    before, after = _log_loss(own, own.probabilities), _log_loss(own, chances)
    kappas = [
        quadratic_kappa(graded.positions, positions, rules.scale.size, graded.weights)
        for positions in (graded.given, given)
    ]
    facts = {
        "method": "grades",
        "pairs": len(own.scores),
        "queries": len(set(own.queries.tolist())),
        "effective_pairs": round(float(own.counted.sum()), 1),
        "grades": grade_counts(own.positions, rules.scale),
        "measured": len(graded.scores),
        "several_passages": int((graded.passages > 1).sum()),
        "prior_pairs": prior_pairs,
        "start": start.model_dump(mode="json"),
        "cross_fitted": {
            "folds": int(fold.max()) + 1,
            "log_loss": {"before": round(before, 6), "after": round(after, 6)},
            "quadratic_kappa": {"before": round(kappas[0], 6), "after": round(kappas[1], 6)},
        },
    }
    return Recalibrated(link, cut_points, after < before, facts)


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


def _fitted(
    taught: Graded, seen: Graded, start: Link, rules: Rules, prior_pairs: float
) -> tuple[Link, tuple[float, ...]]:
    """A link from some grades; its cut points from the scores of all, which tell no grade."""
    targets = np.eye(rules.scale.size)[taught.positions]
    link = fit_link(taught.scores, targets, taught.counted, start, prior_pairs)
    cuts = cut_points_of(link, seen.scores, seen.weights, rules.scale)
    return link, tuple(cuts.tolist())


def _check(own: Graded, documents: int, scale: GradeScale) -> None:
    if not documents:
        raise UserError("human_judgments: there is no grade to recalibrate with")
    if not len(own.scores):
        raise UserError(
            f"human_judgments: all {documents} graded documents have several passages, and a "
            "grade of a document says little about each of them; grade some short documents or "
            "single passages too"
        )
    queries = len(set(own.queries.tolist()))
    if queries < FEWEST_QUERIES:
        raise UserError(
            f"human_judgments: {len(own.scores)} usable grades of {queries} queries; "
            f"at least {FEWEST_QUERIES} queries are needed to tell whether recalibration helps"
        )
    given = np.unique(own.positions)
    if len(given) < 2:
        raise UserError(
            f"human_judgments: every usable grade is {scale.values[given[0]]}, which says nothing "
            "about where grades begin; grade pairs that differ"
        )


def _folds(
    queries: NDArray[np.object_], calibrating: NDArray[np.object_], seed: int
) -> NDArray[np.int64]:
    """Fold of each row: whole queries, those that calibrate dealt evenly."""
    names = sorted(set(calibrating.tolist()))
    others = sorted(set(queries.tolist()) - set(names))
    folds = min(MOST_FOLDS, len(names))
    fold = dict(zip(names, deal_groups(names, [1.0] * folds, seed).tolist(), strict=True))
    fold |= {name: place % folds for place, name in enumerate(others, start=len(names))}
    return np.array([fold[name] for name in queries.tolist()], dtype=np.int64)


def _log_loss(graded: Graded, probabilities: Array) -> float:
    chances = probabilities[np.arange(len(graded.positions)), graded.positions]
    logs = np.log(np.clip(chances, _SMALLEST_CHANCE, 1.0))
    return -float(graded.weights @ logs / graded.weights.sum())
