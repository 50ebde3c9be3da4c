"""Whether a new labeler becomes the champion: finds the rival, compares, records the decision.

A candidate need not be better than the best version so far, it must not be worse by more
than a margin that was fixed beforehand: non-inferiority (Piaggio et al., 2012), on the same
pairs of the same frozen benchmark, by query, in quadratic kappa. The test is that of the report
(`evaluation.agreement.estimates`); how often it errs is in docs/results/coverage.md.
"""

import logging
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from relevance_distillery import model_registry
from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation import graders
from relevance_distillery.evaluation.agreement.estimates import Difference, Options, compare
from relevance_distillery.evaluation.agreement.graded_pairs import GradedPairs, pairs_of
from relevance_distillery.evaluation.agreement.measurement import FEW_QUERIES
from relevance_distillery.evaluation.agreement.metrics import PRIMARY, primary
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.learning.document_grades import KEY
from relevance_distillery.reporting.benchmark_agreement import of_benchmark, options_of
from relevance_distillery.reporting.settings import ReportingParameters

logger = logging.getLogger(__name__)

CHAMPION = "champion"

Mode = Literal["auto", "manual"]


@dataclass(frozen=True)
class Decision:
    """What happens to a version, and why.

    Attributes:
        promote: The version becomes the champion.
        reason: One sentence for people, also a tag of the version.
        rival: The version that it was compared with; empty when there was none.
        comparison: Candidate minus rival in quadratic kappa; None without a comparison.
    """

    promote: bool
    reason: str
    rival: str = ""
    comparison: Difference | None = None


def compare_kappa(
    candidate: GradedPairs, rival: GradedPairs, scale: GradeScale, options: Options | None = None
) -> Difference:
    """Candidate minus rival in quadratic kappa with its 95 % interval and its tests.

    Raises:
        ValueError: The two do not hold the same pairs.
    """
    if not candidate.same_pairs(rival):
        raise ValueError("candidate and rival must have graded the same pairs in the same order")
    both = [{PRIMARY: primary(side, scale)} for side in (candidate, rival)]
    # The decision is at 95 %, whatever the level of the report's intervals.
    return compare(both[0], both[1], replace(options or Options(), level=0.95))[PRIMARY]


def decide(
    mode: Mode,
    has_champion: bool,
    comparison: Difference | None = None,
    rival: str = "",
    margin: float = 0.03,
    reservation: str = "",
) -> Decision:
    """Decide whether a version becomes the champion; the reason states the figures.

    `comparison` is with the best version so far, the `rival`, at this margin, None when none could
    be compared; `reservation` says why a champion is not replaced without a person, if so.
    """
    if comparison is None:
        known = Decision(False, "the champion could not be compared with it", rival)
    else:
        good = comparison.conclusion in ("superior", "non-inferior")
        known = Decision(good, _sentence(comparison, rival, margin), rival, comparison)
    if mode == "manual":
        return replace(known, promote=False, reason="promotion is manual: a person decides")
    if not has_champion:
        unproven = f" ({reservation}: nothing is proven)" if reservation else ""
        return replace(known, promote=True, reason=f"there was no champion{unproven}")
    if reservation:
        return replace(known, promote=False, reason=f"{reservation}: a person decides")
    return known


_VERDICTS = {
    "superior": "superior: better than version {rival}, and so not worse by {margin:g} or more",
    "non-inferior": "non-inferior: not worse than version {rival} by {margin:g} or more",
    "inferior": "inferior: worse than version {rival} by more than {margin:g}",
    "open": "may be worse than version {rival} by {margin:g} or more",
}


def _sentence(comparison: Difference, rival: str, margin: float) -> str:
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


def promote(
    registration: dict[str, Any],
    grades: pd.DataFrame,
    pairs: pd.DataFrame,
    benchmark: Benchmark,
    agreement: dict[str, Any],
    cost: dict[str, Any],
    parameters: ReportingParameters,
) -> dict[str, Any]:
    """Decide, move the alias where the decision says so, tag the version.

    The rival is the version with the best quadratic kappa among those that were measured on
    this very benchmark (the digest is a tag), else the champion; it grades the benchmark
    again, so that both are compared pair by pair.

    Returns:
        The decision with its figures, for the report.

    Raises:
        UserError: The labeler has no registered version.
    """
    if not registration.get("version"):
        raise UserError("the labeler has no registered version: run `kedro run --pipeline=distill`")
    grades, pairs = of_benchmark(grades, benchmark), of_benchmark(pairs, benchmark)
    name, version = str(registration["name"]), str(registration["version"])
    digest = str(agreement["benchmark"]["digest"])
    champion = model_registry.get_alias(name, CHAMPION)
    mode, margin = parameters.promotion, parameters.margin
    rival = None if mode == "manual" else _rival(name, version, digest, champion)
    if champion == version:
        decision = Decision(False, "it is the champion already")
    else:
        earlier = None if rival is None else _grades_of(name, rival, pairs, grades)
        comparison = None
        if earlier is not None:
            comparison = compare_kappa(
                pairs_of(grades, "student"),
                pairs_of(grades.assign(student_grade=earlier), "student"),
                benchmark.scale,
                options_of(parameters),
            )
        reservation = _reservation(name, champion, agreement["benchmark"])
        decision = decide(mode, champion is not None, comparison, rival or "", margin, reservation)
    promoted = decision.promote
    if promoted:
        model_registry.set_alias(name, CHAMPION, version)
    against = decision.comparison or Difference(Interval(np.nan), np.nan, np.nan)
    result = {
        "name": name,
        "version": version,
        "promoted": promoted,
        "champion": version if promoted else (champion or ""),
        "reason": decision.reason,
        "mode": mode,
        "margin": margin,
        "rival": decision.rival,
        "difference": number(against.interval.estimate),
        "low": number(against.interval.low),
        "high": number(against.interval.high),
        "conclusion": against.conclusion or "",
        "p_non_inferior": number(against.p_non_inferior),
        "p": number(against.p),
        "benchmark_digest": digest,
    }
    model_registry.set_version_tags(name, version, _tags(result, agreement, cost))
    logger.info("version %s of %s: %s", version, name, decision.reason)
    return result


def _reservation(name: str, champion: str | None, benchmark: dict[str, Any]) -> str:
    """Why the figures on this benchmark do not allow to replace the champion; empty if they do."""
    if benchmark["queries"] < FEW_QUERIES:
        return f"{benchmark['queries']} queries are fewer than {FEW_QUERIES}"
    if champion is not None:
        tags = model_registry.get_version_tags(name, champion)
        # A trial is measured on a part of what a run on everything is measured on.
        digest, named = tags.get("benchmark_digest"), tags.get("benchmark", "unnamed")
        same = named == benchmark["name"]
        outgrown = same and "trial_limit" in tags and benchmark.get("limit") is None
        if digest not in (None, benchmark["digest"]) and not outgrown:
            where = "other pairs of the benchmark" if same else "another benchmark"
            return f"version {champion}, the champion, was measured on {where} ({named})"
    return ""


def _rival(name: str, version: str, digest: str, champion: str | None) -> str | None:
    """The best version so far on this benchmark, the champion where none was measured on it."""
    best, best_kappa = champion, -np.inf
    for other in model_registry.list_versions(name):
        if other["version"] == version:
            continue
        tags = model_registry.get_version_tags(name, other["version"])
        if tags.get("benchmark_digest") != digest:
            continue
        try:
            kappa = float(tags.get(PRIMARY, "nan"))
        except ValueError:
            continue
        if kappa > best_kappa:
            best, best_kappa = other["version"], kappa
    return best


def _grades_of(
    name: str, version: str, pairs: pd.DataFrame, documents: pd.DataFrame
) -> pd.Series | None:
    """Grades of an earlier version for the documents, in their order; None if it cannot grade."""
    try:
        labeler = Labeler.load(flavor.load_registered(name, version))
    except UserError as error:
        logger.warning("version %s of %s cannot be compared: %s", version, name, error)
        return None
    graded = graders.grade_with_student(labeler, pairs)
    return documents[KEY].merge(graded, on=KEY, how="left", validate="one_to_one")["student_grade"]


def _tags(
    result: dict[str, Any], agreement: dict[str, Any], cost: dict[str, Any]
) -> dict[str, str]:
    own = agreement["judges"].get("student", {}).get(PRIMARY, {})
    decision = ("reason", "rival", "difference", "low", "high", "margin", "conclusion")
    tags = {
        "benchmark": agreement["benchmark"]["name"],
        "benchmark_digest": result["benchmark_digest"],
        "benchmark_human": agreement["benchmark"]["human"],
        "trial_limit": agreement["benchmark"].get("limit"),
        PRIMARY: own.get("estimate"),
        f"{PRIMARY}_low": own.get("low"),
        f"{PRIMARY}_high": own.get("high"),
        "pairs_per_second": cost["judges"]["student"]["pairs_per_second"],
        "promotion": "promoted" if result["promoted"] else "not promoted",
        **{f"promotion_{name}": result[name] for name in (*decision, "p_non_inferior", "p")},
    }
    return {key: str(value) for key, value in tags.items() if value not in (None, "")}
