"""Which version is the champion: looks up the rival, compares, writes the decision down."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation import graders
from relevance_distillery.evaluation.agreement.graded_pairs import (
    GradedPairs,
    query_numbers,
    weights_of,
)
from relevance_distillery.evaluation.agreement.metrics import PRIMARY
from relevance_distillery.evaluation.promotion import Decision, compare_kappa, decide
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.pipelines.reporting.parameters import ReportingParameters

logger = logging.getLogger(__name__)

CHAMPION = "champion"


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
    """
    from relevance_distillery.labeler import flavor

    name, version = str(registration["name"]), str(registration["version"])
    digest = str(agreement["benchmark"]["digest"])
    champion = flavor.get_alias(name, CHAMPION)
    rival = None if parameters.promotion == "manual" else _rival(name, version, digest, champion)
    if champion == version:
        decision = Decision(False, "it is the champion already", parameters.margin)
    else:
        earlier = None if rival is None else _grades_of(name, rival, pairs)
        comparison = None
        if earlier is not None:
            comparison = compare_kappa(
                _graded(grades, grades["student_grade"]),
                _graded(grades, earlier),
                benchmark.scale,
                parameters.resamples,
                parameters.permutations,
                parameters.seed,
                parameters.margin,
            )
        decision = decide(
            parameters.promotion, champion is not None, comparison, rival or "", parameters.margin
        )
    promoted, reason = decision.promote, decision.reason
    if promoted:
        flavor.set_alias(name, CHAMPION, version)
    result = {
        "name": name,
        "version": version,
        "promoted": promoted,
        "champion": version if promoted else (champion or ""),
        "reason": reason,
        "mode": parameters.promotion,
        "margin": decision.margin,
        "rival": decision.rival,
        "difference": number(decision.estimate),
        "low": number(decision.low),
        "high": number(decision.high),
        "conclusion": decision.conclusion,
        "p_non_inferior": number(decision.p_non_inferior),
        "p": number(decision.p),
        "benchmark_digest": digest,
    }
    flavor.set_version_tags(name, version, _tags(result, agreement, cost))
    logger.info("version %s of %s: %s", version, name, reason)
    return result


def _rival(name: str, version: str, digest: str, champion: str | None) -> str | None:
    """The best version so far on this benchmark, the champion where none was measured on it."""
    from relevance_distillery.labeler import flavor

    best, best_kappa = champion, -np.inf
    for other in flavor.list_versions(name):
        if other["version"] == version:
            continue
        tags = flavor.get_version_tags(name, other["version"])
        if tags.get("benchmark_digest") != digest:
            continue
        try:
            kappa = float(tags.get(PRIMARY, "nan"))
        except ValueError:
            continue
        if kappa > best_kappa:
            best, best_kappa = other["version"], kappa
    return best


def _grades_of(name: str, version: str, pairs: pd.DataFrame) -> pd.Series | None:
    """Document grades of an earlier version in the order of the benchmark's documents."""
    from relevance_distillery.labeler import flavor

    try:
        labeler = Labeler.load(flavor.load_registered(name, version))
    except UserError as error:
        logger.warning("version %s of %s cannot be compared: %s", version, name, error)
        return None
    graded = graders.grade_with_student(labeler, pairs)
    return graded["student_grade"]


def _graded(grades: pd.DataFrame, judge: pd.Series) -> GradedPairs:
    query, queries = query_numbers(grades)
    return GradedPairs(
        human=grades["human"].to_numpy(dtype=np.int64),
        judge=judge.to_numpy(dtype=np.float64),
        query=query,
        queries=queries,
        weight=weights_of(grades, np.ones(len(grades), dtype=bool)),
    )


def _tags(
    result: dict[str, Any], agreement: dict[str, Any], cost: dict[str, Any]
) -> dict[str, str]:
    student = agreement["judges"].get("student", {})
    tags = {
        "benchmark": agreement["benchmark"]["name"],
        "benchmark_digest": result["benchmark_digest"],
        "benchmark_human": agreement["benchmark"]["human"],
        PRIMARY: student.get(PRIMARY, {}).get("estimate"),
        f"{PRIMARY}_low": student.get(PRIMARY, {}).get("low"),
        f"{PRIMARY}_high": student.get(PRIMARY, {}).get("high"),
        "pairs_per_second": cost["judges"]["student"]["pairs_per_second"],
        "promotion": "promoted" if result["promoted"] else "not promoted",
        "promotion_reason": result["reason"],
        "promotion_rival": result["rival"],
        "promotion_difference": result["difference"],
        "promotion_low": result["low"],
        "promotion_high": result["high"],
        "promotion_margin": result["margin"],
        "promotion_conclusion": result["conclusion"],
        "promotion_p_non_inferior": result["p_non_inferior"],
        "promotion_p": result["p"],
    }
    return {key: str(value) for key, value in tags.items() if value not in (None, "")}
