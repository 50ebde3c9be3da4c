"""Recalibration: a labeler's probabilities and cut points, fitted to a new collection.

A labeler trained on one collection ranks pairs of another one well before it grades them well:
what moves is where grades begin. With grades of people, the link from score to grade is fitted
again (see `calibration`), with the labeler's own as prior, so that ten grades move it a little
and a thousand decide alone; cut points follow from the link, not from the grades. Whether it helps
is measured by cross-fitting over queries. Queries of which people graded several documents get a
shift of their own (see `calibration`), where each grade, left out in turn, is foretold better by
the others. Without grades, see `expected_shares`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.artifact import query_digest
from relevance_distillery.labeler.calibration import (
    FEWEST_GRADES,
    Array,
    Link,
    cut_points_of,
    fit_link,
    fit_link_to_probabilities,
    log_likelihoods,
    mean_shifts,
    quadratic_kappa,
    spread_of,
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
        texts: Digest of its query's text; empty where the grade is not people's.
        weights: How many pairs each stands for.
        probabilities: The labeler's own, shape (documents, grades).
        given: Its own grades as positions.
    """

    scores: Array
    passages: NDArray[np.int64]
    positions: NDArray[np.int64]
    queries: NDArray[np.object_]
    texts: NDArray[np.object_]
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
    ln(passages) takes off a document's expected grade; `own_link` is the labeler's, None where
    its head gives probabilities.
    """

    scale: GradeScale
    cut_points: tuple[float, ...]
    length_slope: float = 0.0
    own_link: Link | None = None

    def grade(self, link: Link, scores: Array, passages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Grades of documents as positions; the best score has the best expected grade."""
        expected = link.probabilities(scores) @ self.scale.values.astype(np.float64)
        corrected = np.round(expected - self.length_slope * np.log(passages), 6)
        return np.searchsorted(self.cut_points, corrected, side="right").astype(np.int64)


@dataclass(frozen=True)
class Recalibrated:
    """A new link with its cut points, and shifts of queries by the digest of their text.

    `helps`: cross-fitted, link or shifts have the lower log-loss; true where nothing could be
    compared. Link and cut points are the labeler's own where the shifts alone help.
    `facts`: what it was made from and what it changes, plain JSON.
    """

    link: Link
    cut_points: tuple[float, ...]
    helps: bool
    facts: dict[str, Any]
    shifts: dict[str, float] = field(default_factory=dict)


def rules_of(labeler: Labeler) -> Rules:
    """What turns a labeler's scores into grades beside its link."""
    facts = labeler.facts
    return Rules(facts.scale, facts.cut_points, facts.length_slope, facts.calibration)


def as_graded(labeler: Labeler, pairs: pd.DataFrame) -> Graded:
    """Documents that people graded, as the labeler sees them.

    `pairs` has all their passages, as `evaluation.recalibration_pairs.judged_pairs` gives them.
    """
    # Neighbours share their passage, which is then read once.
    pairs = pairs.sort_values("passage_id", kind="stable", ignore_index=True)
    raw, scores = labeler.raw(pairs)
    graded = labeler.decide(raw, scores, pairs.index)
    graded[KEY] = pairs[KEY]
    given = labeler.document_grades(graded).set_index(KEY)["grade"]
    texts = {one: query_digest(one) for one in pairs["query"].unique()}
    graded = graded.assign(
        score=scores,
        row=range(len(pairs)),
        human=pairs["human"],
        weight=pairs.get("weight", 1.0),
        text=pairs["query"].map(texts).where(pairs["by_people"], ""),
    )
    best = best_of_passages(graded, ["score"], ["row", "human", "weight", "text", "probabilities"])
    best = best.sort_values("row")
    probabilities = np.array(best["probabilities"].tolist(), dtype=np.float64)
    scale = labeler.scale
    return Graded(
        scores=best["score"].to_numpy(dtype=np.float64),
        passages=best["passages"].to_numpy(dtype=np.int64),
        positions=scale.positions(best["human"].to_numpy(dtype=np.int64)),
        queries=best["query_id"].to_numpy(dtype=object),
        texts=best["text"].to_numpy(dtype=object),
        weights=best["weight"].to_numpy(dtype=np.float64),
        probabilities=probabilities.reshape(len(best), scale.size),
        given=scale.positions(given.loc[pd.MultiIndex.from_frame(best[KEY])].to_numpy()),
    )


def recalibrate(graded: Graded, rules: Rules, prior_pairs: float, seed: int) -> Recalibrated:
    """Fit link, cut points and shifts of queries to people's grades, and ask whether that helps.

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
    partly = [
        _fitted(own[of_own != part], own, start, rules, prior_pairs)
        for part in range(int(fold.max()) + 1)
    ]
    chances, given = own.probabilities.copy(), graded.given.copy()
    for part, (fitted, cuts) in enumerate(partly):
        there, of_there = fold == part, of_own == part
        chances[of_there] = fitted.probabilities(own.scores[of_there])
        asked = graded[there]
        changed = Rules(rules.scale, cuts, rules.length_slope)
        given[there] = changed.grade(fitted, asked.scores, asked.passages)
    before, after = _log_loss(own, own.probabilities), _log_loss(own, chances)
    kappas = [
        quadratic_kappa(graded.positions, positions, rules.scale.size, graded.weights)
        for positions in (graded.given, given)
    ]
    helps = after < before
    if not helps:
        link, cut_points = rules.own_link or start, rules.cut_points
        partly = [(link, cut_points)] * len(partly)
    shifts, of_queries = _shifted(graded, link, partly, fold, rules)
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
        "query_shifts": of_queries,
    }
    return Recalibrated(link, cut_points, helps or bool(shifts), facts, shifts)


def _fitted(
    taught: Graded, seen: Graded, start: Link, rules: Rules, prior_pairs: float
) -> tuple[Link, tuple[float, ...]]:
    """A link from some grades; its cut points from the scores of all, which tell no grade."""
    targets = np.eye(rules.scale.size)[taught.positions]
    link = fit_link(taught.scores, targets, taught.counted, start, prior_pairs)
    cuts = cut_points_of(link, seen.scores, seen.weights, rules.scale)
    return link, tuple(cuts.tolist())


def _shifted(
    graded: Graded,
    link: Link,
    partly: Sequence[tuple[Link, tuple[float, ...]]],
    fold: NDArray[np.int64],
    rules: Rules,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Shifts of queries by the digest of their text, none where they do not help; and facts.

    A grade is foretold by the other grades of its query, and by what `partly`, link and cut points
    of the other folds, and the spread of the other folds' queries say.
    """
    own = graded.passages == 1
    names, counts = np.unique(graded.texts[own & (graded.texts != "")], return_counts=True)
    names = names[counts >= FEWEST_GRADES]
    rows = np.isin(graded.texts, names)
    if not len(names):
        return {}, {"queries": 0, "graded": 0}
    asked, own, fold = graded[rows], own[rows], fold[rows]
    query = np.searchsorted(names.astype(str), asked.texts.astype(str))

    def levels(by: Link) -> tuple[Array, Array]:
        each = log_likelihoods(by, asked.scores, asked.positions) * own[:, None]
        summed = np.zeros((len(names), each.shape[1]))
        np.add.at(summed, query, each)
        return each, summed

    chances = np.zeros((2, len(own), rules.scale.size))
    given = np.zeros((2, len(own)), dtype=np.int64)
    for part, (fitted, cuts) in enumerate(partly):
        there = fold == part
        each, summed = levels(fitted)
        spread = spread_of(summed[np.unique(query[~there])])
        shifts = mean_shifts((summed[query] - each)[there], spread, fitted)
        changed = Rules(rules.scale, cuts, rules.length_slope)
        for way, scores in enumerate((asked.scores[there], asked.scores[there] + shifts)):
            chances[way, there] = fitted.probabilities(scores)
            given[way, there] = changed.grade(fitted, scores, asked.passages[there])
    losses = [_log_loss(asked[own], each[own]) for each in chances]
    kappas = [
        quadratic_kappa(asked.positions, positions, rules.scale.size, asked.weights)
        for positions in given
    ]
    summed = levels(link)[1]
    spread = spread_of(summed)
    shifts = np.round(mean_shifts(summed, spread, link), 4)
    helps = losses[1] < losses[0]
    facts = {
        "queries": len(names) if helps else 0,
        "graded": len(names),
        "pairs": int(own.sum()),
        "spread": spread,
        "left_out": {
            "log_loss": {"before": round(losses[0], 6), "after": round(losses[1], 6)},
            "quadratic_kappa": {"before": round(kappas[0], 6), "after": round(kappas[1], 6)},
        },
    }
    return dict(zip(names.tolist(), shifts.tolist(), strict=True)) if helps else {}, facts


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
