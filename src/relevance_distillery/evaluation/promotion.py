"""Whether a new labeler takes the place of the one in use: a decision with its figures.

A candidate need not be better than the best version so far, it must not be worse by more
than a margin that was fixed beforehand: non-inferiority (Piaggio et al., 2012), on the same
pairs of the same frozen benchmark, by query, in quadratic kappa. The test is that of the report
(`statistics.comparison`); how often it errs is in docs/results/coverage.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from relevance_distillery.evaluation.agreement.estimates import Difference, compare
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs
from relevance_distillery.evaluation.agreement.metrics import PRIMARY, counts_by_query, pooled
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
        conclusion: superior, non-inferior, inferior or open; empty without a comparison.
        p_non_inferior: One-sided p-value of a loss of the margin or more; nan without one.
        p: Two-sided p-value of no difference; nan without a rival.
    """

    promote: bool
    reason: str
    margin: float
    rival: str = ""
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    conclusion: str = ""
    p_non_inferior: float = float("nan")
    p: float = float("nan")


def compare_kappa(
    candidate: GradedPairs,
    rival: GradedPairs,
    scale: GradeScale,
    resamples: int = 1000,
    permutations: int = 2000,
    seed: int = 0,
    margin: float = 0.03,
) -> Difference:
    """Candidate minus rival in quadratic kappa with its 95 % interval and its tests.

    Args:
        candidate: Grades of the candidate.
        rival: Grades of the rival for the same pairs in the same order.
        scale: The grades.
        resamples: How many times queries are drawn.
        permutations: How many random swaps the two-sided p-value takes.
        seed: Seed of both.
        margin: The largest loss that does not matter.

    Raises:
        ValueError: The two do not hold the same pairs.
    """
    same = np.array_equal(candidate.query, rival.query) and np.array_equal(
        candidate.human, rival.human
    )
    if not same:
        raise ValueError("candidate and rival must have graded the same pairs in the same order")
    both = [
        {PRIMARY: pooled(PRIMARY, counts_by_query(side, scale), scale)}
        for side in (candidate, rival)
    ]
    return compare(both[0], both[1], resamples, permutations, seed, margin)[PRIMARY]


def decide(
    mode: Literal["auto", "manual"],
    has_champion: bool,
    comparison: Difference | None = None,
    rival: str = "",
    margin: float = 0.03,
) -> Decision:
    """Decide whether a version becomes the champion.

    Args:
        mode: `manual` leaves every promotion to a person.
        has_champion: Some version is the champion already.
        comparison: Candidate minus the best version so far in quadratic kappa, tested at this
            margin; None when no version could be compared.
        rival: Name of that version.
        margin: The largest loss in quadratic kappa that does not matter.

    Returns:
        The decision; its reason states the figures that it rests on.
    """
    if comparison is None:
        known = Decision(False, "the champion could not be compared with it", margin, rival)
    else:
        known = Decision(
            promote=comparison.conclusion in ("superior", "non-inferior"),
            reason=_words(comparison, rival, margin),
            margin=margin,
            rival=rival,
            estimate=comparison.interval.estimate,
            low=comparison.interval.low,
            high=comparison.interval.high,
            conclusion=comparison.conclusion or "",
            p_non_inferior=comparison.p_non_inferior,
            p=comparison.p,
        )
    if mode == "manual":
        return replace(known, promote=False, reason="promotion is manual: a person decides")
    if not has_champion:
        return replace(known, promote=True, reason="there was no champion")
    return known


_VERDICTS = {
    "superior": "superior: better than version {rival}, and so not worse by {margin:g} or more",
    "non-inferior": "non-inferior: not worse than version {rival} by {margin:g} or more",
    "inferior": "inferior: worse than version {rival} by more than {margin:g}",
    "open": "may be worse than version {rival} by {margin:g} or more",
}


def _words(comparison: Difference, rival: str, margin: float) -> str:
    found = comparison.interval
    if comparison.conclusion is None:
        return (
            f"its difference from version {rival} has no interval on this benchmark "
            "(too few queries or one grade only)"
        )
    verdict = _VERDICTS[comparison.conclusion].format(rival=rival, margin=margin)
    return (
        f"{verdict} in quadratic kappa: difference {found.estimate:+.3f}, 95 % interval "
        f"{found.low:+.3f} to {found.high:+.3f}, {_p(comparison.p_non_inferior)} of "
        f"non-inferiority, {_p(comparison.p)} of no difference"
    )


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
