"""Whether a new labeler takes the place of the one in use: a decision with its figures.

A candidate need not be better than the best version so far, it must not be worse by more
than a margin that was fixed beforehand: non-inferiority (Piaggio et al., 2012), on the same
pairs of the same frozen benchmark, by query, in quadratic kappa.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from relevance_distillery.evaluation.agreement.confusion import confusion_by_query
from relevance_distillery.evaluation.agreement.metrics import PRIMARY, GradedPairs, pooled
from relevance_distillery.evaluation.statistics.bootstrap import Interval, difference, interval
from relevance_distillery.grading import GradeScale


@dataclass(frozen=True)
class Decision:
    """What happens to a version, and why.

    Attributes:
        promote: The version becomes the champion.
        reason: One sentence for people, also a tag of the version.
        margin: How much worse it might have been.
        rival: The version that it was compared with; empty when there was none.
        estimate, low, high: Candidate minus rival in quadratic kappa; nan without a rival.
    """

    promote: bool
    reason: str
    margin: float
    rival: str = ""
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")


def kappa_difference(
    candidate: GradedPairs,
    rival: GradedPairs,
    scale: GradeScale,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Candidate minus rival in quadratic kappa with its 95 % interval, resampling queries.

    Args:
        candidate: Grades of the candidate.
        rival: Grades of the rival for the same pairs in the same order.
        scale: The grades.
        resamples: How many times queries are drawn.
        seed: Seed of the draws.

    Raises:
        ValueError: The two do not hold the same pairs.
    """
    same = np.array_equal(candidate.query, rival.query) and np.array_equal(
        candidate.human, rival.human
    )
    if not same:
        raise ValueError("candidate and rival must have graded the same pairs in the same order")
    both = [
        pooled(
            PRIMARY,
            confusion_by_query(
                side.human,
                side.judge.astype(np.int64),
                side.query,
                side.queries,
                scale,
                side.weight,
            ),
            scale,
        )
        for side in (candidate, rival)
    ]
    return interval(difference(both[0], both[1]), resamples, seed)


def decide(
    mode: Literal["auto", "manual"],
    has_champion: bool,
    comparison: Interval | None = None,
    rival: str = "",
    margin: float = 0.03,
) -> Decision:
    """Decide whether a version becomes the champion.

    Args:
        mode: `manual` leaves every promotion to a person.
        has_champion: Some version is the champion already.
        comparison: Candidate minus the best version so far in quadratic kappa; None when no
            version could be compared.
        rival: Name of that version.
        margin: The largest loss in quadratic kappa that does not matter.

    Returns:
        The decision; its reason states the figures that it rests on.
    """
    figures = (
        (comparison.estimate, comparison.low, comparison.high)
        if comparison is not None
        else (float("nan"),) * 3
    )
    if mode == "manual":
        reason = "promotion is manual: a person decides"
        return Decision(False, reason, margin, rival, *figures)
    if not has_champion:
        return Decision(True, "there was no champion", margin, rival, *figures)
    if comparison is None:
        return Decision(False, "the champion could not be compared with it", margin, rival)
    estimate, low, high = figures
    if not np.isfinite(low):
        reason = (
            f"its difference from version {rival} has no interval on this benchmark "
            "(too few queries or one grade only)"
        )
        return Decision(False, reason, margin, rival, *figures)
    promote = low > -margin
    verdict = "not worse" if promote else "may be worse"
    reason = (
        f"{verdict} than version {rival} by more than {margin:g} in quadratic kappa: "
        f"difference {estimate:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}"
    )
    return Decision(promote, reason, margin, rival, *figures)
