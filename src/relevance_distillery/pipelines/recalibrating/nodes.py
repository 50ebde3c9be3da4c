"""Grades of a new collection become a labeler that fits it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.text_sources import TextSources
from relevance_distillery.pipelines.recalibrating.parameters import RecalibratingParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.scoring.graders import GraderShelf, called
from relevance_distillery.scoring.pairs_file import GivenPairs

if TYPE_CHECKING:
    from relevance_distillery.labeler.inference import Labeler
    from relevance_distillery.labeler.recalibration import Recalibrated

logger = logging.getLogger(__name__)


def recalibrate_labeler(
    graders: GraderShelf,
    judgments: Benchmark,
    pairs: GivenPairs,
    texts: TextSources,
    stored_queries: pd.DataFrame,
    stored_passages: pd.DataFrame,
    synthesis: SynthesisParameters,
    parameters: RecalibratingParameters,
) -> tuple[dict[str, Any], Path]:
    """Fit calibration and cut points to people's grades, or to expected shares of grades.

    Judgments have the kind `held_out` where none are given; pairs are those without grades, for
    `prior`; texts, the documents that a user named. The stored tables are the last run's, maybe
    without rows; `synthesis` says how documents are split into passages.

    Returns:
        The content of recalibration.json, and the folder of the labeler that it starts from.

    Raises:
        UserError: Neither grades nor shares are given, or both; they do not fit the labeler;
            or they are too few to tell anything.
    """
    from relevance_distillery.evaluation.recalibration_pairs import judged_pairs
    from relevance_distillery.labeler.recalibration import as_graded, recalibrate, rules_of

    graded = judgments.kind != "held_out"
    _check(graded, pairs, parameters)
    labeler, source = graders.find_labeler(parameters.labeler)
    # Early scores leave out the upper layers, and new cuts ask anew which pairs are clear.
    labeler.facts = labeler.facts.model_copy(update={"early_exit": None})
    assert labeler.folder is not None
    if graded:
        chosen = judged_pairs(
            judgments,
            labeler,
            texts,
            stored_queries,
            stored_passages,
            synthesis.split,
            synthesis.reading.model_dump(),
        )
        found = recalibrate(
            as_graded(labeler, chosen), rules_of(labeler), parameters.prior_pairs, parameters.seed
        )
    else:
        found = _by_shares(labeler, pairs, parameters)
    facts = {
        "labeler": source,
        "judgments": [one.name for one in judgments.everything] if graded else [],
        **found.facts,
        "helps": found.helps,
        "link": found.link.model_dump(mode="json"),
        "cut_points": {"before": list(labeler.facts.cut_points), "after": list(found.cut_points)},
        "shifts": found.shifts,
    }
    return facts, labeler.folder


def write_labeler(
    recalibration: dict[str, Any], source: Path, parameters: RecalibratingParameters
) -> Path:
    """The labeler with its new calibration, where that helps.

    Raises:
        UserError: Cross-fitted over queries it does not; recalibration.json has the figures.
    """
    from relevance_distillery.labeler.artifact import ARTIFACT_NAME, copy_artifact, read_facts
    from relevance_distillery.labeler.calibration import Link

    if not recalibration["helps"]:
        raise UserError(
            f"recalibration does not help {called(recalibration['labeler'])} on "
            f"{_compared(recalibration)}; no new version was made, give more grades or keep the "
            "labeler as it is"
        )
    left_out = ("link", "cut_points", "judgments", "shifts")
    facts = {name: value for name, value in recalibration.items() if name not in left_out}
    before = read_facts(source)
    # New ones were fitted on top of those that the labeler had.
    shifts = {
        name: round(before.query_shifts.get(name, 0.0) + shift, 4)
        for name, shift in recalibration["shifts"].items()
    }
    return copy_artifact(
        source,
        Path(parameters.workspace) / ARTIFACT_NAME,
        calibration=Link.model_validate(recalibration["link"]),
        cut_points=tuple(recalibration["cut_points"]["after"]),
        query_shifts=before.query_shifts | shifts,
        # These were fitted to the old calibration.
        early_exit=None,
        second_pass=None,
        training={**before.training, "recalibration": facts},
    )


def register_labeler(
    labeler: Path, recalibration: dict[str, Any], parameters: RecalibratingParameters
) -> dict[str, str]:
    """Register the labeler with the alias `challenger`, and say what was gained.

    Returns:
        {"name", "version", "run_id", "digest"}.
    """
    from relevance_distillery.labeler import flavor

    source = recalibration["labeler"]
    tags = {
        "recalibrated_from": source["version"] or source["name"],
        "recalibrated_from_digest": source["digest"],
        "recalibrated_by": recalibration["method"],
        "recalibrated_on": "; ".join(recalibration["judgments"]),
        "recalibration_pairs": recalibration["pairs"],
        "recalibration_queries": recalibration.get("queries", ""),
        "recalibration_shifted_queries": len(recalibration["shifts"]) or "",
        "recalibration_prior": ";".join(f"{share:g}" for share in recalibration.get("prior", [])),
    }
    metrics = {"recalibration.pairs": float(recalibration["pairs"])}
    for name in ("log_loss", "quadratic_kappa"):
        for when, value in recalibration.get("cross_fitted", {}).get(name, {}).items():
            metrics[f"recalibration.{name}_{when}"] = float(value)
    registered = flavor.log_and_register(
        labeler,
        parameters.registered_name,
        {name: str(value) for name, value in tags.items() if value != ""},
        metrics,
    )
    logger.info(
        "%s recalibrated on %s; version %s of %s is the challenger",
        called(recalibration["labeler"]),
        _compared(recalibration),
        registered["version"],
        registered["name"],
    )
    return registered


def _compared(recalibration: dict[str, Any]) -> str:
    """What it was fitted to, and what changes."""
    if recalibration["method"] == "grades":
        found = recalibration["cross_fitted"]
        kappa, loss = found["quadratic_kappa"], found["log_loss"]
        taken = "" if loss["after"] < loss["before"] else ", not taken"
        return (
            f"{recalibration['pairs']} grades of {recalibration['queries']} queries: quadratic "
            f"kappa {kappa['before']:.3f} → {kappa['after']:.3f}, log-loss {loss['before']:.3f} → "
            f"{loss['after']:.3f} (cross-fitted over queries{taken}){_shifts_of(recalibration)}"
        )
    means = recalibration["mean_probabilities"]
    shares = [";".join(f"{p:.2f}" for p in means[when]) for when in ("before", "after")]
    return (
        f"{recalibration['pairs']} pairs without grades: mean probabilities {shares[0]} → "
        f"{shares[1]}, {recalibration['changed']:.0%} of grades change"
    )


def _shifts_of(recalibration: dict[str, Any]) -> str:
    """What shifts of single queries gain, where a query has the grades for one."""
    about = recalibration["query_shifts"]
    if not about["graded"]:
        return ""
    found = about["left_out"]
    kappa, loss = found["quadratic_kappa"], found["log_loss"]
    return (
        f"; {about['queries'] or 'none'} of {about['graded']} queries with several grades shifted: "
        f"{kappa['before']:.3f} → {kappa['after']:.3f}, {loss['before']:.3f} → "
        f"{loss['after']:.3f} (each grade left out in turn)"
    )


def _check(graded: bool, pairs: GivenPairs, parameters: RecalibratingParameters) -> None:
    if graded and (parameters.prior is not None or pairs.path):
        raise UserError(
            "people's grades need neither prior nor pairs: give human_judgments, or prior and pairs"
        )
    if not graded and parameters.prior is None:
        raise UserError(
            'say what the collection is like: --params="human_judgments=PATH", or '
            '"pairs=FILE,prior=0.6;0.2;0.15;0.05", the share of each grade that you expect'
        )


def _by_shares(
    labeler: Labeler, pairs: GivenPairs, parameters: RecalibratingParameters
) -> Recalibrated:
    from relevance_distillery.labeler.expected_shares import (
        parse_shares,
        recalibrate_to_shares,
        score_sample,
    )
    from relevance_distillery.labeler.recalibration import rules_of

    assert parameters.prior is not None
    shares = parse_shares(parameters.prior, labeler.scale)
    source = pairs.open("pairs=FILE,prior=…")
    most = min(parameters.most_pairs, source.rows)
    logger.info("scoring up to %d of about %d pairs", most, source.rows)
    scores, probabilities = score_sample(
        labeler,
        (shard.texts for shard in source.shards()),
        source.rows,
        parameters.most_pairs,
        parameters.seed,
    )
    return recalibrate_to_shares(scores, probabilities, shares, rules_of(labeler))
