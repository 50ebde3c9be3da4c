"""From labelled pairs to a finished labeler folder: train, calibrate, decide, correct length."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.artifact import (
    ARTIFACT_NAME,
    FACTS_FILE,
    FORMAT,
    LabelerFacts,
    folder_digest,
    public_name,
    read_facts,
    write_artifact,
    write_facts,
)
from relevance_distillery.labeler.base import (
    BUNDLED,
    BUNDLED_SHA256,
    fitting_length,
    is_decoder,
    resolve_model,
)
from relevance_distillery.labeler.calibration import (
    cross_fitted,
    fit_calibration,
    fit_cut_points,
    kappa_of_positions,
    midpoints,
)
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.length import fit_length_slope
from relevance_distillery.labeler.model import PairModel, load_backbone, resolve_architecture
from relevance_distillery.labeler.null import null_pairs
from relevance_distillery.labeler.pairs import LabelledPairs
from relevance_distillery.labeler.profile import PROFILE_FORMAT, TrainingProfile, write_profile
from relevance_distillery.labeler.profiling import make_profile
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.labeler.template import InputTemplate, load_tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillationData:
    """What a labeler is made from.

    Attributes:
        learn, early, calibrate: Labelled pairs of the three splits.
        queries: Columns query_id, text.
        passages: The passages table; for token weights and for null pairs.
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

    Args:
        data: Splits and texts.
        settings: What the user turned.
        scale: The grades.
        workspace: Where checkpoints and the finished folder are kept, in a folder named by
            everything that decides the result: a killed run resumes there, and a finished
            folder that was not taken away yet is returned at once.

    Returns:
        The artifact folder and the facts of training, which are also in its labeler.json.

    Raises:
        UserError: Fewer than ten queries, a single grade, a base model that does not exist
            or a loss that is not finite.
    """
    _check(data, scale)
    source = resolve_model(settings.base_model)
    tuning = _tuning(settings, source)
    settings = settings.resolved(tuning)
    folder = workspace / _digest(data, settings, scale, source)
    finished = folder / ARTIFACT_NAME
    if (finished / FACTS_FILE).is_file():
        logger.info("this labeler was already trained; taking it from %s", finished)
        return finished, read_facts(finished).training
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    draft, facts = _trained(data, settings, scale, folder)
    facts, labeler, pairs, graded = _calibrated(draft, facts, data, settings)
    write_profile(draft, _profile(labeler, data, settings, pairs, graded))
    training = {**facts.training, "seconds": round(time.perf_counter() - started, 1)}
    facts = facts.model_copy(update={"training": training})
    write_facts(draft, facts)
    draft.rename(finished)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    return finished, training


def _trained(
    data: DistillationData, settings: TrainingSettings, scale: GradeScale, folder: Path
) -> tuple[Path, LabelerFacts]:
    # Transformers' Trainer takes seconds to import, which every command would wait for.
    from relevance_distillery.labeler.training import train

    draft = folder / "uncalibrated"
    if (draft / FACTS_FILE).is_file():
        return draft, read_facts(draft)
    tokenizer = load_tokenizer(settings.base_model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # The fresh classifier's weights are drawn at random.
    _seed(settings.seed)
    backbone = load_backbone(settings.base_model, scale, tokenizer.pad_token_id)
    length = fitting_length(settings.max_length, backbone.config, tokenizer)
    if length < settings.max_length:
        logger.warning(
            "base model %s reads %d tokens, not max_length=%d: longer passages are cut there",
            public_name(settings.base_model),
            length,
            settings.max_length,
        )
    template = InputTemplate.for_tokenizer(tokenizer, length, settings.max_query_tokens)
    architecture = resolve_architecture(settings.architecture, backbone.config)
    if settings.tuning == "lora":
        backbone = _with_lora(backbone, settings)
    model = PairModel(backbone, architecture, scale.size, settings.classifier_weight)
    facts = LabelerFacts(
        base_model=public_name(settings.base_model),
        architecture=architecture,
        scale=scale,
        template=template,
        decision=settings.decision,
        cut_points=tuple(midpoints(scale).tolist()),
    )
    learn, early = _samples(data, settings)
    rows: list[dict[str, Any]] = data.passages.to_dict("records")  # type: ignore[assignment]
    collection = [template.passage_text(row) for row in rows]
    facts, training = train(model, tokenizer, facts, learn, early, settings, folder, collection)
    training = {
        "base_model": facts.base_model,
        "architecture": architecture,
        "train_pairs": len(learn),
        "train_pairs_available": len(data.learn),
        "train_queries": int(learn.pairs["query_id"].nunique()),
        "train_grades": _grade_counts(learn, scale),
        "early_stopping_pairs": len(early),
        "recipe": settings.recipe,
        "tuning": settings.tuning,
        "settings": settings.model_dump(exclude={"base_model"}),
        **training,
    }
    facts = facts.model_copy(update={"training": training})
    return write_artifact(draft, model.cpu(), tokenizer, facts), facts


def _calibrated(
    draft: Path, facts: LabelerFacts, data: DistillationData, settings: TrainingSettings
) -> tuple[LabelerFacts, Labeler, LabelledPairs, pd.DataFrame]:
    """Facts with calibrators, cut points and length slope, measured on the folder as written.

    Returns:
        The facts, the labeler with them, the calibration pairs and its grades of those.
    """
    assert settings.max_calibration_pairs is not None
    assert settings.max_null_pairs is not None
    pairs = data.calibrate.sample(settings.max_calibration_pairs, settings.seed)
    labeler = Labeler.load(draft)
    raw, scores = labeler.raw(pairs.pairs)
    calibration = fit_calibration(raw, pairs.targets, pairs.positions)
    held_out = cross_fitted(raw, pairs.targets, pairs.positions, pairs.queries, settings.seed)
    values = facts.scale.values.astype(np.float64)
    cuts = fit_cut_points(held_out @ values, pairs.positions, facts.scale)
    facts = facts.model_copy(update={"calibration": calibration, "cut_points": tuple(cuts)})
    labeler.facts = facts
    null = null_pairs(data.calibrate, data.queries, data.passages, settings)
    slope = 0.0
    if len(null):
        graded = labeler.grade(null)
        slope = fit_length_slope(null.assign(expected_grade=graded["expected_grade"]))
    kappa = kappa_of_positions(
        pairs.positions, np.searchsorted(cuts, held_out @ values, "right"), facts.scale.size
    )
    training = {
        **facts.training,
        "calibration_pairs": len(pairs),
        "calibration_quadratic_kappa": round(kappa, 6),
        "isotonic_grades": [
            grade.value
            for grade, knots in zip(facts.scale.grades, calibration.isotonic, strict=False)
            if knots is not None
        ],
        "null_pairs": len(null),
    }
    labeler.facts = facts.model_copy(update={"length_slope": slope, "training": training})
    return labeler.facts, labeler, pairs, labeler.decide(raw, scores, pairs.pairs.index)


def _profile(
    labeler: Labeler,
    data: DistillationData,
    settings: TrainingSettings,
    calibrate: LabelledPairs,
    graded: pd.DataFrame,
) -> TrainingProfile:
    """The training profile; the pairs of early stopping are graded once more for it."""
    learned, early = _samples(data, settings)
    held_out = early.followed_by(calibrate)
    graded = pd.concat([labeler.grade(early.pairs), graded], ignore_index=True)
    used = pd.concat([part.pairs["query"] for part in (data.learn, data.early, data.calibrate)])
    return make_profile(
        labeler,
        learned,
        held_out,
        graded,
        used.drop_duplicates().tolist(),
        data.taught_by,
        settings.seed,
    )


def _samples(
    data: DistillationData, settings: TrainingSettings
) -> tuple[LabelledPairs, LabelledPairs]:
    """The pairs to learn from and those that decide when to stop."""
    assert settings.max_train_pairs is not None
    assert settings.max_evaluation_pairs is not None
    return (
        data.learn.even_sample(settings.max_train_pairs, settings.seed),
        data.early.sample(settings.max_evaluation_pairs, settings.seed),
    )


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


def _tuning(settings: TrainingSettings, source: str) -> Literal["full", "lora"]:
    if settings.tuning == "lora":
        return "lora"
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"base model {settings.base_model} cannot be read: {reason}") from error
    if settings.tuning == "full":
        return "full"
    return "lora" if is_decoder(config) else "full"


def _with_lora(backbone: Any, settings: TrainingSettings) -> Any:
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        target_modules="all-linear",
        r=settings.lora.rank,
        lora_alpha=settings.lora.alpha,
        lora_dropout=settings.lora.dropout,
    )
    return get_peft_model(backbone, config)


def _seed(seed: int) -> None:
    from transformers import set_seed

    set_seed(seed)


def _grade_counts(pairs: LabelledPairs, scale: GradeScale) -> dict[str, int]:
    counts = np.bincount(pairs.positions, minlength=scale.size)
    return {str(grade.value): int(n) for grade, n in zip(scale.grades, counts, strict=True)}


def _digest(
    data: DistillationData, settings: TrainingSettings, scale: GradeScale, source: str
) -> str:
    """Names the workspace: changes with everything that decides the labeler."""
    digest = hashlib.sha256()
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
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for part in (data.learn, data.early, data.calibrate):
        hashes = pd.util.hash_pandas_object(part.pairs.astype(str), index=False).to_numpy()
        digest.update(hashes.tobytes())
        digest.update(np.round(part.targets, 6).tobytes())
        digest.update(part.positions.tobytes())
    texts = data.passages[["passage_id", "text"]].astype(str)
    digest.update(pd.util.hash_pandas_object(texts, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]
