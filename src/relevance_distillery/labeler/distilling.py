"""From labelled pairs to a finished labeler folder: train, calibrate, decide, correct length."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from relevance_distillery.encoders.base_model import BUNDLED, BUNDLED_SHA256, resolve_model
from relevance_distillery.encoders.layers import can_stop
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.labeler.artifact import (
    ARTIFACT_NAME,
    FACTS_FILE,
    FORMAT,
    LabelerFacts,
    SecondPass,
    read_facts,
    write_facts,
)
from relevance_distillery.labeler.calibration import (
    Link,
    cut_points_like,
    fit_link_to_probabilities,
    quadratic_kappa,
)
from relevance_distillery.labeler.early_exit import fit_early_exit
from relevance_distillery.labeler.folds import HeldOutScores, train_folds
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.network import resolve_settings
from relevance_distillery.labeler.profile import PROFILE_FORMAT, make_profile, write_profile
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.learning.document_grades import fit_length_slope, unrelated_pairs
from relevance_distillery.learning.labelled_pairs import LabelledPairs, grade_counts
from relevance_distillery.learning.second_pass import (
    FEWEST_QUERIES,
    WEIGHT,
    Seen,
    second_scores,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillationData:
    """What a labeler is made from.

    Attributes:
        learn, early, calibrate: Labelled pairs of the three splits.
        queries, passages: The tables.
        taught_by: Names of the judges of the labels, for the training profile.
    """

    learn: LabelledPairs
    early: LabelledPairs
    calibrate: LabelledPairs
    queries: pd.DataFrame
    passages: pd.DataFrame
    taught_by: tuple[str, ...] = ()


def distill(
    data: DistillationData, settings: TrainingSettings, scale: GradeScale, workspace: Path
) -> tuple[Path, dict[str, Any]]:
    """Make a labeler.

    Checkpoints and the finished folder are kept in the workspace, in a folder named by everything
    that decides the result: a killed run resumes there, and a finished folder that was not taken
    away yet is returned at once.

    Returns:
        The artifact folder and the facts of training, which are also in its labeler.json.

    Raises:
        UserError: Fewer than ten queries, a single grade, a base model that does not exist
            or a loss that is not finite.
    """
    _check(data, scale)
    settings = resolve_settings(settings)
    folder = workspace / _digest(data, settings, scale)
    finished = folder / ARTIFACT_NAME
    if (finished / FACTS_FILE).is_file():
        logger.info("this labeler was already trained; taking it from %s", finished)
        return finished, read_facts(finished).training
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    assert settings.max_evaluation_pairs is not None
    early = data.early.sample(settings.max_evaluation_pairs, settings.seed)
    rows: list[dict[str, Any]] = data.passages.to_dict("records")  # type: ignore[assignment]
    draft, facts, held_out = train_folds(
        data.learn, early, data.calibrate, rows, settings, scale, folder
    )
    training = _training_facts(facts, data, early, settings, scale)
    facts = facts.model_copy(update={"training": training})
    labeler, graded = _calibrated(draft, facts, held_out, data, settings)
    assert settings.max_train_pairs is not None
    used = pd.concat([part.pairs["query"] for part in (data.learn, data.early, data.calibrate)])
    profile = make_profile(
        labeler,
        data.learn.sample(settings.max_train_pairs, settings.seed),
        early.followed_by(held_out.pairs),
        pd.concat([labeler.grade(early.pairs), graded], ignore_index=True),
        used.drop_duplicates().tolist(),
        data.taught_by,
        settings.seed,
    )
    write_profile(draft, profile)
    training = {**labeler.facts.training, "seconds": round(time.perf_counter() - started, 1)}
    write_facts(draft, labeler.facts.model_copy(update={"training": training}))
    draft.rename(finished)
    for fold in folder.glob("fold-*"):
        shutil.rmtree(fold, ignore_errors=True)
    return finished, training


def _training_facts(
    facts: LabelerFacts,
    data: DistillationData,
    early: LabelledPairs,
    settings: TrainingSettings,
    scale: GradeScale,
) -> dict[str, Any]:
    """How it was trained, for people and reports."""
    assert settings.folds is not None
    learn = data.learn.followed_by(data.calibrate) if settings.folds > 1 else data.learn
    if not facts.training["early_stopping_queries"]:
        learn = learn.followed_by(data.early)
    return {
        "base_model": facts.base_model,
        "architecture": facts.architecture,
        "train_pairs_available": len(learn),
        "train_grades": grade_counts(learn.positions, scale),
        "early_stopping_pairs": len(early) if facts.training["early_stopping_queries"] else 0,
        "recipe": settings.recipe,
        "tuning": settings.tuning,
        "settings": settings.model_dump(exclude={"base_model"}),
        **facts.training,
    }


def _calibrated(
    draft: Path,
    facts: LabelerFacts,
    held_out: HeldOutScores,
    data: DistillationData,
    settings: TrainingSettings,
) -> tuple[Labeler, pd.DataFrame]:
    """The labeler with calibration, cut points, length slope; its grades of held-out pairs."""
    assert settings.max_null_pairs is not None
    pairs = held_out.pairs
    labeler = Labeler.load(draft)
    link, cuts = _link_and_cuts(pairs, held_out.scores, facts.scale)
    facts = facts.model_copy(update={"calibration": link, "cut_points": cuts})
    if held_out.looked and not settings.early_exit:  # a pair that left early has no vector
        second = _second_pass(*held_out.looked, link.slope, facts.scale)
        facts = facts.model_copy(update={"second_pass": second})
    labeler.facts = facts
    most, seed = settings.max_null_pairs, settings.seed
    unrelated = unrelated_pairs(data.calibrate.pairs, data.queries, data.passages, most, seed)
    slope = 0.0
    if len(unrelated):
        expected_grades = labeler.grade(unrelated)["expected_grade"]
        slope = fit_length_slope(unrelated.assign(expected_grade=expected_grades))
    graded = labeler.decide(held_out.raw, held_out.scores, pairs.pairs.index)
    given = facts.scale.positions(graded["grade"].to_numpy(dtype=np.int64))
    kappa = quadratic_kappa(pairs.positions, given, facts.scale.size)
    training = {
        **facts.training,
        "calibration_pairs": len(pairs),
        "calibration_queries": int(pairs.pairs["query_id"].nunique()),
        "calibration_quadratic_kappa": round(kappa, 6),
        "null_pairs": len(unrelated),
    }
    facts = facts.model_copy(update={"length_slope": slope, "training": training})
    labeler.facts = _with_early_exit(labeler, facts, pairs.followed_by(data.early), settings)
    return labeler, graded


def _second_pass(
    pairs: LabelledPairs, seen: Seen, slope: float, scale: GradeScale
) -> SecondPass | None:
    """Calibrated as the first pass; None with too few queries of enough passages."""
    scores = second_scores(seen, slope)
    kept = ~np.isnan(scores)
    if len(np.unique(seen["query"][kept])) < FEWEST_QUERIES:
        return None
    link, cuts = _link_and_cuts(pairs.take(np.flatnonzero(kept)), scores[kept], scale)
    return SecondPass(slope=slope, weight=WEIGHT, link=link, cut_points=cuts)


def _link_and_cuts(
    pairs: LabelledPairs, scores: NDArray[np.float64], scale: GradeScale
) -> tuple[Link, tuple[float, ...]]:
    """From scores to the judge's probabilities, and cuts that give each grade as often as it."""
    link = fit_link_to_probabilities(scores, pairs.targets, np.ones(len(pairs)))
    expected = link.probabilities(scores) @ scale.values.astype(np.float64)
    return link, tuple(cut_points_like(pairs.positions, expected, scale).tolist())


def _with_early_exit(
    labeler: Labeler, facts: LabelerFacts, pairs: LabelledPairs, settings: TrainingSettings
) -> LabelerFacts:
    """The facts with the early exit that suits the pairs, where the encoder can be left."""
    model, most = labeler.model, settings.early_exit
    if not most or model.encodes_jointly or model.levels < 2 or not can_stop(model.base):
        return facts
    assert settings.max_calibration_pairs is not None
    pairs = pairs.sample(settings.max_calibration_pairs, settings.seed)
    features = labeler.features(pairs.pairs)
    with torch.inference_mode():
        scores = model.head(None, features)

    def is_lowest(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        assert facts.calibration is not None
        probabilities = facts.calibration.probabilities(scores)
        expected = probabilities @ facts.scale.values.astype(np.float64)
        return np.asarray(facts.decide(probabilities, expected) == facts.scale.values[0])

    exit_, found = fit_early_exit(
        features.cpu().double().numpy(),
        scores.cpu().double().numpy(),
        pairs.queries.astype(str).tolist(),
        int(model.base.config.num_hidden_layers),
        model.levels,
        is_lowest,
        most,
    )
    if exit_ is None:
        return facts
    logger.info(
        "%.0f %% of pairs leave after layer %d; %.1f %% of them would get a higher grade",
        100 * found["share"],
        exit_.layer,
        100 * found["wrong"],
    )
    training = {**facts.training, "early_exit": {"pairs": len(pairs), **found}}
    return facts.model_copy(update={"early_exit": exit_, "training": training})


def _check(data: DistillationData, scale: GradeScale) -> None:
    queries = data.learn.pairs["query_id"].nunique()
    if queries < 10:
        raise UserError(
            f"labels: {queries} queries are left for training, at least 10 are needed; mine "
            "and label more queries, or look at exclusions.json for what was kept out"
        )
    grades = sorted(set(data.learn.positions.tolist()))
    if len(grades) < 2:
        only = scale.grades[grades[0]].value
        raise UserError(
            f"labels: every training pair has grade {only}, so there is nothing to learn; "
            "check the judge and the candidates"
        )
    for name, part in (("early_stopping", data.early), ("calibration", data.calibrate)):
        if len(part) == 0:
            raise UserError(f"labels: no pairs are left for the {name} split; label more queries")


def _digest(data: DistillationData, settings: TrainingSettings, scale: GradeScale) -> str:
    """Names the workspace: changes with everything that decides the labeler."""
    source = resolve_model(settings.base_model)
    if settings.base_model == BUNDLED:
        weights = BUNDLED_SHA256
    else:
        weights = folder_digest(Path(source)) if Path(source).is_dir() else source
    facts: Mapping[str, Any] = {
        "format": FORMAT,
        "profile": PROFILE_FORMAT,
        "taught_by": data.taught_by,
        "weights": weights,
        "scale": scale.digest,
        "settings": settings.model_dump(exclude={"base_model"}),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for part in (data.learn, data.early, data.calibrate):
        hashes = pd.util.hash_pandas_object(part.pairs.astype(str), index=False).to_numpy()
        digest.update(hashes.tobytes())
        digest.update(np.round(part.targets, 6).tobytes())
        digest.update(part.positions.tobytes())
    texts = data.passages[["passage_id", "text"]].astype(str)
    digest.update(pd.util.hash_pandas_object(texts, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]
