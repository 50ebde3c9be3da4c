"""Where one grade ends and the next begins, chosen without a single human grade.

Two samples of pairs anchor the scale: random pairs, nearly all of which are irrelevant, and
seed pairs, a query with the passage that it was written from, nearly all of which are
relevant. A grade's threshold is a quantile of one of them.
"""

import logging
import math
import re

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale

MIN_SEED_PAIRS = 20  # with fewer seeded queries than this, pseudo-queries are made from passages
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def seed_pairs(
    queries: pd.DataFrame, passages: pd.DataFrame, limit: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, bool]:
    """Queries with the passage that they were written from.

    Where too few queries have a seed, as with a real query log, pseudo-queries are made: a
    passage's title, or else its first sentence, becomes a query for the rest (the inverse
    cloze task of Lee, Chang and Toutanova, 2019), or half of a passage of one sentence.
    UserError where no passage has a word.

    Returns:
        At most `limit` pairs with `PAIR_COLUMNS`, and true where they are pseudo-queries.
    """
    known = queries["passage_id"].astype(object).isin(passages["passage_id"])
    seeded = queries[known & (queries["passage_id"] != "")]
    if len(seeded) >= MIN_SEED_PAIRS:
        chosen = _draw(seeded, limit, rng)
        return build_pairs(chosen[["query_id", "passage_id"]], queries, passages), False
    pseudo = _draw(passages, limit, rng).reset_index(drop=True)
    asked = list(map(_cloze, pseudo["title"], pseudo["text"]))
    pseudo["query_id"] = [f"pseudo-{row}" for row in range(len(pseudo))]
    for place, name in enumerate(("query", "title", "text")):
        pseudo[name] = [parts[place] for parts in asked]
    pseudo["is_seed"] = pseudo["in_seed_document"] = True
    pseudo = pseudo[pseudo["query"].str.strip() != ""].reset_index(drop=True)
    if pseudo.empty:
        raise UserError("The passages table has no text: run `kedro run --pipeline=synthesize`.")
    return pseudo, True


def random_pairs(
    seeds: pd.DataFrame, passages: pd.DataFrame, count: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Queries of the seed pairs with passages of other documents, drawn at random.

    Pairs with `PAIR_COLUMNS`: of `count` those that are not of the query's own document. UserError
    where the corpus has one document only.
    """
    if passages["document_id"].nunique() < 2:
        raise UserError(
            "judge=embedded needs at least two documents to tell related from unrelated; "
            "the corpus has one: add documents, or choose another judge."
        )
    asking = seeds.iloc[rng.integers(len(seeds), size=count)].reset_index(drop=True)
    drawn = passages.iloc[rng.integers(len(passages), size=count)].reset_index(drop=True)
    pairs = drawn.assign(query_id=asking["query_id"], query=asking["query"])
    pairs["is_seed"] = pairs["in_seed_document"] = False
    other = asking["document_id"].to_numpy() != drawn["document_id"].to_numpy()
    if not other.any():
        return random_pairs(seeds, passages, count * 10, rng)
    return pairs[other].reset_index(drop=True)


def _draw(table: pd.DataFrame, limit: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most `limit` rows, in the order of the table."""
    if len(table) <= limit:
        return table
    return table.iloc[np.sort(rng.choice(len(table), size=limit, replace=False))]


def _cloze(title: str, text: str) -> tuple[str, str, str]:
    """(query, remaining title, remaining text) of a passage."""
    if title.strip() and text.strip():
        return title.strip(), "", text
    whole = title.strip() or text.strip()
    first, *rest = _SENTENCE_END.split(whole, maxsplit=1)
    if rest and rest[0].strip():
        return first, "", rest[0]
    words = whole.split()
    return " ".join(words[: (len(words) + 1) // 2]), "", whole


logger = logging.getLogger(__name__)

MIN_GAP = 0.01  # smallest distance of two thresholds, in standard deviations of the score


def choose_thresholds(
    random: np.ndarray,
    seeds: np.ndarray,
    scale: GradeScale,
    *,
    related: float,
    relevant: float,
    perfect: float,
) -> np.ndarray:
    """Score thresholds between neighbouring grades.

    With four grades, relevant from the third: the first threshold is the `related` quantile
    of random pairs, the second the `relevant` and the third the `perfect` quantile of seed
    pairs. On another scale the thresholds below the first relevant grade are spread evenly
    in score between the first two anchors, those above it evenly in quantile between the
    last two; a scale without an irrelevant-but-related grade has no use for `related`
    except that no threshold lies below that anchor. Scores are of any number of pairs above 0.

    Returns:
        Shape (grades − 1,), strictly increasing; a pair has at least the grade at position
        g when its score reaches threshold g − 1.
    """
    first_relevant = int(scale.positions([scale.relevant_from])[0])
    floor = float(np.quantile(random, related))
    shares = np.linspace(relevant, perfect, scale.size - first_relevant)
    upper = np.quantile(seeds, shares)
    if upper[0] <= floor:
        logger.warning(
            "the embedded judge tells seed pairs from random ones badly: the scores of both "
            "overlap, so its grades mean little on this corpus"
        )
    upper = np.maximum(upper, floor + (MIN_GAP if first_relevant > 1 else 0.0))
    lower = np.linspace(floor, upper[0], first_relevant)[:-1]
    thresholds = np.concatenate([lower, upper])
    for at in range(1, thresholds.size):
        thresholds[at] = max(thresholds[at], thresholds[at - 1] + MIN_GAP)
    return thresholds


def noise_scale(first: np.ndarray, second: np.ndarray, weights: tuple[float, float]) -> float:
    """Scale of a logistic distribution: the error of a score, the weighted mean of two signals.

    Classical test theory (Lord and Novick, 1968): two standardised measurements of the same
    thing, each with its own independent error, differ by the sum of both errors. So the
    error variance of each is half the variance of their difference. Both signals are
    standardised, of the same pairs, shape (pairs,).
    """
    share = np.array(weights) / sum(weights)
    variance = float((share**2).sum() * np.var(first - second) / 2)
    return max(math.sqrt(3 * variance) / math.pi, MIN_GAP)


def grade_probabilities(scores: np.ndarray, thresholds: np.ndarray, tau: float) -> np.ndarray:
    """Probability of every grade by cumulative logits (McCullagh, 1980).

    Scores have shape (pairs,), increasing thresholds (grades − 1,) and the result (pairs, grades);
    `tau` is the scale of the logistic error. Rows sum to 1 and are rounded to four digits, so that
    noise of floating-point arithmetic does not show.
    """
    reach = np.clip((scores[:, None] - thresholds[None, :]) / tau, -50, 50)
    at_least = np.round(1 / (1 + np.exp(-reach)), 4)
    cumulative = np.pad(at_least, [(0, 0), (1, 1)])
    cumulative[:, 0] = 1.0
    return np.round(cumulative[:, :-1] - cumulative[:, 1:], 4)


def median_position(probabilities: np.ndarray) -> np.ndarray:
    """Position of the median grade, shape (pairs,), of probabilities of shape (pairs, grades)."""
    at_least = np.round(np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1], 4)
    return (at_least[:, 1:] >= 0.5).sum(axis=1).astype(np.int64)
